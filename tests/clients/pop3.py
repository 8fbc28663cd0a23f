"""Empties a maildrop with Python's poplib.

pop3.py HOST PORT CAFILE USER PASSWORD COUNT    (so many messages are there)
"""

import poplib
import ssl
import sys

host, port, cafile, user, password, count = sys.argv[1:]
count = int(count)
tls = ssl.create_default_context(cafile=cafile)


def connect():
    pop = poplib.POP3(host, int(port), timeout=30)
    assert "STLS" in pop.capa(), pop.capa()
    pop.stls(tls)
    pop.user(user)
    pop.pass_(password)
    return pop


pop = connect()
number, size = pop.stat()
assert number == count, (number, count)
sizes = [int(line.split()[1]) for line in pop.list()[1]]
assert sum(sizes) == size
unique = [line.split()[1] for line in pop.uidl()[1]]
assert len(set(unique)) == count

# A second session is told that the maildrop is taken (RFC 1939 §4, RFC 2449 §8.1.1).
try:
    connect()
    raise SystemExit("a locked maildrop was opened twice")
except poplib.error_proto as error:
    assert b"[IN-USE]" in error.args[0], error

for index in range(1, count + 1):
    _, lines, octets = pop.retr(index)
    whole = b"\r\n".join(lines) + b"\r\n"
    assert len(whole) == sizes[index - 1], (len(whole), sizes[index - 1])
    top = pop.top(index, 0)[1]
    assert whole.startswith(b"\r\n".join(top)), top

# What is marked and then left without QUIT stays.
pop.dele(1)
pop.rset()
pop.dele(1)
pop.close()

pop = connect()
assert pop.stat()[0] == count
assert [line.split()[1] for line in pop.uidl()[1]] == unique
for index in range(1, count + 1):
    pop.dele(index)
pop.quit()

pop = connect()
assert pop.stat() == (0, 0)
pop.quit()
print("ok", count)
