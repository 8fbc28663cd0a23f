"""Pages by HTTPS, with nothing but Python's own: what a browser would do with them."""

import html.parser
import http.client
import ssl
import subprocess
import urllib.parse


class Pages:
    def __init__(self, host, port, root):
        self.host, self.port = host, int(port)
        self.tls = ssl.create_default_context(cafile=root)

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPSConnection(self.host, self.port, context=self.tls, timeout=30)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()

    def post(self, path, fields, headers=None):
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, urllib.parse.urlencode(fields), kind | (headers or {}))


class Form(html.parser.HTMLParser):
    """What a page's form would send, without its buttons."""

    def __init__(self, page):
        super().__init__()
        self.fields = {}
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "input":
            self.fields[attributes["name"]] = attributes.get("value", "")


def cookie(headers):
    return {"Cookie": headers["Set-Cookie"].split(";")[0]}


def code(secret, when="now"):
    """What an authenticator shows (Debian's oathtool)."""
    command = ["oathtool", "--totp", "--base32", "--now", when, "-"]
    shown = subprocess.run(command, input=secret, capture_output=True, text=True, check=True)
    return shown.stdout.strip()
