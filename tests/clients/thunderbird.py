"""Thunderbird sets itself up from an address and a password, and shows what is in the mailbox.

thunderbird.py FOLDER ROOT.pem ADDRESS PASSWORD SUBJECT

Runs where the names of the address's domain lead to the server under test. Thunderbird is driven through
Marionette, its own remote control, and seen by a virtual screen. Pictures of the steps are left in FOLDER.
"""

import base64
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

folder, root, address, password, subject = sys.argv[1:]
folder = pathlib.Path(folder)
PATIENCE = 60


class Marionette:
    """Enough of the protocol: [0, id, command, parameters] and back, each with its length before it."""

    def __init__(self, port):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        self.buffer, self.id = b"", 0
        self.receive()
        self.call("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": False}}})
        self.call("Marionette:SetContext", {"value": "chrome"})
        self.call("WebDriver:SetTimeouts", {"script": PATIENCE * 1000})

    def receive(self):
        while b":" not in self.buffer:
            self.more()
        size, self.buffer = self.buffer.split(b":", 1)
        while len(self.buffer) < int(size):
            self.more()
        message, self.buffer = self.buffer[: int(size)], self.buffer[int(size) :]
        return json.loads(message)

    def more(self):
        octets = self.socket.recv(1 << 16)
        assert octets, "Thunderbird ended"
        self.buffer += octets

    def call(self, command, parameters):
        self.id += 1
        message = json.dumps([0, self.id, command, parameters]).encode()
        self.socket.sendall(str(len(message)).encode() + b":" + message)
        while True:
            answer = self.receive()
            if answer[0] == 1 and answer[1] == self.id:
                assert answer[2] is None, f"{command}: {answer[2].get('message')}\n{answer[2].get('stacktrace')}"
                return answer[3]

    def run(self, script, *arguments):
        """A script in Thunderbird's own pages; may await."""
        whole = "const [done] = [arguments[arguments.length - 1]]; (async (args) => {" + script + "})([...arguments].slice(0, -1)).then(v => done([true, v]), e => done([false, String(e) + '\\n' + e?.stack]));"
        answer = self.call("WebDriver:ExecuteAsyncScript", {"script": whole, "args": list(arguments), "sandbox": "system"})
        worked, value = answer["value"]
        assert worked, value
        return value

    def eventually(self, what, script, *arguments):
        deadline = time.monotonic() + PATIENCE
        while True:
            value = self.run(script, *arguments)
            if value:
                return value
            if time.monotonic() > deadline:
                picture(self, "failed")
                raise SystemExit(f"waited in vain for {what}")
            time.sleep(0.3)


def picture(marionette, name):
    png = marionette.run(
        """
        const { width, height } = window.screen;
        const canvas = window.document.createElementNS("http://www.w3.org/1999/xhtml", "canvas");
        canvas.width = window.innerWidth; canvas.height = window.innerHeight;
        const bitmap = await window.browsingContext.currentWindowGlobal.drawSnapshot(
            new DOMRect(0, 0, window.innerWidth, window.innerHeight), 1, "white");
        canvas.getContext("2d").drawImage(bitmap, 0, 0);
        return canvas.toDataURL("image/png").split(",")[1];
        """
    )
    (folder / f"{name}.png").write_bytes(base64.b64decode(png))


# What is not this test's subject is off: updates, telemetry, first-run pages.
PREFERENCES = {
    "app.update.enabled": False,
    "app.donation.eoy.version.viewed": 999,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.bypassNotification": True,
    "toolkit.telemetry.enabled": False,
    "mail.rights.version": 1,
    "mailnews.start_page.enabled": False,
    "mail.spotlight.firstRunDone": True,
    "mail.shell.checkDefaultClient": False,
    "mail.chat.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.trr.mode": 5,
    "mail.inappnotifications.enabled": False,
    "extensions.update.enabled": False,
    "browser.safebrowsing.provider.mozilla.updateURL": "",
}


def start(display):
    profile = folder / "profile"
    profile.mkdir(parents=True)
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines) + "\n")
    environment = dict(os.environ, DISPLAY=display, HOME=str(folder), MOZ_HEADLESS="", LC_ALL="C.UTF-8", TZ="UTC")
    environment.pop("MOZ_HEADLESS")
    log = open(folder / "thunderbird.log", "w")
    command = ["thunderbird", "--marionette", "--remote-allow-system-access", "--profile", str(profile), "--no-remote"]
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def screen():
    read, write = os.pipe()
    xvfb = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x900x24", "-nolisten", "tcp"], pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    return xvfb, ":" + os.read(read, 20).decode().strip()


