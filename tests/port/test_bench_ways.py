#!/usr/bin/env python3
# limit: 240
"""`tern bench` the other ways: IPv6, two cores a side, several targets and ranges, a VLAN, paced requests; and what it cannot do.

usage: test_bench_ways.py <path of tern>
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import lib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def ok(name):
    print(f"ok - {name}", flush=True)


def bench(*words):
    """The summary of a run in which nothing failed, checked."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        out = lib.run(sys.argv[1], "bench", "--quiet", "--verify", "--idle", "adaptive", "--json", report.name, *map(str, words), timeout=120)
        lib.run(sys.executable, ROOT / "tests/support/check_report.py", report.name, timeout=20)
        r = json.load(open(report.name))
        s = {**r["summary"], "t": r["intervals"][-1]["t"]}  # when it was over, the warm-up and the last answers counted
    lib.check(s["connections"]["failed"]["total"] == 0 and s["connections"]["completed"] > 0, f"{words}: {s['connections']}")
    lib.check("not given back" not in out, f"packets are missing:\n{out}")
    return s


def ways():
    count = ("--connections", "2000")
    for words in (("--sources", "fd00:7e12:1::/112"),                       # 65,536 of them
                  ("--target", "[fd00:7e12::2]:80"),                        # the family by the target
                  ("--sources", "fd00:7e12:1::/104", "--close", "client"),  # 16 million; TIME-WAIT at the client
                  ("--ip", "192.168.7.1/24,192.168.7.2/24", "--sources", "10.5.0.0/16"),
                  ("--target", "10.0.0.2:80-89", "--target", "10.9.0.0/28:8080"),
                  ("--target", "[fd00:9::/120]:80-81"),
                  ("--sources", "10.1.0.7/30", "--target", "10.9.0.5/29:80"),  # a block, whichever address names it
                  ("--sources", "fd00:7e12:1::7/126"),
                  ("--sources", "10.16.0.0/12"),                            # a million
                  ("--vlan", "7"), ("--vlan", "7", "--service-vlan", "9"), ("--mtu", "9000", "--response-size", "50000")):
        s = bench(*count, *words)
        lib.check(s["connections"]["completed"] == 2000, f"{words}: {s['connections']}")
    ok("IPv6, a million sources, several targets and ranges, VLANs, jumbo frames: 2000 of 2000 each")


