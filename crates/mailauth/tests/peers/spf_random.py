"""A suite file with random records, for two implementations to agree on: SEED COUNT."""

import random
import sys

import yaml

HOSTS = ["h1", "h2", "h3", "mx1", "none"]
SPECS = ["%{d}", "h1.%{d2}", "%{l1r-}.u.example.org", "%{ir}.%{v}.b.example.org", "%{h}", "%{o}"]
PREFIXES = ["", "", "", "/24", "/0", "//64", "/28//48", "/33", "//129"]
BROKEN = ["ip4:1.2.3", "alll", "a:museum", "exp=", "ip6:::1/129", "exists", "include:", "a/", "moo=%x"]


def domain(rng):
    if rng.random() < 0.25:
        return rng.choice(SPECS)
    return f"{rng.choice(HOSTS)}.example.org"


def term(rng, level):
    qualifier = rng.choice(["", "", "+", "-", "~", "?"])
    kind = rng.randrange(9)
    if kind == 0:
        return f"{qualifier}ip4:192.0.2.{rng.randrange(8)}{rng.choice(['', '/30', '/24', '/31'])}"
    if kind == 1:
        return f"{qualifier}ip6:2001:db8::{rng.randrange(4)}{rng.choice(['', '/127', '/32'])}"
    if kind in (2, 3):
        name = rng.choice(["a", "mx", "A", "Mx"])
        colon = f":{domain(rng)}" if rng.random() < 0.6 else ""
        return f"{qualifier}{name}{colon}{rng.choice(PREFIXES)}"
    if kind == 4:
        return f"{qualifier}exists:{domain(rng)}"
    if kind == 5:
        return f"{qualifier}ptr" + (":example.org" if rng.random() < 0.5 else "")
    if kind in (6, 7) and level < 4:
        return f"{qualifier}include:r{level + 1}-{rng.randrange(3)}.example.org"
    return rng.choice(BROKEN) if rng.random() < 0.15 else f"{qualifier}ip4:203.0.113.7"


def record(rng, level):
    terms = [term(rng, level) for _ in range(rng.randrange(1, 4))]
    end = rng.random()
    if end < 0.5:
        terms.append(rng.choice(["-all", "~all", "?all", "all"]))
    elif end < 0.7 and level < 4:
        terms.append(f"redirect=r{level + 1}-{rng.randrange(3)}.example.org")
    return "v=spf1 " + " ".join(terms)


def document(rng):
    zone = {
        f"r{level}-{n}.example.org": [
            {"TXT": record(rng, level)},
            {"A": f"192.0.2.{rng.randrange(8)}"},
            {"AAAA": f"2001:db8::{rng.randrange(4)}"},
            {"MX": [10, f"{rng.choice(['h1', 'mx1'])}.example.org"]},
        ]
        for level in range(5)
        for n in range(3)
    }
    for name in ["h1", "h2", "h3", "mx1"]:
        zone[f"{name}.example.org"] = [
            {"A": f"192.0.2.{rng.randrange(8)}"},
            {"AAAA": f"2001:db8::{rng.randrange(4)}"},
        ]
    for last in range(8):
        zone[f"{last}.2.0.192.in-addr.arpa"] = [{"PTR": f"{rng.choice(HOSTS)}.example.org"}]
    tests = {
        f"case{n}": {
            "helo": rng.choice(["h1.example.org", "h2.example.org"]),
            "host": rng.choice([f"192.0.2.{rng.randrange(8)}", f"2001:db8::{rng.randrange(4)}"]),
            "mailfrom": f"jo-ann@r0-{rng.randrange(3)}.example.org",
            "result": "none",
        }
        for n in range(4)
    }
    return {"zonedata": zone, "tests": tests}


rng = random.Random(int(sys.argv[1]))
yaml.safe_dump_all([document(rng) for _ in range(int(sys.argv[2]))], sys.stdout)
