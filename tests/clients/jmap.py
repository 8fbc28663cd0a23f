"""JMAP by hand, with Python's own HTTP: says what a library would not.

jmap.py HOST IP PORT CAFILE SCENE ARGUMENT...
"""

import base64
import http.client
import json
import socket
import ssl
import sys
import threading

host, ip, port, cafile, scene, *arguments = sys.argv[1:]
tls = ssl.create_default_context(cafile=cafile)
USING = [f"urn:ietf:params:jmap:{name}" for name in ("core", "mail", "submission")]


class Connection(http.client.HTTPSConnection):
    def connect(self):
        plain = socket.create_connection((ip, int(port)), timeout=60)
        self.sock = tls.wrap_socket(plain, server_hostname=host)


class Person:
    def __init__(self, address, password):
        token = base64.b64encode(f"{address}:{password}".encode()).decode()
        self.headers = {"Authorization": f"Basic {token}"}
        self.connection = Connection(host, int(port))

    def ask(self, method, path, body=None, **headers):
        self.connection.request(method, path, body, self.headers | headers)
        answer = self.connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def session(self):
        return json.loads(self.ask("GET", "/.well-known/jmap")[2])

    def call(self, *calls):
        body = json.dumps({"using": USING, "methodCalls": calls})
        status, _, content = self.ask("POST", "/jmap", body, **{"Content-Type": "application/json"})
        assert status == 200, (status, content)
        return json.loads(content)["methodResponses"]

    def account(self):
        return self.session()["primaryAccounts"]["urn:ietf:params:jmap:mail"]

    def events(self, query, opened=lambda: None, **headers):
        """A stream of events on a connection of its own, as (name, id, data). `opened` is called when what
        happens from then on will be told."""
        connection = Connection(host, int(port))
        connection.request("GET", f"/jmap/eventsource?{query}", None, self.headers | headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        opened()
        fields = {}
        while line := answer.readline().decode():
            line = line.rstrip("\n")
            if line == "" and fields:
                yield fields.get("event"), fields.get("id"), fields.get("data")
                fields = {}
            elif line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value


def everything():
    """Who is asked what, over one connection: sessions, errors, uploads, downloads, events."""
    address, password = arguments
    told = {}
    stranger = Person(address, "wrong")
    status, headers, content = stranger.ask("GET", "/.well-known/jmap")
    told["stranger"] = [status, headers["www-authenticate"].split()[0], json.loads(content)["status"]]
    person = Person(address, password)
    status, headers, _ = person.ask("OPTIONS", "/jmap", None, Origin="https://webmail.test")
    told["preflight"] = [status, headers["access-control-allow-origin"]]
    session = person.session()
    told["api"] = session["apiUrl"]
    account = person.account()

    json_type = {"Content-Type": "application/json"}
    wrong = []
    for body, headers in [
        ("{", json_type),
        ("{}", json_type),
        ('{"using": ["urn:x"], "methodCalls": []}', json_type),
        ("{}", {"Content-Type": "text/plain"}),
        (json.dumps({"using": USING, "methodCalls": [["Core/echo", {}, "0"]] * 33}), json_type),
    ]:
        status, _, content = person.ask("POST", "/jmap", body, **headers)
        problem = json.loads(content)
        wrong.append([status, problem["type"].rsplit(":", 1)[1], problem.get("limit")])
    told["wrong"] = wrong
    told["methods"] = [person.ask(*asked)[0] for asked in [("GET", "/jmap"), ("POST", "/.well-known/jmap"), ("GET", "/jmap/nothing")]]

    # Three megabytes of a message, in chunks, up and down again.
    text = b"".join(b"line %d\r\n" % n for n in range(300_000))
    message = b"From: a@x.test\r\nSubject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + text + b"--b\r\nContent-Type: application/x-odd; name=\"o dd\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(bytes(range(256)) * 64).replace(b"\n", b"\r\n") + b"--b--\r\n"
    pieces = (message[at : at + 65_536] for at in range(0, len(message), 65_536))
    status, _, content = person.ask("POST", f"/jmap/upload/{account}", pieces, **{"Content-Type": "message/rfc822"})
    upload = json.loads(content)
    told["upload"] = [status, upload["size"] == len(message), upload["type"], upload["accountId"] == account]
    inbox = [one["id"] for one in person.call(["Mailbox/get", {"accountId": account, "ids": None}, "0"])[0][1]["list"] if one["role"] == "inbox"][0]
    imported = person.call(["Email/import", {"accountId": account, "emails": {"a": {"blobId": upload["blobId"], "mailboxIds": {inbox: True}}}}, "0"])
    email = imported[0][1]["created"]["a"]
    shown = person.call(["Email/get", {"accountId": account, "ids": [email["id"]], "properties": ["blobId", "attachments", "subject"]}, "0"])[0][1]["list"][0]
    status, headers, content = person.ask("GET", f"/jmap/download/{account}/{shown['blobId']}/all%20of%20it.eml?type=message%2Frfc822")
    told["whole"] = [status, content == message, headers["content-type"], headers["content-disposition"]]
    part = shown["attachments"][0]
    status, headers, content = person.ask("GET", f"/jmap/download/{account}/{part['blobId']}/x?type={part['type']}")
    told["part"] = [status, content == bytes(range(256)) * 64, headers["content-type"], "sandbox" in headers["content-security-policy"]]
    told["lost"] = [person.ask("GET", f"/jmap/download/{account}/{blob}/x")[0] for blob in ("B999999", "U999999", "nonsense")]
    told["emailId"] = email["id"]
    told["threadId"] = email["threadId"]
    print(json.dumps(told))


def waiting():
    """Two wait for what happens to them; something happens to one."""
    heard = {}
    both = threading.Barrier(3)

    def listen(name, address, password, account):
        person = Person(address, password)
        stream = person.events("types=*&closeafter=state&ping=0", both.wait)
        event, event_id, data = next(stream)
        heard[name] = [event, bool(event_id), sorted(json.loads(data)["changed"][account])]

    (alice, secret), (bob, other) = arguments[:2], arguments[2:4]
    accounts = {who: Person(who, word).account() for who, word in [(alice, secret), (bob, other)]}
    first = threading.Thread(target=listen, args=("alice", alice, secret, accounts[alice]))
    second = threading.Thread(target=listen, args=("bob", bob, other, accounts[bob]), daemon=True)
    first.start()
    second.start()
    both.wait(30)
    mailbox = Person(alice, secret)
    account = accounts[alice]
    mailbox.call(["Mailbox/set", {"accountId": account, "create": {"a": {"name": "made while waiting"}}}, "0"])
    first.join(30)
    second.join(2)
    # One that comes back is told at once what it missed.
    again = Person(alice, secret).events("types=Mailbox&closeafter=state", **{"Last-Event-ID": "0:Mailbox=0"})
    event, _, data = next(again)
    heard["again"] = [event, list(json.loads(data)["changed"])]
    heard["again"][1] = heard["again"][1] == [account]
    print(json.dumps(heard))


def apart():
    """What one account's ids come to in the hands of another."""
    (alice, secret), (bob, other) = arguments[:2], arguments[2:4]
    hers, his = Person(alice, secret), Person(bob, other)
    account, own = hers.account(), his.account()
    emails = hers.call(["Email/query", {"accountId": account}, "0"])[0][1]["ids"]
    shown = hers.call(["Email/get", {"accountId": account, "ids": emails, "properties": ["blobId", "threadId", "mailboxIds"]}, "0"])[0][1]["list"]
    email = shown[0]
    upload = json.loads(hers.ask("POST", f"/jmap/upload/{account}", b"secret", **{"Content-Type": "text/plain"})[2])["blobId"]
    told = {"accounts": list(his.session()["accounts"]) == [own]}
    kinds = []
    for method, more in [
        ("Email/get", {"ids": emails}),
        ("Email/query", {}),
        ("Mailbox/get", {"ids": None}),
        ("Thread/get", {"ids": [email["threadId"]]}),
        ("Email/changes", {"sinceState": "1"}),
        ("EmailSubmission/get", {"ids": None}),
        ("Email/set", {"destroy": emails}),
    ]:
        kinds.append(his.call([method, {"accountId": account} | more, "0"])[0][1]["type"])
    told["errors"] = sorted(set(kinds))
    mine = his.call(
        ["Email/get", {"accountId": own, "ids": emails}, "0"],
        ["Thread/get", {"accountId": own, "ids": [email["threadId"]]}, "1"],
        ["Email/set", {"accountId": own, "destroy": emails, "update": {emails[0]: {"keywords/$seen": True}}}, "2"],
        ["Email/import", {"accountId": own, "emails": {"a": {"blobId": upload, "mailboxIds": {"F1": True}}}}, "3"],
        ["Email/parse", {"accountId": own, "blobIds": [upload, email["blobId"]]}, "4"],
    )
    told["own"] = [
        len(mine[0][1]["list"]),
        len(mine[1][1]["list"]),
        mine[2][1]["destroyed"],
        mine[2][1]["updated"],
        mine[3][1]["created"],
        mine[4][1]["parsed"],
    ]
    told["downloads"] = [
        his.ask("GET", f"/jmap/download/{where}/{blob}/x")[0]
        for where in (account, own)
        for blob in (upload, email["blobId"], email["blobId"] + "_1")
    ]
    told["uploads"] = his.ask("POST", f"/jmap/upload/{account}", b"x")[0]
    told["still"] = hers.call(["Email/query", {"accountId": account}, "0"])[0][1]["ids"] == emails
    print(json.dumps(told))


def ended():
    """A stream of events ends when the password does: the script waits for that."""
    address, password = arguments
    person = Person(address, password)
    stream = person.events("types=*&closeafter=no&ping=15", lambda: print("open", flush=True))
    for _ in stream:
        pass  # the first look opens it
    print(json.dumps({"after": person.ask("GET", "/.well-known/jmap")[0]}))


{"everything": everything, "waiting": waiting, "apart": apart, "ended": ended}[scene]()
