"""SCRAM-SHA-256 (RFC 7677) with Python's hashlib, by any of the protocols, without TLS.

    scram.py PROTOCOL HOST PORT USER PASSWORD

Prints what the server says to the proof.
"""

import base64
import hashlib
import hmac
import socket
import sys

PROTOCOL, HOST, PORT, USER, PASSWORD = sys.argv[1:6]
lines = socket.create_connection((HOST, int(PORT)), timeout=60).makefile("rwb")


def read():
    return lines.readline().decode().rstrip("\r\n")


def say(text):
    lines.write(text.encode() + b"\r\n")
    lines.flush()


def until(end):
    line = read()
    while not end(line):
        assert line
        line = read()


begin, respond, challenge = {
    "imap": ("a AUTHENTICATE SCRAM-SHA-256 {}", "{}", lambda line: line.removeprefix("+ ")),
    "pop3": ("AUTH SCRAM-SHA-256 {}", "{}", lambda line: line.removeprefix("+ ")),
    "smtp": ("AUTH SCRAM-SHA-256 {}", "{}", lambda line: line.removeprefix("334 ")),
    "sieve": ('AUTHENTICATE "SCRAM-SHA-256" "{}"', '"{}"', lambda line: line.strip('"')),
}[PROTOCOL]
if PROTOCOL == "sieve":
    until(lambda line: line.startswith("OK"))
else:
    read()
if PROTOCOL == "smtp":
    say("EHLO client.test")
    until(lambda line: line[3:4] == " ")


def b64(text):
    return base64.b64encode(text.encode()).decode()


first = f"n={USER},r=rOprNGfwEbeRWgbNEkqO"
say(begin.format(b64("n,," + first)))
server = base64.b64decode(challenge(read())).decode()
parts = dict(part.split("=", 1) for part in server.split(","))
salt, iterations = base64.b64decode(parts["s"]), int(parts["i"])
salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, iterations)
client = hmac.digest(salted, b"Client Key", "sha256")
last = f"c=biws,r={parts['r']}"
message = f"{first},{server},{last}".encode()
signature = hmac.digest(hashlib.sha256(client).digest(), message, "sha256")
proof = bytes(a ^ b for a, b in zip(client, signature))
say(respond.format(b64(f"{last},p={base64.b64encode(proof).decode()}")))
print(read())
