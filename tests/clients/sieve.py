"""Puts rules by ManageSieve (RFC 5804), with nothing but Python's sockets and ssl.

sieve.py HOST PORT CAFILE USER PASSWORD FILE    (the script is put as "main" and made active)
"""

import base64
import re
import socket
import ssl
import sys

host, port, cafile, user, password, path = sys.argv[1:]
script = open(path, "rb").read()


class Connection:
    def __init__(self):
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.file = self.socket.makefile("rb")

    def secure(self):
        context = ssl.create_default_context(cafile=cafile)
        self.socket = context.wrap_socket(self.socket, server_hostname=host)
        self.file = self.socket.makefile("rb")

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))

    def answer(self):
        """The lines before the response, literals put in their places; and the response."""
        lines = []
        while True:
            line = self.file.readline()
            assert line.endswith(b"\r\n"), line
            literal = re.search(rb"\{(\d+)\+?\}\r\n$", line)
            if literal:
                line = line[: literal.start()] + self.file.read(int(literal[1])) + self.file.readline()
            if re.match(rb"(OK|NO|BYE)\b", line):
                return lines, line
            lines.append(line)

    def command(self, *parts):
        self.send(*parts, b"\r\n")
        return self.answer()

    def ok(self, *parts):
        lines, response = self.command(*parts)
        assert response.startswith(b"OK"), (parts, response)
        return lines


def literal(octets):
    return b"{%d+}\r\n" % len(octets) + octets


sieve = Connection()
lines, response = sieve.answer()
assert response.startswith(b"OK"), response
capabilities = b"".join(lines)
assert b'"STARTTLS"' in capabilities, capabilities
assert b'"VERSION" "1.0"' in capabilities, capabilities
assert b"PLAIN" not in capabilities, "no passwords in clear text"
login = base64.b64encode(f"\0{user}\0{password}".encode())
assert sieve.command(b'AUTHENTICATE "PLAIN" "', login, b'"')[1].startswith(b"NO")
assert sieve.command(b"LISTSCRIPTS")[1].startswith(b"NO"), "log in first"

sieve.ok(b"STARTTLS")
sieve.secure()
# RFC 5804 §2.2: the capabilities are told anew.
capabilities = b"".join(sieve.answer()[0])
assert b'"STARTTLS"' not in capabilities and b"PLAIN" in capabilities, capabilities
for extension in (b"fileinto", b"vacation", b"imap4flags"):
    assert extension in capabilities, capabilities
wrong = base64.b64encode(f"\0{user}\0wrong".encode())
assert sieve.command(b'AUTHENTICATE "PLAIN" "', wrong, b'"')[1].startswith(b"NO")
sieve.ok(b'AUTHENTICATE "PLAIN" "', login, b'"')

assert sieve.ok(b"LISTSCRIPTS") == []
_, refused = sieve.command(b'PUTSCRIPT "bad" ', literal(b'keep;\r\nfilinto "x";\r\n'))
assert refused.startswith(b"NO") and b"line 2" in refused, refused
sieve.ok(b'HAVESPACE "main" %d' % len(script))
sieve.ok(b'PUTSCRIPT "draft" ', literal(script))
sieve.ok(b'RENAMESCRIPT "draft" "main"')
sieve.ok(b'SETACTIVE "main"')
assert sieve.ok(b"LISTSCRIPTS") == [b'"main" ACTIVE\r\n']
assert sieve.ok(b'GETSCRIPT "main"') == [script + b"\r\n"]
_, refused = sieve.command(b'DELETESCRIPT "main"')
assert refused.startswith(b"NO (ACTIVE)"), refused
_, refused = sieve.command(b'SETACTIVE "nowhere"')
assert refused.startswith(b"NO (NONEXISTENT)"), refused
sieve.ok(b"LOGOUT")
print("ok")
