#!/usr/bin/env python3
"""What `tern server` tells of itself: lines while it serves, the report at its end, in every form. Its counts are what Linux
clients did: closed in order, reset, left open until the drain was over.

usage: test_server_report.py <path of tern>
"""
import contextlib
import csv
import json
import math
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

import lib
import server

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
import check_report  # noqa: E402

CLOSED, RESET, HELD = 30, 5, 3
NAMES = ("t", "accepted", "requests", "closed", "open", "time_wait", "failed")
# Nobody to talk to: for what a server says without a client.
ALONE = ("server", "--port", "net_null0,no-rx=1", "--ip", "10.99.8.2/24")


def ok(name):
    print(f"ok - {name}", flush=True)


def live_lines(out):
    """The lines of results as far as their counts, by name. Rates may be short ("1.20k"), counts here are not."""
    found = re.findall(r"^ *(\d+\.\d)s +(\S+) +(\S+) +(\S+) +(\d+) +(\d+) +(\d+) .* \d+%$", out, re.M)
    return [dict(zip(NAMES, map(float, line))) for line in found]


def report_of(path):
    with open(path) as f:
        r = json.load(f)
    wrong = check_report.problems(r)
    lib.check(not wrong, "\n".join(wrong))
    return r


def clients(peer):
    """Some end in order, some by a reset, some stay; the latter are given back."""
    for _ in range(CLOSED):
        with server.connect() as s:
            s.sendall(b"GET / HTTP/1.1\r\n\r\n")
            lib.check(server.read_all(s).endswith(b"x\n"), "no page")
    for _ in range(RESET):
        with server.connect() as s:
            s.sendall(b"GET /")
            server.reset_on_close(s)
    return [server.connect() for _ in range(HELD)]


def check_counts(r, counters, cores):
    s = r["summary"]
    c = s["connections"]
    all_of_them = CLOSED + RESET + HELD
    lib.check((c["attempted"], c["established"], c["completed"], c["unfinished"]) == (all_of_them, all_of_them, CLOSED, 0), f"{c}")
    lib.check(c["failed"] == {"reset": RESET, "timed_out": 0, "aborted": HELD, "no_memory": 0, "total": RESET + HELD}, f"{c}")
    for total, each in ((c["completed"], lambda v: v["completed"]), (c["established"], lambda v: v["established"]),
                        (c["failed"]["total"], lambda v: v["failed"]["total"]), (s["packets"]["rx"], lambda v: v["rx_packets"]),
                        (s["packets"]["tx_bytes"], lambda v: v["tx_bytes"])):
        lib.check(total == sum(map(each, r["intervals"])), f"the intervals do not hold what the run does: {total}")
    for v in r["intervals"]:
        for name in ("established", "completed", "live", "time_wait", "rx_packets"):
            lib.check(sum(core[name] for core in v["cores"]) == v[name], f"{name} of an interval's cores: {v}")
    lib.check(any(v["live"] == HELD for v in r["intervals"]) and r["intervals"][-1]["live"] == 0, "the open ones are not seen")
    # The two peaks are each core's own: their sum is no less than what there was at once.
    lib.check(HELD <= s["live_peak"] <= all_of_them and s["time_wait_peak"] == CLOSED, f"{s['live_peak']} {s['time_wait_peak']}")
    lib.check([core["role"] for core in s["cores"]] == ["server"] * cores, f"{s['cores']}")
    lib.check(sum(core["failed"] for core in s["cores"]) == RESET + HELD, f"{s['cores']}")
    lib.check(s["cycles_per_connection"].keys() == {"server"} and s["cycles_per_connection"]["server"] > 0, "cycles")
    lib.check(0 < s["cps"] * s["seconds"] < CLOSED + 0.01 and s["rx_bits_per_second"] > 0, f"{s['cps']}/s in {s['seconds']} s")
    lib.check(s["requests"] == sum(v["requests"] for v in r["intervals"]) == sum(core["requests"] for core in s["cores"]) == CLOSED,
              f"{s['requests']} requests")
    lib.check(s["accepted_per_second"] > s["cps"] and s["requests_per_second"] > 0, f"{s['accepted_per_second']}")
    lib.check(not s["interrupted"] and not s["notes"] and s["cookie_share"] == 0, f"{s['notes']}")
    for ours, theirs in ((s["packets"]["rx"], "rx_packets"), (c["established"], "accepted"), (c["completed"], "closed_done"),
                         (c["failed"]["reset"], "closed_reset"), (c["failed"]["aborted"], "closed_aborted")):
        lib.check(ours == counters[theirs], f"{theirs}: {ours} and {counters[theirs]}")


