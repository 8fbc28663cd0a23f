"""Goes through a mailbox with Python's imaplib: reads, searches, flags, copies, moves, appends,
expunges, and checks after each step what a second connection sees.

imap.py HOST PORT CAFILE USER PASSWORD SUBJECT    (one message with that subject is in INBOX)
"""

import email
import imaplib
import ssl
import sys

host, port, cafile, user, password, subject = sys.argv[1:]
tls = ssl.create_default_context(cafile=cafile)


def connect():
    imap = imaplib.IMAP4(host, int(port), timeout=30)
    assert "LOGINDISABLED" in imap.capabilities or "AUTH=PLAIN" in imap.capabilities
    imap.starttls(ssl_context=tls)
    imap.login(user, password)
    return imap


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


def uids(imap, *criteria):
    return ok(imap.uid("SEARCH", *criteria))[0].split()


one, two = connect(), connect()
names = [line.decode().rsplit(" ", 1)[1].strip('"') for line in ok(one.list())]
assert "INBOX" in names and "Trash" in names and "Sent" in names, names

assert ok(one.select("INBOX")) == [b"1"]
ok(two.select("INBOX"))
(uid,) = uids(one, "SUBJECT", f'"{subject}"')
assert uids(one, "UNSEEN") == [uid]
assert uids(one, "SUBJECT", '"no such subject"') == []

fetched = ok(one.uid("FETCH", uid, "(BODY.PEEK[] ENVELOPE BODYSTRUCTURE RFC822.SIZE)"))
octets = fetched[0][1]
message = email.message_from_bytes(octets)
assert message["Subject"] == subject, message["Subject"]
assert f"RFC822.SIZE {len(octets)}".encode() in b"".join(
    part if isinstance(part, bytes) else part[0] for part in fetched
)
part = ok(one.uid("FETCH", uid, "(BODY.PEEK[]<0.10>)"))[0]
assert part[1] == octets[:10], part
header = ok(one.uid("FETCH", uid, "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))[0][1]
assert header == f"Subject: {subject}\r\n\r\n".encode(), header

ok(one.uid("STORE", uid, "+FLAGS", r"(\Flagged \Seen)"))
ok(two.noop())
assert uids(two, "FLAGGED", "SEEN") == [uid]
ok(one.uid("STORE", uid, "-FLAGS", r"(\Flagged)"))
ok(two.noop())
assert uids(two, "FLAGGED") == []

ok(one.create("Work"))
ok(one.create("Work/Reports"))
assert any(b"Work/Reports" in line for line in ok(two.list()))
ok(one.uid("COPY", uid, "Work/Reports"))
ok(one.select("Work/Reports"))
(copy,) = uids(one, "ALL")
assert ok(one.uid("FETCH", copy, "(BODY.PEEK[])"))[0][1] == octets

appended = b"From: <me@wing.test>\r\nSubject: a draft\r\n\r\nNot yet.\r\n"
ok(one.append("Drafts", r"(\Draft)", imaplib.Time2Internaldate(1_700_000_000), appended))
ok(one.select("Drafts"))
(draft,) = uids(one, "DRAFT")
assert ok(one.uid("FETCH", draft, "(BODY.PEEK[])"))[0][1] == appended

later = appended.replace(b"a draft", b"Re: a draft")
ok(one.append("Drafts", r"(\Draft)", imaplib.Time2Internaldate(1_700_000_060), later))
ok(one.select("Drafts"))
drafts = uids(one, "ALL")
assert len(drafts) == 2, drafts
capabilities = ok(one.capability())[0].decode().split()
if "SORT" in capabilities:
    assert ok(one.uid("SORT", "(REVERSE ARRIVAL)", "UTF-8", "ALL"))[0].split() == drafts[::-1]
    assert ok(one.uid("SORT", "(SUBJECT)", "UTF-8", "DRAFT"))[0].split() == drafts
    assert ok(one.uid("SORT", "(SIZE)", "UTF-8", "ALL"))[0].split() == drafts
if "THREAD=REFERENCES" in capabilities:
    threads = ok(one.uid("THREAD", "REFERENCES", "UTF-8", "ALL"))[0]
    assert threads == b"(" + b" ".join(drafts) + b")", threads
if "QUOTA" in capabilities:
    roots = ok(one.getquotaroot("Drafts"))
    assert roots[0][0].startswith(b'"Drafts"'), roots

ok(one.select("Work/Reports"))
if "MOVE" in one.capabilities:
    ok(one.uid("MOVE", copy, "Trash"))
    ok(one.select("Trash"))
    (copy,) = uids(one, "ALL")
ok(one.uid("STORE", copy, "+FLAGS", r"(\Deleted)"))
ok(one.expunge())
assert uids(one, "ALL") == []

ok(one.select("INBOX"))
ok(one.delete("Work/Reports"))
ok(one.rename("Work", "Play"))
assert any(b"Play" in line for line in ok(one.list()))
assert uids(one, "ALL") == [uid]
for imap in (one, two):
    imap.logout()
print("ok", len(octets))
