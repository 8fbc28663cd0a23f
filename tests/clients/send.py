"""Submits one message with Python's smtplib, over STARTTLS.

send.py HOST PORT CAFILE USER PASSWORD TO...    (the message is on standard input)
Prints the extensions that the server offered, before and after TLS.
"""

import smtplib
import ssl
import sys

host, port, cafile, user, password, *to = sys.argv[1:]
message = sys.stdin.buffer.read()
tls = ssl.create_default_context(cafile=cafile)

with smtplib.SMTP(host, int(port), local_hostname="client.test", timeout=30) as smtp:
    smtp.ehlo()
    print("plain:", *sorted(smtp.esmtp_features))
    smtp.starttls(context=tls)
    smtp.ehlo()
    print("tls:", *sorted(smtp.esmtp_features))
    smtp.login(user, password)
    options = ["BODY=8BITMIME"] if any(octet > 127 for octet in message) else []
    if any(not address.isascii() for address in to):
        options.append("SMTPUTF8")
    refused = smtp.sendmail(user, to, message, mail_options=options)
    assert refused == {}, refused
