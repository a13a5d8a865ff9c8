#!/usr/bin/env python3
"""What a run writes: the printed summary, --json, --csv and --html say the same and add up; `tern report` reads them again,
alone and side by side; a search leads with the rate that it found; a damaged file is one line.

usage: test_reports.py <path of tern>
"""
import collections
import csv
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

import lib
from client import ROOT, ok
from test_report_page import PLOTS, Page

Run = collections.namedtuple("Run", "printed json csv html report")


def bench(folder, name, *words):
    """A run with all its files; nothing failed, and the report fits its schema."""
    paths = [f"{folder}/{name}.{kind}" for kind in ("json", "csv", "html")]
    r = lib.run(sys.argv[1], "bench", "--quiet", "--json", paths[0], "--csv", paths[1], "--html", paths[2], *words, timeout=60, ok=False)
    lib.ended_well(r, paths[0])
    out = r.stdout
    for path in paths:
        lib.check(f"written: {path}\n" in out, out)
    lib.run(sys.executable, ROOT / "tests/support/check_report.py", paths[0], timeout=20)
    report = json.loads(pathlib.Path(paths[0]).read_text())
    lib.check(report["summary"]["connections"]["failed"]["total"] == 0, f"{report['summary']['connections']}")
    return Run(out, *paths, report)


def tern_report(*words, ok=True):
    return lib.run(sys.argv[1], "report", *words, timeout=20, ok=ok)


def flat(value, prefix=""):
    """{path of names joined by _: number}, without lists."""
    if isinstance(value, dict):
        return {k: n for name, v in value.items() for k, n in flat(v, f"{prefix}{name}_").items()}
    return {} if isinstance(value, (list, str)) else {prefix[:-1]: value}


def intervals_add_up(run):
    s, intervals = run.report["summary"], run.report["intervals"]
    lib.check(len(intervals) > 2, f"{len(intervals)} intervals")
    p = s["packets"]
    whole = {**s["connections"], "requests": s["requests"], "response_bytes": s["response_bytes"], "rx_packets": p["rx"], "tx_packets": p["tx"],
             **{k: p[k] for k in ("rx_bytes", "tx_bytes", "retransmitted", "out_of_order", "duplicate", "resteered", "tx_ring_full")},
             "drops_by_reason": p["drops"], "drops": sum(p["drops"].values())}
    del whole["unfinished"]
    for what, total in flat(whole).items():
        parts = [flat(i).get(what, 0) for i in intervals]
        lib.check(sum(parts) == total, f"{what}: {total} in all, {sum(parts)} in the intervals: {parts}")
    end = 0
    for i in intervals:
        lib.check(math.isclose(i["t"] - i["seconds"], end, abs_tol=1e-6), f"an interval begins at {i['t'] - i['seconds']}, not at {end}")
        end = i["t"]
    ok("the intervals follow each other and add up to the whole, every count of them")


def columns(core):
    """Of a core's counts, those that the CSV has."""
    return [(name, core[name]) for name in ("busy", "established", "completed", "failed", "drops", "cycles_per_connection")] + \
        [("retransmitted", core["retransmitted"]["total"])]


