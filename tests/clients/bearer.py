"""Logs in with an access token by IMAP and SMTP, as Python's own libraries do it, and by ManageSieve.

    bearer.py HOST IMAPS SUBMISSIONS SIEVE ROOT_PEM ADDRESS TOKEN
"""

import base64
import imaplib
import re
import smtplib
import socket
import ssl
import sys

HOST, IMAPS, SUBMISSIONS, SIEVE, ROOT, ADDRESS, TOKEN = sys.argv[1:8]
TLS = ssl.create_default_context(cafile=ROOT)


def xoauth2(token):
    return f"user={ADDRESS}\x01auth=Bearer {token}\x01\x01".encode()


def oauthbearer(token):
    return f"n,a={ADDRESS},\x01auth=Bearer {token}\x01\x01".encode()


def sieve(mechanism, message):
    """RFC 5804: the answer to AUTHENTICATE under TLS."""

    def answer(lines):
        said = []
        while not said or not re.match(rb"(OK|NO|BYE)\b", said[-1]):
            line = lines.readline()
            assert line, said
            said.append(line)
        return said

    with socket.create_connection((HOST, int(SIEVE)), timeout=30) as plain:
        lines = plain.makefile("rb")
        offered = answer(lines)
        assert not any(mechanism.encode() in line for line in offered), "offered without TLS"
        plain.sendall(b"STARTTLS\r\n")
        assert answer(lines)[-1].startswith(b"OK")
        with TLS.wrap_socket(plain, server_hostname=HOST) as secure:
            lines = secure.makefile("rb")
            offered = answer(lines)
            assert any(mechanism.encode() in line for line in offered), offered
            initial = base64.b64encode(message).decode()
            secure.sendall(f'AUTHENTICATE "{mechanism}" "{initial}"\r\n'.encode())
            first = lines.readline()
            if first.startswith(b'"'):
                told.append(base64.b64decode(first.strip().strip(b'"')))
                secure.sendall(b'"AQ=="\r\n')  # RFC 7628 §3.2.3
                first = lines.readline()
            return first.decode()


for mechanism, message in (("XOAUTH2", xoauth2), ("OAUTHBEARER", oauthbearer)):
    imap = imaplib.IMAP4_SSL(HOST, int(IMAPS), ssl_context=TLS)
    assert f"AUTH={mechanism}" in imap.capabilities, imap.capabilities
    imap.authenticate(mechanism, lambda challenge: message(TOKEN))
    assert imap.select("INBOX")[0] == "OK"
    imap.logout()

    # A wrong token is told of in JSON before the refusal (RFC 7628 §3.2.2).
    imap = imaplib.IMAP4_SSL(HOST, int(IMAPS), ssl_context=TLS)
    told = []

    def answer(challenge):
        told.append(challenge)
        return message("wrong") if len(told) == 1 else b"\x01"

    try:
        imap.authenticate(mechanism, answer)
        raise SystemExit("a wrong token was taken")
    except imaplib.IMAP4.error as error:
        assert "AUTHENTICATIONFAILED" in str(error), error
    assert b'"status"' in told[-1], told

    smtp = smtplib.SMTP_SSL(HOST, int(SUBMISSIONS), context=TLS)
    smtp.ehlo()
    assert mechanism in smtp.esmtp_features["auth"], smtp.esmtp_features
    code, text = smtp.docmd("AUTH", mechanism + " " + base64.b64encode(message(TOKEN)).decode())
    assert code == 235, (code, text)
    smtp.quit()

    answer = sieve(mechanism, message(TOKEN))
    assert answer.startswith("OK"), answer
    told.clear()
    answer = sieve(mechanism, message("wrong"))
    assert answer.startswith("NO") and b'"status"' in told[-1], (answer, told)
print("logged in")
