#!/usr/bin/env python3
# limit: 240
"""`tern bench --attack`: bad clients of every kind beside good ones. All good ones are served while the attack runs, on IPv4
and IPv6, and the report counts the bad ones apart and says what the server did against them.

usage: test_bench_attack.py <path of tern>
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import lib

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What the server must have counted of each kind: one of these at least.
SHED = {
    "syn-flood": ["syn_cookie_sent", "syn_limit_drop"],
    "forged-ack": ["listen_rst_out", "listen_rst_limited", "syn_cookie_invalid"],
    "rst-spray": ["drop_out_of_window", "challenge_ack", "challenge_ack_limited", "listen_rst_in", "time_wait_rst_ignored",
                  "drop_rst_not_exact"],
}


def ok(name):
    print(f"ok - {name}", flush=True)


def attacked(*words):
    """A run in which every good client was served: its summary, checked."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        out = lib.run(sys.argv[1], "bench", "--quiet", "--verify", "--idle", "adaptive", "--json", report.name, *words, timeout=120)
        lib.run(sys.executable, ROOT / "tests/support/check_report.py", report.name, timeout=20)
        r = json.load(open(report.name))
    s = r["summary"]
    c = s["connections"]
    lib.check(c["attempted"] == c["completed"] > 0, f"{words}: not every good client was served: {c}")
    lib.check("Bad clients" in out, out)
    lib.check("not given back" not in out, f"packets are missing:\n{out}")
    s["seconds_in_all"] = r["intervals"][-1]["t"]
    return s, r["intervals"]


def kind(s, name):
    found = [a for a in s["attacks"] if a["kind"] == name]
    lib.check(len(found) == 1, f"{name}: {s['attacks']}")
    return found[0]


def shed(s, name):
    lib.check(kind(s, name)["sent"] > 0, f"{name}: {s['attacks']}")
    lib.check(any(s["defence"].get(counter, 0) > 0 for counter in SHED[name]), f"{name}: {s['defence']}")


def floods():
    # So many connections, at their leisure: how fast depends on who else has the cores.
    for name, rate, more in (("syn-flood", "5k", ("--backlog", "16")), ("forged-ack", "5k", ()), ("rst-spray", "5k", ())):
        s, intervals = attacked("--attack", f"{name}={rate}", "--cps", "200", "--connections", "150", *more)
        shed(s, name)
        a = kind(s, name)
        lib.check(a["asked"] == 5000 and sum(i["attack_packets"] for i in intervals) <= a["sent"], f"{a}")
        lib.check(s["connections"]["attempted"] == 150, f"{s['connections']}")
    ok("SYN flood, forged ACKs, RST spray: 150 of 150 good clients served by each")


def held():
    s, _ = attacked("--attack", "mute=500", "--cps", "200", "--connections", "300")
    a = kind(s, "mute")
    lib.check(a["open_peak"] == a["established"] == 500 and a["ended"] == 0, f"{a}")
    # The shortest answer is held like the longest, whoever closes, and few are as slow as many: a byte a second each, from a
    # second after they began.
    for size, closer in (("64", "server"), ("200000", "client")):
        s, _ = attacked("--attack", "slow-reader=50", "--cps", "60", "--connections", "120", "--response-size", size, "--close", closer)
        a = kind(s, "slow-reader")
        lib.check(a["open_peak"] == a["sent"] == a["established"] == 50 and a["ended"] == 0, f"{a}")
        lib.check(0 < a["response_bytes"] <= 50 * s["seconds_in_all"], f"{a} in {s['seconds_in_all']} s")
    ok("500 mute connections, 50 slow readers: held, and every good client served")


def all_at_once():
    everything = "syn-flood=3k,forged-ack=3k,rst-spray=3k,mute=100,slow-reader=20"
    for family in ((), ("--sources", "fd00:7e12:1::/112")):
        s, intervals = attacked("--attack", everything, "--cps", "200", "--connections", "200", "--backlog", "16",
                                "--interval", "200ms", *family)
        for name in SHED:
            shed(s, name)
        lib.check(kind(s, "mute")["established"] >= 100 and kind(s, "slow-reader")["established"] >= 20, f"{s['attacks']}")
        lib.check(max(i["attack_open"] for i in intervals) > 0, "no interval shows a connection of a bad client")
    ok("all of them at once, IPv4 and IPv6")
    # The servers' records for connections run out, and it is the bad clients that fill them: SYNs are not reset, and good
    # clients come in as soon as there is room. The example runs as it is written, but shorter.
    s, _ = attacked("--config", ROOT / "config/attack.toml", "--duration", "500ms", "--ramp", "200ms", "--cps", "300",
                    "--attack", "syn-flood=3k,forged-ack=1k,rst-spray=1k,mute=300,slow-reader=20")
    lib.check(len(s["attacks"]) == 5, f"{s['attacks']}")
    a = kind(s, "slow-reader")
    lib.check(a["sent"] == a["open_peak"] == 20 and a["ended"] == 0, f"slow readers do not stay: {a}")
    ok("the example of config/")


def mistakes():
    for words, what in ((["--attack", "syn-flood"], "kind of bad client"), (["--attack", "teardrop=1"], "kind of bad client"),
                        (["--attack", "mute=5,mute=6"], "twice"), (["--attack", "mute=20M"], "more than"),
                        (["--attack", "mute=10k", "--sources", "10.1.0.1", "--source-ports", "1-100"], "10256")):
        r = subprocess.run([sys.argv[1], "bench", *words], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
        lines = r.stderr.strip().splitlines()
        lib.check(r.returncode == 2 and len(lines) == 1 and what in lines[0], f"{words}: {r}")
    ok("mistakes: one line, exit 2")


def test():
    mistakes()
    floods()
    held()
    all_at_once()


if __name__ == "__main__":
    lib.main(test, limit=235)