def cores_add_up(run):
    """What the cores tell is what the whole tells, of each interval and of the run. (The bytes, and the server's own count of
    connections, are both ends'.)"""
    s = run.report["summary"]
    p = s["packets"]
    whole = {"rx_packets": p["rx"], "tx_packets": p["tx"], "drops_by_reason": p["drops"],
             **{k: p[k] for k in ("rx_bytes", "tx_bytes", "retransmitted", "out_of_order", "duplicate", "resteered", "tx_ring_full")}}
    for where, told, cores in [("run", whole, s["cores"])] + [(f"{i['t']} s", {k: i[k] for k in whole}, i["cores"])
                                                              for i in run.report["intervals"]]:
        for what, total in flat(told).items():
            if what != "retransmitted_data":  # of counters that are not read at once
                lib.check(sum(flat(c).get(what, 0) for c in cores) == total, f"{where}: {what}: {total}, {cores}")
        for c in cores:
            lib.check(sum(c["failed_by_cause"].values()) == c["failed"] and sum(c["drops_by_reason"].values()) == c["drops"], f"{c}")
    clients = [c for c in s["cores"] if c["role"] == "client"]
    lib.check(sum(c["requests"] for c in clients) == s["requests"] > 0, f"{clients}")
    for stage, of_all in s["latency_us"].items():
        told = [c["latency_us"][stage] for c in clients]
        lib.check(sum(l["count"] for l in told) == of_all["count"] and max(l["max"] for l in told) == of_all["max"], f"{stage}: {told}, {of_all}")
    for c in s["cores"]:
        parts = [k["cycles"] for i in run.report["intervals"] for k in i["cores"] if (k["core"], k["role"]) == (c["core"], c["role"])]
        # Read while its core goes on: what the port took of a turn may be told an interval later.
        lib.check(math.isclose(sum(parts), c["cycles"], rel_tol=0.01) and c["cycles_per_connection"] > 0, f"{parts}: {c}")
    each = sum(c["cycles"] for c in clients) / s["connections"]["completed"]
    lib.check(math.isclose(each, s["cycles_per_connection"]["client"], rel_tol=1e-6), f"{each}: {s['cycles_per_connection']}")
    servers = [c for c in s["cores"] if c["role"] == "server"]
    lib.check(sum(c["requests"] for c in servers) >= s["requests"], f"answered fewer than were answers: {servers}")
    ok("the cores add up to the whole, of each interval and of the run")


def derived_settings(run):
    c = run.report["config"]
    for name, value in (("target", "10.0.0.2:80"), ("ip", "10.0.0.1/24,10.0.0.2/24"), ("cores", "0,1"), ("sources", "10.1.0.0/20")):
        lib.check(c[name] == value, f"{name} is said to be {c[name]!r}")
    # Two seconds of the rate, 4 x 256 in progress and 4096; the rate for a second more than it lasts, and a tenth.
    lib.check((c["max_connections"], c["time_wait_records"]) == ("5320", "65536"), f"{c}")
    ok("config tells what was not given but followed: target, ip, cores, sources, records")


def csv_is_json(run):
    rows = list(csv.reader(open(run.csv)))
    names, rows = rows[0], rows[1:]
    intervals = run.report["intervals"]
    lib.check(len(set(names)) == len(names), f"two columns of one name: {[n for n, k in collections.Counter(names).items() if k > 1]}")
    lib.check(len(rows) == len(intervals) and all(len(r) == len(names) for r in rows), f"{len(rows)} rows, {len(intervals)} intervals")
    for row, interval in zip(rows, intervals):
        drops = interval.pop("drops_by_reason")
        want = flat(interval) | {f"core{c['core']}_{c['role']}_{name}": n for c in interval["cores"] for name, n in columns(c)}
        interval["drops_by_reason"] = drops
        lib.check(want.keys() == set(names), f"columns: {want.keys() ^ set(names)}")
        wrong = [n for n, cell in zip(names, row) if float(cell) != want[n]]
        lib.check(not wrong, f"{wrong} at {interval['t']} s: not as in the JSON")
    ok("--csv: a row an interval, every column as in the JSON, no name twice")


def page_is_json(path, run):
    page = Page()
    page.feed(pathlib.Path(path).read_text())
    lib.check(len(page.plots) == PLOTS and not page.fetched, f"{list(page.plots)}; fetches {page.fetched}")
    for label, plot in page.plots.items():
        bad = [d for d in plot["path"] + plot["rect"] if re.search(r"nan|inf", d)]
        lib.check(not bad, f"{label}: no coordinates: {bad[:3]}")
    for label in ("Connections completed", "Latency of the response", "Busy share", "Histogram: SYN", "Histogram: request to last"):
        drawn = [p for known, p in page.plots.items() if known.startswith(label)]
        lib.check(drawn and drawn[0]["path"] + drawn[0]["rect"], f"{label}: nothing is drawn: {list(page.plots)}")
    lib.check(json.loads(page.script) == run.report, f"{path}: the report in the page is not the JSON")


