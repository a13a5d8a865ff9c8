#!/usr/bin/env python3
# limit: 240
"""`tern bench` from outside: it ends with 0 and nothing failed, on a clean link and on one that loses; its report fits its
schema and its sums; Ctrl-C ends it with the summary; a mistake is one line that names the option.

usage: test_bench.py <path of tern>
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import lib

ROOT = pathlib.Path(__file__).resolve().parents[2]
MISTAKES = {
    "--cps": ["fast"],
    "--duration": ["5"],
    "--impair": ["loss=200%"],
    "--port": ["net_tap0"],
    "--nonsense": [],
    "--request-size": ["0"],
    "--cores": ["0,1,0"],
    "--json": ["/nowhere/at/all.json"],
    "--sources": ["10.1.0.0/32", "--source-ports", "1-10"],
    "--time-wait": ["31m"],
    "--mss": ["20"],
    "--memory": ["64M"],
    "--huge-pages": ["on", "--packet-memory", "60G"],
    "--concurrency": ["1000000", "--sources", "10.1.0.0/16", "--memory", "512M"],
    "--time-wait-records": ["100000000", "--memory", "512M"],
    "--packet-memory": ["500M", "--memory", "512M", "--connections", "5"],
    "--think": ["1s"],
    "--requests-per-connection": ["0", "--cps", "100"],
    "--connections": ["10", "--requests-per-connection", "0"],
    "--find-max": ["--ramp", "1s"],
    "--find-to": ["5k", "--find-max", "--find-from", "6k"],
    "--tso": ["hardware"],
    "--vlan-tag": ["software"],
    "--source-ports": ["0-20"],
    "--target": ["224.0.0.1:80"],
    "--window-max": ["5000", "--window", "10000"],
    "--csv": ["/tmp/tern-test-bench-twice", "--json", "/tmp/tern-test-bench-twice"],
    "--max-p99": ["1ms"],
}
MORE_OF_THEM = [("--impair", ["loss=1%,loss=2%"]), ("--json", ["-"]), ("--duration", [""])]


def ok(name):
    print(f"ok - {name}", flush=True)


def bench(*words):
    return [sys.argv[1], "bench", *words]


def figures(text):
    """attempted, completed, failed and unfinished of the printed summary."""
    found = {"unfinished": 0}  # printed if there are any
    for name, n in re.findall(r"^  (attempted|completed|failed|unfinished) +([\d,]+)", text, re.M):
        found[name] = int(n.replace(",", ""))
    lib.check(len(found) == 4, f"no summary:\n{text}")
    lib.check("not given back" not in text, f"packets are missing:\n{text}")
    lib.check(found["attempted"] == found["completed"] + found["failed"] + found["unfinished"], f"{found}")
    return found


def clean():
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        out = lib.run(*bench("--duration", "1s", "--verify", "--json", report.name), timeout=30)
        r = json.load(open(report.name))
        lib.run(sys.executable, ROOT / "tests/support/check_report.py", report.name, timeout=20)
    c = r["summary"]["connections"]
    for way in ("rx", "tx"):  # bits and bytes are of both ends; the run's end is no part of the rate
        bits, n = r["summary"][f"{way}_bits_per_second"] * r["summary"]["seconds"], r["summary"]["packets"][f"{way}_bytes"] * 8
        lib.check(0.7 * n < bits < 1.2 * n, f"{way}: {bits} bits measured, {n} in all")
    printed = figures(out)
    lib.check(c["failed"]["total"] == 0 and c["completed"] > 0, f"{c}")
    lib.check(c["attempted"] == c["completed"] + c["failed"]["total"] + c["unfinished"], f"{c}")
    lib.check(sum(n for cause, n in c["failed"].items() if cause != "total") == c["failed"]["total"], f"{c}")
    lib.check(c["attempted"] == printed["attempted"] and c["completed"] == printed["completed"], f"{c} and {printed}")
    for i in r["intervals"]:
        for what in ("attempted", "completed"):
            lib.check(sum(k[what] for k in i["cores"] if k["role"] == "client") == i[what], f"{what} of an interval's cores: {i}")
    for stage, at in r["summary"]["latency_us"].items():
        ranks = [at[p] for p in ("p50", "p90", "p99", "p999", "p9999", "max")]
        lib.check(ranks == sorted(ranks) and ranks[0] > 0, f"{stage}: percentiles out of order: {at}")
    ok("a second of it: nothing failed, every byte compared, the report fits its schema and adds up")


def lossy():
    out = lib.run(*bench("--impair", "loss=1%", "--cps", "2000", "--connections", "3000"), timeout=50)
    f = figures(out)
    lib.check((f["attempted"], f["completed"]) == (3000, 3000), f"not all of 3000 were completed:\n{out}")
    again = re.search(r"^  retransmitted +(\d[\d,]*)", out, re.M)
    lib.check(again and again.group(1) != "0", f"nothing was sent again at 1% loss:\n{out}")
    ok("1% loss: 3000 of 3000 completed")


def link():
    """What --impair does is counted apart, and is no more than was asked for."""
    packets = reported("--impair", "delay=20ms,loss=1%,duplicate=1%,reorder=1%,corrupt=1%", "--cps", "1000", "--connections",
                       "1000")["summary"]["packets"]
    drops = packets["drops"]
    lib.check(drops.get("impair_lost", 0) > 0 and "impair_overflowed" not in drops, f"{drops}")
    lib.check(set(packets["link"]) == {"duplicated", "reordered", "corrupted"}, f"{packets}")
    lib.check(all(0 < n < packets["tx"] / 20 for n in packets["link"].values()), f"{packets}")
    # Nobody's hardware is there: who makes checksums, and finds a damaged byte by them, are both ends.
    damaged = reported("--impair", "corrupt=5%", "--connections", "1000", "--cps", "1000")
    drops = damaged["summary"]["packets"]["drops"]
    lib.check(damaged["config"]["checksum"] == "software", f"{damaged['config']}")
    lib.check(drops.get("drop_tcp_checksum", 0) > drops.get("drop_ip_checksum", 0) > 0, f"{drops}")
    ok("what a bad link does is counted by its name")
    # A connection lives for 0.6 s: what has begun at a rate is not over at once.
    found = reported("--find-max", "--impair", "delay=100ms", "--find-from", "200", "--find-to", "400", "--find-step", "1s",
                     "--timeout", "30s")["summary"]["search"]
    lib.check(found["found_cps"] >= 100, f"{found}")
    ok("a search over a long path does not blame the path")


def few():
    """Fewer connections than cores: a core's share of nothing is no lack of a limit."""
    for words in (["--connections", "1"], ["--concurrency", "1", "--requests-per-connection", "0", "--duration", "500ms"]):
        c = reported("--cores", "0,1,0,1", *words)["summary"]["connections"]
        lib.check((c["attempted"], c["completed"]) == (1, 1), f"{words}: {c}")
    ok("one connection on two client cores is one")


