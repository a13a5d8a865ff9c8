#!/usr/bin/env python3
"""Checks reports against config/report.schema.json, and that their counts add up.

    check_report.py report.json...        exit 0: all are sound; 1: what is wrong, a line each

Knows the part of JSON Schema that our schema uses, and refuses a schema that uses more. As a module: problems(report)."""
import json
import pathlib
import re
import sys

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "config" / "report.schema.json"
KNOWN = {"$schema", "$defs", "$ref", "title", "description", "type", "properties", "required", "additionalProperties",
         "items", "minimum", "maximum", "enum", "const", "pattern", "if", "then", "else"}


def is_type(value, name):
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {"object": isinstance(value, dict), "array": isinstance(value, list), "string": isinstance(value, str),
            "boolean": isinstance(value, bool), "number": number,
            "integer": number and isinstance(value, int)}[name]


def check(value, schema, root, path, found):
    if schema is False:
        found.append(f"{path}: does not belong here")
        return
    unknown = set(schema) - KNOWN
    assert not unknown, f"the schema uses {unknown}, which this check does not know"
    if "$ref" in schema:
        prefix, _, name = schema["$ref"].rpartition("/")
        assert prefix == "#/$defs", schema["$ref"]
        check(value, root["$defs"][name], root, path, found)
    if "type" in schema and not is_type(value, schema["type"]):
        found.append(f"{path}: {value!r} is no {schema['type']}")
        return
    if "const" in schema and value != schema["const"]:
        found.append(f"{path}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: {value!r} is none of {schema['enum']}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{path}: {value!r} does not match {schema['pattern']}")
    if "minimum" in schema and not value >= schema["minimum"]:
        found.append(f"{path}: {value!r} is below {schema['minimum']}")
    if "maximum" in schema and not value <= schema["maximum"]:
        found.append(f"{path}: {value!r} is above {schema['maximum']}")
    if "if" in schema:
        unmet = []
        check(value, schema["if"], root, path, unmet)
        check(value, schema["else" if unmet else "then"], root, path, found)
    if isinstance(value, dict):
        check_object(value, schema, root, path, found)
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            check(item, schema["items"], root, f"{path}[{i}]", found)


def check_object(value, schema, root, path, found):
    properties = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            found.append(f"{path}.{name}: missing")
    for name, item in value.items():
        if name in properties:
            check(item, properties[name], root, f"{path}.{name}", found)
        elif schema.get("additionalProperties") is False:
            found.append(f"{path}.{name}: not in the schema")
        elif isinstance(schema.get("additionalProperties"), dict):
            check(item, schema["additionalProperties"], root, f"{path}.{name}", found)


def check_sums(report, found):
    c = report["summary"]["connections"]
    failed = c["failed"]
    if c["attempted"] != c["completed"] + failed["total"] + c["unfinished"]:
        found.append(f"summary.connections: attempted is not completed + failed + unfinished: {c}")
    if report["machine"]["tsc_hz"] <= 0:
        found.append("machine.tsc_hz is not known")
    for where, f in [("summary", failed)] + [(f"intervals[{i}]", v["failed"]) for i, v in enumerate(report["intervals"])]:
        if f["total"] != sum(n for cause, n in f.items() if cause != "total"):
            found.append(f"{where}: failed.total is not the sum of its causes: {f}")
    for i, v in enumerate(report["intervals"]):
        if v["drops"] != sum(v["drops_by_reason"].values()):
            found.append(f"intervals[{i}]: drops is not the sum of its reasons: {v['drops']}, {v['drops_by_reason']}")
    for stage, l in report["summary"].get("latency_us", {}).items():
        order = [l[p] for p in ("p50", "p90", "p99", "p999", "p9999", "max")]
        if order != sorted(order):
            found.append(f"summary.latency_us.{stage}: percentiles do not rise: {order}")
        of_cores = [c["latency_us"][stage]["count"] for c in report["summary"]["cores"] if "latency_us" in c]
        if sum(of_cores) != l["count"]:
            found.append(f"summary.cores: {of_cores} values of {stage} do not make the {l['count']} that latency_us counts")
        bars = report["summary"]["histogram"][stage]
        if sum(bar["count"] for bar in bars) != l["count"]:
            found.append(f"summary.histogram.{stage}: its bars do not hold the {l['count']} values that latency_us counts")


def problems(report, schema=None):
    """What is wrong with a parsed report, a line each."""
    root = schema or json.loads(SCHEMA.read_text())
    found = []
    check(report, root, root, "report", found)
    if not found:
        check_sums(report, found)
    return found


def main(paths):
    bad = 0
    for path in paths:
        for line in problems(json.loads(pathlib.Path(path).read_text())):
            print(f"{path}: {line}")
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