def read_again(folder, run):
    again = tern_report(run.json, "--csv", f"{folder}/again.csv", "--html", f"{folder}/again.html")
    lib.check(again.strip() and again in run.printed, f"tern report says\n{again}\nthe run said\n{run.printed}")
    # The JSON tells an interval's length in nine digits: what is divided by it again may differ in the ninth.
    names, *rows = csv.reader(open(run.csv))
    known, *later = csv.reader(open(f"{folder}/again.csv"))
    lib.check(known == names and len(later) == len(rows), "another CSV")
    wrong = [(n, a, b) for old, new in zip(rows, later) for n, a, b in zip(names, old, new)
             if not math.isclose(float(a), float(b), rel_tol=1e-7)]
    lib.check(not wrong, f"another CSV: {wrong}")
    page_is_json(f"{folder}/again.html", run)
    ok("tern report of the file: the summary that the run printed, its CSV, its page")


def rows_of(text):
    """{name: cells}"""
    return {line[:26].strip(): line[26:].split() for line in text.splitlines()}


def side_by_side(run, other):
    text = tern_report(run.json, other.json)
    rows = rows_of(text)
    both = [r.report["summary"]["connections"]["completed"] for r in (run, other)]
    lib.check([c.replace(",", "") for c in rows["completed"][:2]] == [str(n) for n in both], f"{both}:\n{text}")
    lib.check(rows["completed"][2] == f"x{both[1] / both[0]:.2f}", text)
    lib.check(rows["connections"][0] == "300" and rows["connections"][1] == "150", f"the setting that differs:\n{text}")
    lib.check("connections/s" in rows and "different" not in text, text)
    same = tern_report(run.json, run.json)
    lib.check("The settings are the same." in same and not re.search(r" x\d", same), f"a run beside itself:\n{same}")
    for option in ("--html", "--csv"):
        r = tern_report(run.json, other.json, option, "/dev/null", ok=False)
        lib.check(r.returncode == 2 and r.stdout.startswith(f"{option}: ") and r.stdout.count("\n") == 1, f"{r}")
    ok("tern report of two files: each row's values and their ratio, the setting that differs")


def search_leads(folder, run):
    found = bench(folder, "search", "--config", ROOT / "config/highest-rate.toml", "--find-from", "20", "--find-to", "40", "--find-step",
                  "300ms", "--max-p99", "5s", "--timeout", "30s", "--interval", "200ms")
    f = found.report["summary"]["search"]
    def as_found(shown):
        return math.isclose(float(shown), f["found_cps"], abs_tol=0.5)
    for text in (found.printed, tern_report(found.json)):
        lead = re.search(r"\nHighest rate held: ([\d.]+)/s; stopped: (.*)\n", text)
        lib.check(lead and as_found(lead.group(1)) and lead.group(2) == f["stopped"], text)
        lib.check(lead.start() < text.index("\nConnections, all rates tried together "), text)
    text = tern_report(found.json, found.json)
    lib.check(as_found(rows_of(text)["highest rate held/s"][0]) and f"stopped: {f['stopped']}\n" in text, text)
    lib.check("different kinds of run" in tern_report(run.json, found.json), "a search beside one load")
    tile = re.search(r"Highest rate held</div><div class=\"v \">([\d.]+)</div>", pathlib.Path(found.html).read_text())
    lib.check(tile and as_found(tile.group(1)), f"the page's first figure: {tile}")
    same_again(folder, found)
    ok("a search: text, page and comparison lead with the rate that it found")


def same_again(folder, run):
    """Each setting that config tells, given back to the command."""
    again = bench(folder, "same", *(f"--{name.replace('_', '-')}={value}" for name, value in run.report["config"].items()
                                    if name not in ("json", "csv", "html", "quiet")))
    files = ("json", "csv", "html")
    first, second = ({k: v for k, v in r.report["config"].items() if k not in files} for r in (run, again))
    lib.check(first == second, f"{set(first.items()) ^ set(second.items())}")
    ok("config, given back to the command, is the same run")


