# Python's imaplib against the server on the port given: what a script would do.
import imaplib
import sys

port, login, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


m = imaplib.IMAP4("127.0.0.1", port)
assert "IMAP4REV1" in m.capabilities, m.capabilities
ok(m.login(login, password))
ok(m.create("Scripts/old"))
names = [line.decode() for line in ok(m.list())]
assert any(name.endswith('"Scripts/old"') for name in names), names
assert ok(m.select("INBOX")) == [b"0"]
text = b"From: a@example.test\r\nSubject: from a script\r\n\r\nHello.\r\n"
for number in range(3):
    ok(m.append("INBOX", r"(\Flagged)", imaplib.Time2Internaldate(1000000000 + number), text))
ok(m.noop())
assert ok(m.search(None, "FLAGGED", "SUBJECT", '"from a"')) == [b"1 2 3"]
data = ok(m.fetch("1", "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"))
assert data[0][1] == text, data
assert imaplib.Internaldate2tuple(data[0][0]) is not None, data
ok(m.store("2", "+FLAGS.SILENT", r"(\Deleted)"))
ok(m.copy("1", "Scripts/old"))
assert ok(m.expunge()) == [b"2"]
assert ok(m.uid("SEARCH", "ALL")) == [b"1 3"]
assert ok(m.uid("FETCH", "3", "(BODYSTRUCTURE)"))[0].startswith(b"2 (UID 3 BODYSTRUCTURE (")
assert ok(m.status("Scripts/old", "(MESSAGES UNSEEN)"))[0].endswith(b"(MESSAGES 1 UNSEEN 1)")
ok(m.close())
ok(m.delete("Scripts/old"))
m.logout()

m = imaplib.IMAP4("127.0.0.1", port)
ok(m.authenticate("PLAIN", lambda _: f"\0{login}\0{password}".encode()))
ok(m.enable("UTF8=ACCEPT"))
ok(m.select("INBOX", readonly=True))
m.logout()
try:
    imaplib.IMAP4("127.0.0.1", port).login(login, "wrong")
    raise AssertionError("a wrong password was taken")
except imaplib.IMAP4.error as refused:
    assert b"AUTHENTICATIONFAILED" in refused.args[0], refused