def respond():
    """--mode respond counts by the request's size. Clients that reset once they have their answer leave nothing `completed`: the
    headline is what was accepted."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        with server.over_veth("--mode", "respond", "--request-size", "4", "--response-size", "6", "--requests-per-connection", "9",
                              "--close", "server", "--json", file.name, tag="resp") as peer, server.inside(peer.ns):
            for _ in range(4):
                with server.connect() as s:
                    for _ in range(3):
                        s.sendall(b"ask!")
                        lib.check(len(s.recv(6, socket.MSG_WAITALL)) == 6, "no answer")
                    s.sendall(b"hal")  # half a question is none
                    time.sleep(0.05)
                    server.reset_on_close(s)
            peer.finish()
            out = peer.program.output()
        s = report_of(file.name)["summary"]
    lib.check((s["requests"], s["connections"]["completed"], s["connections"]["failed"]["reset"]) == (12, 0, 4), f"{s}")
    lib.check(s["cps"] == 0 < s["accepted_per_second"] < s["requests_per_second"], f"{s}")
    shown = re.search(r"\nConnections accepted +(\S+)/s\n", out)
    lib.check(shown and math.isclose(float(shown.group(1)), s["accepted_per_second"], rel_tol=0.05), out)
    ok("12 requests on 4 connections that were reset: counted, and the headline is what was accepted")


def whole(cores):
    with tempfile.TemporaryDirectory(prefix="tern-report-") as folder:
        files = {form: f"{folder}/report.{form}" for form in ("json", "csv", "html")}
        words = [word for form, path in files.items() for word in (f"--{form}", path)]
        with server.over_veth("--mode", "http", "--close", "server", "--response-size", "100", "--interval", "300ms", "--drain",
                              "200ms", "--cores", ",".join(map(str, range(cores))), *words, tag="rep") as peer, \
             server.inside(peer.ns), contextlib.ExitStack() as held:
            for s in clients(peer):
                held.enter_context(s)
            lib.wait_until(lambda: [l for l in live_lines(peer.program.output()) if (l["open"], l["time_wait"]) == (HELD, CLOSED)],
                           "a line with the open ones and those in TIME-WAIT")
            counters = peer.finish()
            out = peer.program.output()
        lines = live_lines(out)
        r = report_of(files["json"])
        lib.check(out.count("accepted/s") >= 1 and len(lines) == len(r["intervals"]) >= 2, f"{len(r['intervals'])} intervals:\n{out}")
        lib.check(sum(l["failed"] for l in lines) == RESET + HELD, f"{lines}")
        check_counts(r, counters, cores)
        ok(f"{cores} core{'s'[:cores - 1]}: {CLOSED} closed, {RESET} reset, {HELD} late: in the lines, the report and the counters")
        lib.check(r["command"] == "server" and r["machine"]["cores"] > 0, f"{r['machine']}")
        for name, value in (("port", "net_af_packet0,iface=tern0"), ("mode", "http"), ("drain", "200ms"), ("json", files["json"]),
                            ("ip", f"{server.TERN}/24,{server.TERN6}/64"), ("listen", "80"), ("time_wait", "60s")):
            lib.check(r["config"][name] == value, f"{name} is said to be {r['config'][name]}")
        with open(files["csv"], newline="") as f:
            rows = list(csv.DictReader(f))
        lib.check([int(row["completed"]) for row in rows] == [v["completed"] for v in r["intervals"]], f"{rows}")
        lib.check(not [name for name in rows[0] if re.search("latency|offered|attack", name)], f"{list(rows[0])}")
        page = pathlib.Path(files["html"]).read_text()
        lib.check("<h1>tern server</h1>" in page and "atency" not in page and page.endswith("</html>\n"), page[:300])
        for said in ("tern 0", " server: ", "reset by the peer", "reset by us", "cycles per connection, without the port: server",
                     f"written: {files['json']}"):
            lib.check(said in out, f"{said!r} is not in\n{out}")
        again = lib.run(sys.argv[1], "report", files["json"])
        lib.check(again in out, f"tern report says something else:\n{again}\n{out}")
        ok("JSON by its schema, a row of CSV for each interval, the page, and the summary that tern report gives again")


def ended():
    """By its time; by a signal before its time; quietly."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        begin = time.monotonic()
        out = lib.run(sys.argv[1], *ALONE, "--duration", "2s", "--interval", "200ms", "--json", report.name, timeout=30)
        s = report_of(report.name)["summary"]
        lib.check(1.9 < s["seconds"] < time.monotonic() - begin and not s["interrupted"], f"{s}")
        lib.check(len(live_lines(out)) >= 2 and "ready: " in out, out)
        lib.check(s["connections"]["attempted"] == 0 and s["cycles_per_connection"]["server"] == 0, f"{s}")
        ok("--duration: the report when it is over")
        with lib.program(None, sys.argv[1], *ALONE, "--duration", "60s", "--interval", "200ms", "--json", report.name) as p:
            p.wait_for("ready")
            lib.wait_until(lambda: live_lines(p.output()), "a line")
            p.process.send_signal(signal.SIGINT)
            lib.check(p.process.wait(10) == 0 and "Ended early: by a signal" in p.output(), p.output())
        lib.check(report_of(report.name)["summary"]["interrupted"], "ended before its time, and does not say so")
        ok("Ctrl-C before its time: an orderly end and the whole report, which says so")
        out = lib.run(sys.argv[1], *ALONE, "--duration", "1s", "--interval", "200ms", "--quiet", timeout=30)
        lib.check(not live_lines(out) and "accepted/s" not in out and "ready" not in out, out)
        lib.check("Connections" in out and "counters\n" in out and "packets not given back: 0\n" in out, out)
        ok("--quiet: the end alone")


