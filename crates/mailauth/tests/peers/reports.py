"""Reads reports with parsedmarc, as mail and without, and prints what it finds as JSON.

reports.py FOLDER: aggregate.xml is checked against aggregate.xsd; aggregate.eml, tls.eml, tls.json and
failure.eml are parsed. Nothing is asked of the network.
"""

import json
import pathlib
import sys

import lxml.etree
import parsedmarc

folder = pathlib.Path(sys.argv[1])
offline = {"offline": True, "always_use_local_files": True}

schema = lxml.etree.XMLSchema(file=str(pathlib.Path(__file__).with_name("aggregate.xsd")))
schema.assertValid(lxml.etree.parse(str(folder / "aggregate.xml")))

found = {
    "xml": parsedmarc.parse_aggregate_report_xml((folder / "aggregate.xml").read_text("utf-8"), **offline),
    "json": parsedmarc.parse_smtp_tls_report_json((folder / "tls.json").read_text("utf-8")),
}
for name in ("aggregate", "tls", "failure"):
    mail = parsedmarc.parse_report_email((folder / f"{name}.eml").read_bytes(), **offline)
    found[name] = {"type": mail["report_type"], "report": mail["report"]}
json.dump(found, sys.stdout, default=str)
