"""Asks a server how accounts are set up, as mail programs do, and reads the answers with Python's own
parsers.

settings.py HOST PORT CAFILE DOMAIN ADDRESS
"""

import http.client
import json
import plistlib
import socket
import ssl
import sys
import xml.etree.ElementTree as etree

host, port, cafile, domain, address = sys.argv[1:]
tls = ssl.create_default_context(cafile=cafile)


class Connection(http.client.HTTPSConnection):
    def connect(self):
        plain = socket.create_connection((host, int(port)), timeout=30)
        self.sock = tls.wrap_socket(plain, server_hostname=self.host)


def ask(name, method, path, body=None):
    connection = Connection(name, int(port))
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, answer.getheader("content-type"), answer.read()


def ok(name, method, path, media_type, body=None):
    status, found, content = ask(name, method, path, body)
    assert (status, found.split(";")[0]) == (200, media_type), (path, status, found, content)
    return content


found = {}
for name, path in [
    (f"autoconfig.{domain}", f"/mail/config-v1.1.xml?emailaddress={address}"),
    (domain, "/.well-known/autoconfig/mail/config-v1.1.xml"),
]:
    provider = etree.fromstring(ok(name, "GET", path, "text/xml")).find("emailProvider")
    assert provider.findtext("domain") == domain
    servers = [
        (s.tag, s.get("type"), s.findtext("hostname"), int(s.findtext("port")), s.findtext("socketType"))
        for s in provider
        if s.tag.endswith("Server")
    ]
    assert found.setdefault("mozilla", servers) == servers

SCHEMAS = "http://schemas.microsoft.com/exchange/autodiscover/"
request = f'<?xml version="1.0"?><Autodiscover xmlns="{SCHEMAS}outlook/requestschema/2006"><Request><EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>{SCHEMAS}outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>'
where = json.loads(ok(f"autodiscover.{domain}", "GET", f"/autodiscover/autodiscover.json?Email={address}&Protocol=AutodiscoverV1", "application/json"))
assert where["Url"].endswith("/autodiscover/autodiscover.xml"), where
answer = etree.fromstring(ok(f"autodiscover.{domain}", "POST", "/AutoDiscover/AutoDiscover.xml", "text/xml", request))
names = {"r": SCHEMAS + "responseschema/2006", "o": SCHEMAS + "outlook/responseschema/2006a"}
account = answer.find("o:Response/o:Account", names)
found["outlook"] = [
    (p.findtext("o:Type", None, names), p.findtext("o:Server", None, names), int(p.findtext("o:Port", None, names)), p.findtext("o:LoginName", None, names))
    for p in account.findall("o:Protocol", names)
]
status, _, _ = ask(f"autodiscover.{domain}", "POST", "/autodiscover/autodiscover.xml", "x" * 40_000)
assert status == 413, status

page = ok(domain, "GET", "/mobileconfig", "text/html").decode()
assert 'action="/mobileconfig/profile"' in page, page
profile = plistlib.loads(ok(domain, "GET", f"/mobileconfig/profile?email={address}", "application/x-apple-aspen-config"))
(mail,) = profile["PayloadContent"]
assert profile["PayloadType"] == "Configuration" and mail["PayloadType"] == "com.apple.mail.managed"
assert mail["EmailAddress"] == mail["IncomingMailServerUsername"] == address
assert not any("Password" in key and isinstance(mail[key], str) and "Auth" not in key for key in mail), mail
found["apple"] = [
    (mail["EmailAccountType"], mail["IncomingMailServerHostName"], mail["IncomingMailServerPortNumber"], mail["IncomingMailServerUseSSL"]),
    (mail["OutgoingMailServerHostName"], mail["OutgoingMailServerPortNumber"], mail["OutgoingMailServerUseSSL"]),
]

found["pacc"] = json.loads(ok(f"ua-auto-config.{domain}", "GET", "/.well-known/user-agent-configuration.json", "application/json"))

# Nothing tells whether an address exists, and nothing is told of other domains.
other = address.replace("alice", "nobody")
for path in [f"/mail/config-v1.1.xml?emailaddress=%s", "/mobileconfig/profile?email=%s"]:
    known, unknown = ask(domain, "GET", path % address), ask(domain, "GET", path % other)
    assert known[:2] == unknown[:2] and known[0] == 200, (known, unknown)
    assert ask(domain, "GET", path % "bob@elsewhere.test")[0] == 404
print(json.dumps(found))