# The first window, whatever opened first.
MAIN = """
const main = Services.wm.getMostRecentWindow("mail:3pane");
"""
# The dialog in which accounts are set up, and what a person does in it.
HUB = MAIN + """
const container = main.document.querySelector("account-hub-container");
const hub = (container?.shadowRoot ?? main.document).querySelector("account-hub-email");
const shown = (id) => hub && !hub.querySelector(id).hidden && !hub.classList.contains("busy");
const type = (selector, text) => {
    const input = hub.querySelector(selector);
    input.focus(); input.value = text;
    input.dispatchEvent(new main.Event("input", { bubbles: true }));
};
const forward = () => {
    const button = hub.querySelector("account-hub-footer").querySelector("#forward");
    if (!button || button.disabled) return false;
    button.click();
    return true;
};
"""
TRUST = """
const pem = args[0].replace(/-----[^-]+-----/g, "").replace(/\\s/g, "");
Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(pem, "C,,");
"""


def set_up(m):
    m.run(TRUST, open(root).read())
    m.eventually("the main window", MAIN + "return !!main && main.document.readyState == 'complete' && !!main.openAccountHub;")
    # Without an account, Thunderbird opens the dialog by itself.
    m.eventually("the dialog", HUB + "return shown('#emailAutoConfigSubview') && !!hub.querySelector('#email');")
    m.run(HUB + "type('#realName', 'Alice'); type('#email', args[0]);", address)
    picture(m, "1-address")
    m.eventually("the button", HUB + "return forward();")
    # The address is enough: what was found is shown.
    m.eventually("the settings", HUB + "return shown('#emailConfigFoundSubview');")
    picture(m, "2-settings")
    found = m.run(HUB + "return hub.querySelector('#emailConfigFoundSubview').textContent.replace(/\\s+/g, ' ');")
    m.eventually("the button", HUB + "return forward();")
    m.eventually("the password", HUB + "return shown('#emailPasswordSubview') && !!hub.querySelector('#password');")
    m.run(HUB + "type('#password', args[0]);", password)
    m.eventually("the button", HUB + "return forward();")
    m.eventually("the account", HUB + "return shown('#emailAddedSuccessSubview') || shown('#emailSyncAccountsSubview');")
    picture(m, "3-account")
    m.run(HUB + "container.shadowRoot.querySelector('dialog')?.close();")
    return found


ACCOUNT = """
const account = MailServices.accounts.accounts.find((one) => one.incomingServer.type == "imap" || one.incomingServer.type == "pop3");
"""


def settings(m):
    return m.run(
        "const { MailServices } = ChromeUtils.importESModule('resource:///modules/MailServices.sys.mjs');"
        + ACCOUNT
        + """
        const incoming = account.incomingServer;
        const outgoing = MailServices.outgoingServer.getServerByKey(account.defaultIdentity.smtpServerKey);
        return {
            type: incoming.type, host: incoming.hostname ?? incoming.hostName, port: incoming.port, login: incoming.username,
            socket: incoming.socketType, outgoing: outgoing.serverURI.spec, outgoingSocket: outgoing.socketType,
            address: account.defaultIdentity.email,
        };
        """
    )


def read(m):
    m.run(
        MAIN
        + "const { MailServices } = ChromeUtils.importESModule('resource:///modules/MailServices.sys.mjs');"
        + ACCOUNT
        + """
        const inbox = account.incomingServer.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
        const tabmail = main.document.getElementById("tabmail");
        tabmail.currentAbout3Pane.displayFolder(inbox ?? account.incomingServer.rootFolder);
        """
    )
    m.eventually(
        "the message",
        MAIN
        + """
        const { MailServices } = ChromeUtils.importESModule('resource:///modules/MailServices.sys.mjs');
        """
        + ACCOUNT
        + """
        const inbox = account.incomingServer.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
        if (!inbox) return false;
        const pane = main.document.getElementById("tabmail").currentAbout3Pane;
        if (pane.gFolder?.URI != inbox.URI) { pane.displayFolder(inbox); inbox.updateFolder(null); return false; }
        const view = pane.gDBView;
        if (!view || view.rowCount == 0) return false;
        if (view.getMsgHdrAt(0).mime2DecodedSubject != args[0]) return false;
        if (pane.threadTree.selectedIndex != 0) { pane.threadTree.selectedIndex = 0; return false; }
        const message = main.document.getElementById("tabmail").currentAboutMessage;
        const body = message?.getMessagePaneBrowser()?.contentDocument?.body?.textContent ?? "";
        return body.trim().length > 0;
        """,
        subject,
    )
    picture(m, "4-message")
    return m.run(
        MAIN
        + """
        const message = main.document.getElementById("tabmail").currentAboutMessage;
        return message.getMessagePaneBrowser().contentDocument.body.textContent.trim();
        """
    )


xvfb, display = screen()
thunderbird = start(display)
try:
    marionette = Marionette(2828)
    found = set_up(marionette)
    print(json.dumps({"found": found, "settings": settings(marionette), "body": read(marionette)}))
finally:
    for process in (thunderbird, xvfb):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
