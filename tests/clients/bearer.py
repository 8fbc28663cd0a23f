"""Logs in with an access token by IMAP and SMTP, as Python's own libraries do it.

    bearer.py HOST IMAPS SUBMISSIONS ROOT_PEM ADDRESS TOKEN
"""

import base64
import imaplib
import smtplib
import ssl
import sys

HOST, IMAPS, SUBMISSIONS, ROOT, ADDRESS, TOKEN = sys.argv[1:7]
TLS = ssl.create_default_context(cafile=ROOT)


def xoauth2(token):
    return f"user={ADDRESS}\x01auth=Bearer {token}\x01\x01".encode()


def oauthbearer(token):
    return f"n,a={ADDRESS},\x01auth=Bearer {token}\x01\x01".encode()


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
print("logged in")
