"""Writes and reads mail files with Python's mailbox module.

mailboxes.py write mbox FILE COUNT          messages 0..COUNT, the even ones read, every fifth flagged
mailboxes.py write maildir FOLDER COUNT     the same into a Maildir; odd ones into the folder Work.Entwürfe
mailboxes.py read mbox FILE                 one line of JSON for each message
mailboxes.py read maildir FOLDER            the same, with folders
"""

import calendar
import hashlib
import json
import mailbox
import sys
import time

action, kind, path = sys.argv[1:4]
BEGIN = 1_700_000_000


def text(number):
    return (
        f"From: <a@python.test>\nTo: <b@python.test>\nSubject: number {number}\n"
        f"Message-ID: <{number}@python.test>\nDate: Tue, 14 Nov 2023 22:13:20 +0000\n\n"
        f"This is {number}.\n\nFrom here to there\n>From there\n" + "x" * number + "\n"
    )


def write():
    count = int(sys.argv[4])
    if kind == "mbox":
        box = mailbox.mbox(path)
        for number in range(count):
            message = mailbox.mboxMessage(text(number))
            message.set_from("a@python.test", time.gmtime(BEGIN + number))
            message.set_flags(("RO" if number % 2 == 0 else "O") + ("F" if number % 5 == 0 else ""))
            box.add(message)
        box.close()
        return
    box = mailbox.Maildir(path)
    work = box.add_folder("Work.Entw&APw-rfe")
    for number in range(count):
        message = mailbox.MaildirMessage(text(number))
        message.set_date(BEGIN + number)
        message.set_subdir("cur")
        message.set_flags(("S" if number % 2 == 0 else "") + ("F" if number % 5 == 0 else ""))
        (work if number % 2 else box).add(message)


def digest(message):
    # What is said, without what the file adds.
    for name in ("Status", "X-Status", "X-Keywords"):
        del message[name]
    raw = message.as_bytes().replace(b"\r\n", b"\n").rstrip(b"\n")
    lines = [line[1:] if line.startswith(b">") and line.lstrip(b">").startswith(b"From ") else line for line in raw.split(b"\n")]
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def show(folder, message, flags, at):
    print(json.dumps({
        "folder": folder, "subject": message["Subject"], "id": message["Message-ID"],
        "flags": "".join(sorted(flags)), "at": at, "keywords": message.get("X-Keywords", ""),
        "digest": digest(message),
    }))


def read():
    if kind == "mbox":
        for message in mailbox.mbox(path, create=False):
            when = message.get_from().split(" ", 1)[1]
            at = calendar.timegm(time.strptime(when))
            show("", message, message.get_flags(), at)
        return
    box = mailbox.Maildir(path, create=False)
    for folder, of in [("", box)] + [(name, box.get_folder(name)) for name in box.list_folders()]:
        for message in of:
            show(folder, message, message.get_flags(), int(message.get_date()))


{"write": write, "read": read}[action]()
