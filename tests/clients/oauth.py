"""A mail program's way to an access token: finds the server's metadata, registers itself, sends its
owner's browser to the login page (played here without one), and exchanges the code.

    oauth.py HTTPS_HOST PORT ROOT_PEM ADDRESS PASSWORD [SCOPE [SECRET]]

With the secret of an authenticator, codes are asked for. Prints the tokens and the client's id as JSON. On the way it checks what must be refused.
"""

import base64
import hashlib
import json
import secrets
import sys
import urllib.parse

from pages import Form, Pages, code, cookie

HOST, PORT, ROOT, ADDRESS, PASSWORD = sys.argv[1:6]
SCOPE = sys.argv[6] if len(sys.argv) > 6 else "mail"
SECRET = sys.argv[7] if len(sys.argv) > 7 else None
REDIRECT = "http://127.0.0.1:41999/back"


pages = Pages(HOST, PORT, ROOT)
ask, post = pages.ask, pages.post

status, _, text = ask("GET", "/.well-known/oauth-authorization-server")
assert status == 200, text
metadata = json.loads(text)
assert metadata["code_challenge_methods_supported"] == ["S256"]


def path(name):
    return urllib.parse.urlsplit(metadata[name]).path


about = {"client_name": "A <b>test</b>", "redirect_uris": ["http://127.0.0.1/back"]}
status, _, text = ask("POST", path("registration_endpoint"), json.dumps(about))
assert status == 201, text
client = json.loads(text)["client_id"]

verifier = secrets.token_urlsafe(48)
challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
query = {
    "response_type": "code",
    "client_id": client,
    "redirect_uri": REDIRECT,
    "code_challenge": challenge,
    "code_challenge_method": "S256",
    "state": "a state & more",
    "scope": SCOPE,
    "login_hint": ADDRESS,
}
authorize = path("authorization_endpoint")

# Nobody is sent to a place that was not registered, or without PKCE.
status, headers, _ = ask("GET", authorize + "?" + urllib.parse.urlencode(query | {"redirect_uri": "https://evil.example/"}))
assert status == 400 and "Location" not in headers
status, headers, _ = ask("GET", authorize + "?" + urllib.parse.urlencode(query | {"code_challenge_method": "plain"}))
assert status == 303 and "error=invalid_request" in headers["Location"]

status, headers, page = ask("GET", authorize + "?" + urllib.parse.urlencode(query))
assert status == 200, page
assert "<script" not in page and "<b>test" not in page
policy = headers["Content-Security-Policy"]
assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy, policy
own = cookie(headers)
fields = Form(page).fields | {"password": PASSWORD, "answer": "allow"}
assert fields["address"] == ADDRESS

# Without the cookie of our own page, with a wrong password, and after a refusal nothing is given.
status, headers, _ = post(authorize, fields)
assert status == 403 and "Location" not in headers
status, headers, _ = post(authorize, fields | {"password": "wrong"}, own)
assert status == 403 and "Location" not in headers
status, headers, _ = post(authorize, fields | {"answer": "deny"}, own)
assert status == 303 and "error=access_denied" in headers["Location"]

status, headers, page = post(authorize, fields, own)
if SECRET:
    # The password is right, and is not enough; it does not come back in the page.
    assert status == 200 and PASSWORD not in page, page
    assert "code" in Form(page).fields, page
    shown = code(SECRET, "now + 30 seconds")
    wrong = "000000" if shown != "000000" else "111111"
    step = Form(page).fields | {"code": wrong, "answer": "allow"}
    status, _, _ = post(authorize, step)
    assert status == 403  # not from our page
    status, headers, page = post(authorize, step, cookie(headers))
    assert status == 403 and "Location" not in headers, page
    last = Form(page).fields | {"code": shown, "answer": "allow"}, cookie(headers)
    status, headers, page = post(authorize, *last)
assert status == 303, page
location = headers["Location"]
assert location.startswith(REDIRECT + "?"), location
back = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))
assert back["state"] == "a state & more" and back["iss"] == metadata["issuer"], back

if SECRET:
    status, again, _ = post(authorize, *last)
    assert status == 403 and "Location" not in again  # no code is taken twice

exchange = {
    "grant_type": "authorization_code",
    "client_id": client,
    "code": back["code"],
    "redirect_uri": REDIRECT,
    "code_verifier": verifier,
}
token = path("token_endpoint")
status, _, text = post(token, exchange | {"code_verifier": secrets.token_urlsafe(48)})
assert status == 400 and json.loads(text)["error"] == "invalid_grant", text
status, headers, text = post(token, exchange)
assert status == 200 and headers["Cache-Control"] == "no-store", text
first = json.loads(text)

# The next pair; the tokens before it open nothing more.
renewal = {"grant_type": "refresh_token", "client_id": client, "refresh_token": first["refresh_token"]}
status, _, text = post(token, renewal)
assert status == 200, text
tokens = json.loads(text)
assert tokens["access_token"] != first["access_token"]
print(json.dumps({"client": client, "used": first["refresh_token"]} | tokens))