def refused():
    for option in ("--json", "--csv", "--html"):
        r = subprocess.run([sys.argv[1], *ALONE, option, "/no/such/folder/file"], capture_output=True, text=True, timeout=20)
        lib.check(r.returncode == 2 and not r.stdout and re.fullmatch(rf"{option}: cannot write .+\n", r.stderr), f"{option}: {r}")
    ok("a file that cannot be written: one line, exit 2, before anything runs")


def on_a_terminal():
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.argv[1], *ALONE, "--duration", "2s", "--interval", "200ms"], stdin=subprocess.DEVNULL, stdout=theirs,
                          stderr=theirs, env={**os.environ, "TERM": "xterm"}, preexec_fn=lib._die_with_us) as p:
        os.close(theirs)
        out = b""
        with contextlib.suppress(OSError):  # its end
            while piece := os.read(ours, 1 << 16):
                out += piece
        code = p.wait(20)
    os.close(ours)
    text = out.decode(errors="replace")
    lib.check(code == 0 and len(re.findall(r"\x1b\[\d+F", text)) >= 2 and "/s accepted" in text, f"exit {code}:\n{text!r}")
    ok("on a terminal: a view that redraws itself")


def test():
    refused()
    ended()
    on_a_terminal()
    whole(1)
    whole(2)
    respond()


if __name__ == "__main__":
    lib.main(test)
