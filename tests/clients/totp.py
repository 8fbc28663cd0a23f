"""Switches the second step on, as a person at a terminal does: reads the secret, types a wrong code and then
what an authenticator shows.

    totp.py WAXWING CONFIG ADDRESS

Prints the secret and the recovery codes as JSON.
"""

import json
import re
import subprocess
import sys
import urllib.parse

import pages

WAXWING, CONFIG, ADDRESS = sys.argv[1:4]
command = [WAXWING, "user", "totp", "enable", ADDRESS, "--config", CONFIG]
pipe = subprocess.PIPE
terminal = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
shown = []
for line in terminal.stdout:
    shown.append(line)
    if line.startswith("secret: "):
        break
uri = next(line.strip() for line in shown if line.startswith("otpauth://"))
parts = urllib.parse.urlsplit(uri)
assert parts.netloc == "totp" and urllib.parse.unquote(parts.path).endswith(":" + ADDRESS), uri
secret = urllib.parse.parse_qs(parts.query)["secret"][0]
assert shown[-1] == f"secret: {secret}\n", shown[-1]
assert any("█" in line for line in shown), "no QR code"

wrong = "000000" if pages.code(secret) != "000000" else "111111"
terminal.stdin.write(wrong + "\n")
terminal.stdin.write(pages.code(secret) + "\n")
terminal.stdin.close()
rest = terminal.stdout.read()
told = terminal.stderr.read()
assert terminal.wait(60) == 0, told
assert "that code is wrong" in told, told
assert secret not in rest + told
codes = re.findall(r"[a-z2-9]{5}-[a-z2-9]{5}-[a-z2-9]{5}", rest)
print(json.dumps({"secret": secret, "recovery": codes}))