def no_room(folder):
    """A limit on files, as a full disk: the cause, and nothing that is half a report."""
    small = pathlib.Path(folder) / "small"
    small.mkdir()
    r = subprocess.run(["bash", "-c", 'ulimit -f 4; exec "$@"', "-", sys.argv[1], "bench", "--duration", "300ms", "--interval", "100ms", "--quiet",
                        "--json", small / "a.json", "--html", small / "a.html", "--csv", small / "a.csv"], capture_output=True, text=True, timeout=60)
    lib.check(r.returncode == 1 and f"could not be written: {small}/a.json (File too large); " in r.stdout, f"{r}")
    left = {f.name for f in small.iterdir()}
    lib.check(left == {f"a.{kind}" for kind in ("json", "html", "csv") if f"\nwritten: {small}/a.{kind}" in r.stdout}, f"{left}: {r}")
    whole = subprocess.run([sys.argv[1], "bench", "--duration", "100ms", "--quiet", "--json", "/dev/stdout"], capture_output=True, text=True, timeout=60)
    begin = whole.stdout.index("\n{") + 1
    lib.check(json.JSONDecoder().raw_decode(whole.stdout[begin:])[0]["command"] == "bench", whole.stdout)
    for words in (["--help"], ["bench", "--print-config"], ["bench", "--duration", "100ms"], ["explain"]):
        with open("/dev/full", "w") as full:
            r = subprocess.run([sys.argv[1], *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        lib.check((r.returncode, r.stderr) == (1, "tern: standard output could not be written: No space left on device\n"), f"{words}: {r}")
        r = subprocess.run(["bash", "-c", '"$@" | true; exit ${PIPESTATUS[0]}', "-", sys.argv[1], *words], capture_output=True, text=True, timeout=60)
        lib.check(r.stderr == "", f"a reader that is gone: {words}: {r}")
    ok("no room for a report or for what is printed: the cause, exit 1, nothing half written")


def damaged(folder, run):
    whole = pathlib.Path(run.json).read_text()
    spoilt = pathlib.Path(folder) / "spoilt.json"
    number = re.search(r'"cps": ([\d.]+)', whole)
    for text, why in ((whole.replace(number.group(0), '"cps": 1e400', 1), "the number 1e400 is beyond"), (whole[:len(whole) // 2], "not JSON"),
                      (whole.replace(number.group(0), '"cps": "fast"', 1), "summary.cps: not a number"), ("{}", "not a report of tern")):
        spoilt.write_text(text)
        r = subprocess.run([sys.argv[1], "report", spoilt], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
        lib.check((r.returncode, r.stdout) == (2, "") and re.fullmatch(rf"{spoilt}: {re.escape(why)}.*\n", r.stderr), f"{r}")
    spoilt.write_text("")
    for words, said in (([folder], f"{folder}: cannot be read: Is a directory"), ([spoilt], f"{spoilt}: is empty; name a file that --json wrote"),
                        ([run.json, "--html", "/nowhere/x"], "--html: cannot write '/nowhere/x': No such file or directory"),
                        ([run.json, "--csv", "-"], "--csv: '-' names no file; write /dev/stdout for standard output, ./- for a file of that name")):
        r = subprocess.run([sys.argv[1], "report", *words], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
        lib.check((r.returncode, r.stderr) == (2, said + "\n"), f"{r}")
    ok("a damaged report, or one that cannot be read or written: one line with the cause, exit 2")


def test():
    lib.need(root=False)
    with tempfile.TemporaryDirectory(prefix="tern-reports-") as folder:
        # Two cores a side, a link that loses: every kind of count has something to count.
        load = ("--cores", "0,1,0,1", "--impair", "loss=2%", "--cps", "200", "--response-size", "20000", "--interval", "200ms")
        run = bench(folder, "run", *load, "--connections", "300")
        packets = run.report["summary"]["packets"]
        lib.check(packets["out_of_order"] > 0 and packets["drops"].get("impair_lost", 0) > 0, f"{packets}")
        intervals_add_up(run)
        cores_add_up(run)
        csv_is_json(run)
        page_is_json(run.html, run)
        ok("--html: every plot drawn, nothing fetched, the JSON inside")
        read_again(folder, run)
        side_by_side(run, bench(folder, "other", *load, "--connections", "150"))
        search_leads(folder, run)
        derived = bench(folder, "derived", "--duration", "100ms", "--cps", "100")
        derived_settings(derived)
        same_again(folder, derived)
        same_again(folder, bench(folder, "counted", "--connections", "10"))
        no_room(folder)
        damaged(folder, run)


if __name__ == "__main__":
    lib.main(test)
