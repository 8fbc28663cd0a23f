"""dkimpy as another program to sign and verify with: a list of jobs as JSON on standard input, a list
of answers on standard output. Octets are Base64."""

import base64
import json
import sys

import dkim


def octets(text):
    return base64.b64decode(text)


def lookup(records):
    def dnsfunc(name, timeout=5):
        text = records.get(name.decode("ascii").rstrip("."))
        return text.encode() if text is not None else None

    return dnsfunc


def sign(job):
    return base64.b64encode(
        dkim.sign(
            octets(job["message"]),
            job["selector"].encode(),
            job["domain"].encode(),
            octets(job["key"]),
            canonicalize=(job["header"].encode(), job["body"].encode()),
            signature_algorithm=job["algorithm"].encode(),
            length=job.get("length", False),
        )
    ).decode()


def verify(job):
    return dkim.verify(octets(job["message"]), dnsfunc=lookup(job["records"]))


def arc_sign(job):
    fields = dkim.arc_sign(
        octets(job["message"]),
        job["selector"].encode(),
        job["domain"].encode(),
        octets(job["key"]),
        job["server"].encode(),
    )
    return base64.b64encode(b"".join(fields)).decode()


def arc_verify(job):
    status, _, reason = dkim.arc_verify(
        octets(job["message"]), dnsfunc=lookup(job["records"])
    )
    return [status.decode() if status else "ended", str(reason)]


JOBS = {"sign": sign, "verify": verify, "arc_sign": arc_sign, "arc_verify": arc_verify}
json.dump([JOBS[job["do"]](job) for job in json.load(sys.stdin)], sys.stdout)
