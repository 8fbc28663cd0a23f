"""A program without a browser (RFC 8628), and its owner in a browser elsewhere.

    device.py HTTPS_HOST PORT ROOT_PEM ADDRESS PASSWORD [RECOVERY_CODE]

Prints the tokens as JSON. On the way it checks what must be refused.
"""

import json
import sys
import urllib.parse

from pages import Form, Pages, cookie

HOST, PORT, ROOT, ADDRESS, PASSWORD = sys.argv[1:6]
RECOVERY = sys.argv[6] if len(sys.argv) > 6 else None
GRANT = "urn:ietf:params:oauth:grant-type:device_code"
pages = Pages(HOST, PORT, ROOT)

# Found from the resource (RFC 9728), by the newer name and by the older one (RFC 8414 §5).
status, _, text = pages.ask("GET", "/.well-known/oauth-protected-resource")
assert status == 200, text
resource = json.loads(text)
issuer = resource["authorization_servers"][0]
assert resource["resource"] == issuer == f"https://{HOST}:{PORT}", resource
status, _, text = pages.ask("GET", "/.well-known/oauth-authorization-server")
metadata = json.loads(text)
assert status == 200 and metadata["issuer"] == issuer and GRANT in metadata["grant_types_supported"]
assert pages.ask("GET", "/.well-known/openid-configuration")[2] == text


def path(name):
    return urllib.parse.urlsplit(metadata[name]).path


about = {"client_name": "A <i>television</i>", "grant_types": [GRANT, "refresh_token"]}
status, _, text = pages.ask("POST", path("registration_endpoint"), json.dumps(about))
assert status == 201, text
client = json.loads(text)["client_id"]


def begin():
    fields = {"client_id": client, "scope": "imap"}
    status, headers, text = pages.post(path("device_authorization_endpoint"), fields)
    assert status == 200 and headers["Cache-Control"] == "no-store", text
    return json.loads(text)


def poll(device, of=client):
    fields = {"grant_type": GRANT, "client_id": of, "device_code": device["device_code"]}
    status, _, text = pages.post(path("token_endpoint"), fields)
    answer = json.loads(text)
    return answer if status == 200 else answer["error"]


status, _, text = pages.post(path("device_authorization_endpoint"), {"client_id": "nobody"})
assert status == 400 and json.loads(text)["error"] == "invalid_client", text

device = begin()
assert device["interval"] >= 5 and device["expires_in"] > 60, device
assert poll(device) == "authorization_pending"
assert poll(device) == "slow_down"
assert poll(device, "another") == "invalid_grant"
assert poll({"device_code": "wrong"}) == "invalid_grant"

# The page fills the code in, and does nothing before its owner goes on.
complete = urllib.parse.urlsplit(device["verification_uri_complete"])
status, headers, page = pages.ask("GET", f"{complete.path}?{complete.query}")
assert status == 200 and "<script" not in page, page
fields = Form(page).fields
assert fields["user_code"] == device["user_code"], fields
where = urllib.parse.urlsplit(device["verification_uri"]).path
status, _, _ = pages.post(where, fields)
assert status == 403  # not from our page
wrong = fields | {"user_code": "BBBB-BBBB"}
status, _, text = pages.post(where, wrong, cookie(headers))
assert status == 404 and "No program waits" in text, text

# Typed by hand: other case, no hyphen.
typed = fields | {"user_code": device["user_code"].replace("-", "").lower()}
status, headers, page = pages.post(where, typed, cookie(headers))
assert status == 200 and "A &lt;i&gt;television" in page and "send mail" not in page, page
assert device["user_code"] in page
fields = Form(page).fields | {"address": ADDRESS, "answer": "allow"}
status, _, _ = pages.post(where, fields | {"password": "wrong"}, cookie(headers))
assert status == 403
assert poll(device) in ("authorization_pending", "slow_down")
status, headers, page = pages.post(where, fields | {"password": PASSWORD}, cookie(headers))
assert status == 200, page
if RECOVERY:
    fields = Form(page).fields | {"code": RECOVERY, "answer": "allow"}
    status, headers, page = pages.post(where, fields, cookie(headers))
    assert status == 200, page
assert "Done" in page, page
tokens = poll(device)
assert tokens["scope"] == "imap", tokens
assert poll(device) == "invalid_grant"  # told once

# Another one is denied.
device = begin()
status, headers, page = pages.ask("GET", where)
typed = Form(page).fields | {"user_code": device["user_code"]}
status, headers, page = pages.post(where, typed, cookie(headers))
status, _, page = pages.post(where, Form(page).fields | {"answer": "deny"}, cookie(headers))
assert status == 200 and "given nothing" in page, page
assert poll(device) == "access_denied"
print(json.dumps(tokens))
