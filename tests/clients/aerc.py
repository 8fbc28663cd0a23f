"""Reads a message in aerc, on a terminal, and files it.

aerc.py AERC SUBJECT BODY    (the configuration is in XDG_CONFIG_HOME)
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

program, subject, body = sys.argv[1:]
seen = b""


def plain():
    return re.sub(rb"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()].|[=>])", b" ", seen).decode("utf-8", "replace")


def wait_for(text, within=60):
    global seen
    deadline = time.monotonic() + within
    while text not in " ".join(plain().split()):
        left = deadline - time.monotonic()
        if left <= 0:
            raise SystemExit(f"waited in vain for {text!r}; the screen: {plain()[-3000:]}")
        ready, _, _ = select.select([terminal], [], [], left)
        if ready:
            seen += os.read(terminal, 65536)


def keys(text):
    global seen
    seen = b""
    os.write(terminal, text.encode())


child, terminal = pty.fork()
if child == 0:
    os.environ["TERM"] = "xterm-256color"
    os.execv(program, [program])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
wait_for(subject)
keys("\r")
wait_for(body)
keys(":close\r")
wait_for(subject)
keys(":mv Archive\r")
wait_for("moved")
keys(":quit\r")
deadline = time.monotonic() + 30
while os.waitpid(child, os.WNOHANG) == (0, 0):
    assert time.monotonic() < deadline, "aerc does not end"
    ready, _, _ = select.select([terminal], [], [], 0.2)
    if ready:
        try:
            os.read(terminal, 65536)
        except OSError:
            pass