# Each kind of test, as its example has it but smaller, and what its report must show.
KINDS = {
    "connection-rate": ([], lambda s: s["cps"] > 0 and s["requests"] == s["connections"]["completed"]),
    "held": (["--concurrency", "3000", "--think", "100ms", "--ramp", "300ms", "--duration", "5s"],
             lambda s: s["live_peak"] == 3000 == s["connections"]["completed"] and s["requests"] > 3000 and s["cps"] == 0),
    "request-rate": (["--concurrency", "20", "--warmup", "200ms", "--duration", "2s"],
                     lambda s: s["requests_per_second"] > 0 and s["connections"]["attempted"] == 20 and s["requests"] > 20),
    "throughput": (["--concurrency", "2", "--warmup", "200ms", "--duration", "2s"],
                   lambda s: s["response_bytes_per_second"] > 0),
    "latency": (["--cps", "300", "--ramp", "200ms", "--warmup", "200ms", "--duration", "2s"],
                lambda s: not s["closed_loop"] and 0 < s["latency_us"]["connect"]["count"] < s["connections"]["completed"]),
    "highest-rate": (["--find-from", "50", "--find-to", "100", "--find-step", "500ms", "--max-p99", "5s", "--timeout", "30s"],
                     # Which rate is held depends on who else has the cores; that it says which, and why no more, does not.
                     lambda s: s["search"]["stopped"] and s["search"]["steps"] and s["search"]["found_cps"] ==
                     max([t["offered_cps"] for t in s["search"]["steps"] if t["held"]], default=0)),
}


