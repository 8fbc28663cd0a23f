"""Shares a mailbox with Python's imaplib and uses it as the other: gives rights, looks at them, lists
the namespaces, copies into the shared mailbox, keeps a note with it, and takes the rights back.

shared.py HOST PORT CAFILE OWNER PASSWORD OTHER PASSWORD    (one message is in the owner's INBOX)
"""

import imaplib
import ssl
import sys

host, port, cafile, owner, owner_password, other, other_password = sys.argv[1:]
tls = ssl.create_default_context(cafile=cafile)


def connect(user, password):
    imap = imaplib.IMAP4(host, int(port), timeout=30)
    imap.starttls(ssl_context=tls)
    imap.login(user, password)
    assert "ACL" in ok(imap.capability())[0].decode().split()
    return imap


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


hers, his = connect(owner, owner_password), connect(other, other_password)
ok(hers.create("Team"))
ok(hers.setacl("Team", other, "lrswi"))
acl = ok(hers.getacl("Team"))[0].decode().split()
assert acl[0] == '"Team"' and acl[3:] == [f'"{other}"', "lrswi"], acl
assert ok(hers.myrights("Team"))[0].decode().endswith('"lrswipkxteacd"')

assert '(("Other Users/" "/"))' in ok(his.namespace())[0].decode()
name = f"Other Users/{owner}/Team"
listed = [line.decode() for line in ok(his.list('""', '"Other Users/*"'))]
assert any(line.endswith(f'"{name}"') for line in listed), listed
ok(his.select(f'"{name}"'))
ok(hers.select("INBOX"))
ok(hers.copy("1", "Team"))
assert ok(his.noop()) and ok(his.search(None, "ALL")) == [b"1"]
ok(his.store("1", "+FLAGS", "\\Seen"))
ok(hers.select("Team"))
assert b"\\Seen" in ok(hers.fetch("1", "(FLAGS)"))[0]
status, answer = his.store("1", "+FLAGS", "\\Deleted")
assert status == "NO" and b"NOPERM" in answer[0], answer

# imaplib knows no METADATA: by its way for commands that it does not know.
imaplib.Commands["SETMETADATA"] = imaplib.Commands["GETMETADATA"] = ("AUTH", "SELECTED")
ok(hers.xatom("SETMETADATA", "Team", '(/shared/comment "for the team")'))
ok(his.xatom("GETMETADATA", f'"{name}"', "/shared/comment"))
assert b"for the team" in his.response("METADATA")[1][0]

ok(hers.deleteacl("Team", other))
try:
    his.noop()
    raise AssertionError("the session should have ended")
except imaplib.IMAP4.abort:
    pass
again = connect(other, other_password)
status, answer = again.select(f'"{name}"')
assert status == "NO" and b"NONEXISTENT" in answer[0], answer