def few_pairs():
    """Told before the run, and the core is not blamed for it."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        out = lib.run(sys.argv[1], "bench", "--idle", "adaptive", "--sources", "10.1.0.7/32", "--source-ports", "1024-1100", "--cps", "20k",
                      "--impair", "delay=5ms", "--duration", "1s", "--json", report.name, timeout=60)
        s = json.load(open(report.name))["summary"]
    before = out[:out.index(" measured, ")]
    lib.check("1 sources x 77 ports x 1 targets: at this rate each pair comes again after 3.85 ms" in before, out)
    lib.check("520 --sources or 40000 --source-ports are enough" in before and "TIME-WAIT: up to 77 records" in before, out)
    lib.check("more than 1 ms late" not in s["client_limited_reason"], f"{s['client_limited_reason']}")
    lib.check(any("waited for a free port or record" in n for n in s["notes"]), f"{s['notes']}")
    ok("77 pairs at 20,000 a second: told before the run with how many would do, and not the core is blamed for it")


def cores():
    for words in ((), ("--sources", "fd00:7e12:1::/112"), ("--impair", "loss=1%", "--cps", "500"), ("--attack", "syn-flood=2k,mute=50")):
        s = bench("--cores", "0,1,0,1", "--connections", "1000", *words)
        by_role = {role: [c for c in s["cores"] if c["role"] == role] for role in ("client", "server")}
        lib.check(all(len(c) == 2 for c in by_role.values()), f"{s['cores']}")
        lib.check(s["connections"]["completed"] == 1000, f"{words}: {s['connections']}")
        for c in s["cores"]:
            lib.check(c["established"] > 0, f"{words}: a core without a connection: {s['cores']}")
    bench("--cores", "0", "--connections", "300")
    ok("two cores a side, and one for both: every core has connections of its own")


def allowed():
    """Without --cores: the CPUs that the process may run on, whichever they are; the last alone, then all."""
    mine = sorted(os.sched_getaffinity(0))
    for cpus in ([mine[-1]], mine):
        os.sched_setaffinity(0, cpus)
        used = {c["role"]: c["core"] for c in bench("--connections", "300")["cores"]}
        lib.check(used == {"client": cpus[0], "server": cpus[min(1, len(cpus) - 1)]}, f"on {cpus}: {used}")
    ok("without --cores it runs on the first two CPUs that it may")


def requests():
    s = bench("--requests-per-connection", "0", "--concurrency", "20", "--rps", "400", "--duration", "1s", "--warmup", "200ms")
    lib.check(not s["closed_loop"] and s["connections"]["attempted"] == 20, f"{s['connections']} {s['closed_loop']}")
    # A rate: what a slow machine does not make in time it makes late, but never more than was asked for.
    lib.check(0 < s["requests"] <= 400 * s["t"] + 20, f"{s['requests']} requests in {s['t']} s")
    # More than one connection can answer: what waited counts from when it was due.
    s = bench("--requests-per-connection", "0", "--concurrency", "1", "--rps", "2000", "--impair", "delay=5ms", "--duration", "1s")
    lib.check(s["latency_us"]["response"]["max"] > 50_000, f"{s['latency_us']['response']}")
    lib.check(len(s["notes"]) == 1 and "requests were due and never asked" in s["notes"][0], f"{s['notes']}")
    s = bench("--cps", "200", "--concurrency", "5000", "--duration", "1s")
    lib.check(any("5000 connections were to be held" in n and "--ramp" in n for n in s["notes"]), f"{s['notes']}")
    ok("more to be held than there was time to open: it is said, with the cure")
    ok("requests paced on kept connections, their latency from when they were due")
    s = bench("--requests-per-connection", "3", "--think", "20ms", "--connections", "200")
    lib.check(s["requests"] == 600, f"{s['requests']}")
    ok("think")
    s = bench("--connections", "100", "--warmup", "1h")
    lib.check(s["cps"] == s["seconds"] == 0 and len(s["notes"]) == 1 and "--warmup" in s["notes"][0], f"{s['seconds']} s {s['notes']}")
    ok("all was over before the warm-up was: it is said")


def cannot():
    for words, option in ((("--gateway", "10.0.0.254"), "--gateway"), (("--mac", "02:00:00:00:00:09"), "--mac"),
                          (("--cores", "0,1,0"), "--cores"), (("--cores", "0,63"), "--cores"),
                          (("--ip", "10.0.0.1/24"), "--ip"), (("--ip", "10.0.0.1/24,10.0.1.2/24"), "--ip"),
                          (("--sources", "10.1.0.0/20,fd00::/120"), "--sources"), (("--sources", "fd00::/64"), "--sources"),
                          (("--target", "10.1.0.5:80"), "--target"), (("--target", "[fd00:7e12::2]:80", "--sources", "10.1.0.0/20"), "--target"),
                          (("--rps", "100"), "--rps"), (("--rps", "0", "--requests-per-connection", "0"), "--rps"),
                          (("--rps", "100", "--requests-per-connection", "0", "--concurrency", "5", "--think", "1s"), "--rps"),
                          (("--vlan", "4095"), "--vlan")):
        r = subprocess.run([sys.argv[1], "bench", *words], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
        lines = r.stderr.strip().splitlines()
        lib.check(r.returncode == 2 and len(lines) == 1 and lines[0].startswith(f"{option}: "), f"{words}: {r}")
    ok("what cannot be: one line that names the option, exit 2")


def test():
    cannot()
    ways()
    few_pairs()
    cores()
    allowed()
    requests()


if __name__ == "__main__":
    lib.main(test, limit=235)