def kinds():
    for name, (words, holds) in KINDS.items():
        usual = [] if {"--duration", "--find-step"} & set(words) else ["--duration", "500ms"]
        r = reported("--config", ROOT / f"config/{name}.toml", *usual, *words)
        lib.check(holds(r["summary"]), f"{name}: { {k: v for k, v in r['summary'].items() if k not in ('histogram', 'memory')} }")
    ok(f"{len(KINDS)} kinds of test, by their examples")
    for closer in ("client", "server", "reset"):
        for payload in ("tcp", "http"):
            s = reported("--duration", "300ms", "--verify", "--close", closer, "--payload", payload,
                         "--requests-per-connection", "3", "--response-size", "3000")["summary"]
            # Those that the end of the run finds between two requests make no more.
            done = s["connections"]["completed"]
            lib.check(done < s["requests"] <= 3 * done, f"{closer} {payload}: {s['requests']} requests on {done} connections")
            lib.check((s["time_wait_peak"] == 0) == (closer == "reset"), f"{closer}: {s['time_wait_peak']} in TIME-WAIT")
    ok("the client, the server or a RST ends connections of three requests, tcp and http")


def reported(*words):
    """The report of a run in which nothing failed, checked."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        lib.ended_well(lib.run(*bench("--quiet", "--json", report.name, *words), timeout=40, ok=False), report.name)
        lib.run(sys.executable, ROOT / "tests/support/check_report.py", report.name, timeout=20)
        r = json.load(open(report.name))
    lib.check(r["summary"]["connections"]["failed"]["total"] == 0, f"{words}: {r['summary']['connections']}")
    return r


def starved():
    """Who waits for a port or a record is late, and it is not the tester's doing. Five of them, used again and again: more that a
    stalled core opens late before the first has to wait would be its fault, up to ten are forgiven."""
    out = lib.run(*bench("--cps", "2000", "--impair", "delay=20ms", "--max-connections", "5", "--duration", "2s"), timeout=30)
    figures(out)
    lib.check("waited for a free port or record" in out and "tester was the limit" not in out, out)
    ok("late for want of a record: it is said, with the cure, and the tester is not blamed")


def printed():
    """What --print-config prints is the same run, though each default stands in it."""
    for words in ([], ["--config", ROOT / "config/held.toml", "--concurrency", "300000", "--ramp", "0s", "--cps", "100"]):
        words += ["--duration", "300ms"]
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(lib.run(*bench(*words, "--print-config")))
            file.flush()
            again = reported("--config", file.name)["config"]
        first = reported(*words)["config"]
        differs = {name: (first[name], again[name]) for name in first if first[name] != again[name] and name != "json"}
        lib.check(not differs and int(first["max_connections"]) > int(first["concurrency"]), f"{words}: {differs}, {first}")
    ok("a run from what --print-config printed is the same run")


def either_end():
    """The time or the number of connections, whichever is first."""
    s = reported("--connections", "1000000", "--cps", "1000", "--duration", "1s")["summary"]
    lib.check(0 < s["connections"]["attempted"] < 500_000, f"{s['connections']}")
    s = reported("--connections", "50", "--cps", "1000", "--duration", "1h")["summary"]
    lib.check(s["connections"]["completed"] == 50, f"{s['connections']}")
    ok("--connections with --duration: what comes first ends the run")


def interrupted(by, name):
    with lib.program(None, *bench("--duration", "60s", "--cps", "500")) as p:
        p.wait_for(re.compile(r"^ *\d+\.\ds +[1-9]", re.M))  # something was completed
        p.process.send_signal(by)
        try:
            code = p.process.wait(10)
        except subprocess.TimeoutExpired:
            raise lib.Failed(f"did not end within 10 s of {name}:\n{p.output()}")
        lib.check(figures(p.output())["completed"] > 0 and "Ended early" in p.output(), f"exit {code}:\n{p.output()}")
        lib.check(code == 1, f"exit {code}, though not the whole of it was run:\n{p.output()}")
    ok(f"{name} ends it with the summary")


def cpu_seconds(pid):
    """What the main thread has used."""
    fields = pathlib.Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drained(duration, *signals):
    """After the end connections over a slow link take their time; who waits for them leaves the cores to the run."""
    with lib.program(None, *bench("--duration", duration, "--cps", "100", "--impair", "delay=1s")) as p:
        p.wait_for(re.compile(r"^ +[1-9]\d*\.\ds ", re.M))  # on a busy machine a line comes when it can
        for s in signals:
            p.process.send_signal(s)
        began, before, used = time.monotonic(), cpu_seconds(p.process.pid), 0.0
        while p.process.poll() is None and time.monotonic() < began + 1.5:
            used = cpu_seconds(p.process.pid) - before
            time.sleep(0.05)
        waited = time.monotonic() - began
        lib.check(waited > 1, f"ended {waited:.2f} s after its last open:\n{p.output()}")
        lib.check(used < 0.15 * waited, f"{used:.2f} s of CPU to wait for {waited:.2f} s")
        p.process.wait(20)
        figures(p.output())
    ok(f"waiting for the last{' after a signal' if signals else ''} takes {used:.2f} s of CPU in {waited:.2f} s")


def nothing_gets_through():
    """All failed: that is no success, and one line says why."""
    r = subprocess.run(bench("--impair", "loss=100%", "--connections", "5", "--timeout", "300ms", "--quiet"), capture_output=True, text=True,
                       timeout=40, stdin=subprocess.DEVNULL)
    said = "no connection was completed: 5 of 5 failed, 5 of them by connect timeout"
    lib.check(r.returncode == 1 and r.stdout.count(said) == 1, f"{r}")
    ok("none of five was completed: why, exit 1")


def pipe_without_reader():
    """A named pipe that nobody reads would hold up the report until somebody does: told before the run. One that is read is written."""
    with tempfile.TemporaryDirectory(prefix="tern-pipe-") as folder:
        pipe = f"{folder}/pipe"
        os.mkfifo(pipe)
        r = subprocess.run(bench("--duration", "100ms", "--json", pipe), capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
        lib.check(r.returncode == 2 and re.fullmatch(r"--json: cannot write .*No such device or address.*nobody reads this pipe.*\n", r.stderr), f"{r}")
        with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
            # Until he has opened it there is nobody there.
            def written():
                r = subprocess.run(bench("--duration", "100ms", "--json", pipe), capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
                lib.check(r.returncode in (0, 2), f"{r}")
                return r.returncode == 0
            lib.wait_until(written, "a run writes to who reads", 20, 0.2)
            lib.check(json.loads(reader.stdout.read())["command"] == "bench", "the report came through the pipe whole")
    ok("a named pipe: exit 2 before the run where nobody reads it, else the report")


def mistakes():
    for option, value in [*MISTAKES.items(), *MORE_OF_THEM]:
        r = subprocess.run(bench(option, *value), capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
        lib.check(r.returncode == 2 and "ready" not in r.stdout and re.fullmatch(rf"{option}: .+\n", r.stderr), f"{option} {value}: {r}")
    ok(f"{len(MISTAKES) + len(MORE_OF_THEM)} mistakes: exit 2, one line that names the option")


def test():
    mistakes()
    nothing_gets_through()
    pipe_without_reader()
    clean()
    kinds()
    lossy()
    link()
    few()
    starved()
    printed()
    either_end()
    drained("1s")
    drained("60s", signal.SIGINT)
    drained("60s", signal.SIGHUP, signal.SIGHUP)  # a terminal that goes says so twice
    interrupted(signal.SIGINT, "Ctrl-C")
    interrupted(signal.SIGHUP, "a terminal that hangs up")


if __name__ == "__main__":
    lib.main(test, limit=235)
