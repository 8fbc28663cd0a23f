"""pyspf's verdict on every case of a suite file: one line each: name, verdict, why it is permerror."""

import sys

import spf
import yaml


def zone_of(data):
    """Maps names to (type, value) pairs, as the suite means them."""
    zone = {}
    for name, entries in data.items():
        records = []
        has_txt = any(isinstance(e, dict) and "TXT" in e for e in entries)
        for entry in entries:
            if isinstance(entry, str):
                records.append((entry, None))
                continue
            for kind, value in entry.items():
                if value == "NONE":
                    continue
                if kind in ("SPF", "TXT"):
                    strings = value if isinstance(value, list) else [value]
                    value = tuple(s.encode("latin-1") for s in strings)
                    if kind == "SPF" and not has_txt:
                        records.append(("TXT", value))
                elif kind == "MX":
                    value = tuple(value)
                elif kind in ("CNAME", "PTR"):
                    value = value.rstrip(".")
                records.append((kind, value))
        zone[name.lower()] = records
    return zone


def lookup_in(zone):
    def lookup(name, kind, strict=True, timeout=20):
        records = zone.get(name.lower().rstrip("."), [])
        found = []
        for record_kind, value in records:
            if record_kind == "TIMEOUT":
                if not any(k == kind for k, _ in records):
                    raise spf.TempError("DNS timeout")
            elif record_kind in (kind, "CNAME"):
                found.append(((name, record_kind), value))
        return found

    return lookup


def main(path):
    with open(path, encoding="utf-8") as file:
        for document in yaml.safe_load_all(file):
            spf.DNSLookup = lookup_in(zone_of(document["zonedata"]))
            for name, test in document["tests"].items():
                query = spf.query(
                    i=str(test["host"]),
                    s=test["mailfrom"],
                    h=test["helo"],
                    receiver="receiver.example",
                    strict=1,
                )
                verdict, _code, _text = query.check()
                print(f"{name}\t{verdict}\t{query.perm_error or ''}")


main(sys.argv[1])
