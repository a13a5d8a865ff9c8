#!/usr/bin/env python3
"""What `tern client` makes of a server that fails it: errors instead of pages are no success under --verify, and no rate that a
search takes as held; one connection that is never answered fails by itself, and the rate of the others is told as it was; and
what a bounded run opens is all that it needs sources for.

usage: test_client_judges.py <path of tern>
"""
import contextlib
import json
import struct
import sys
import tempfile
import threading
import time

import lib
import server
import socket
from client import KERNEL, ROOT, TERN, client, nginx, ok

HELD = 5  # of the connections that `one_unanswered` accepts: this one hears nothing


def summary(far, *words, code=0):
    """Of a run in which some may have failed; all of them: 1."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        r = far.run(*client("--port", "net_af_packet0,iface=tern0", "--ip", f"{TERN}/24", "--quiet", "--json", report.name, *words),
                    timeout=40, ok=False)
        lib.check(r.returncode == code, f"exit {r.returncode}, not {code}: {r.stdout}")
        lib.run(sys.executable, ROOT / "tests/support/check_report.py", report.name, timeout=20)
        return json.load(open(report.name))["summary"]


def errors(far):
    bad = ("--target", f"{KERNEL}:82", "--payload", "http")
    s = summary(far, *bad, "--verify", "--connections", "50", code=1)
    c = s["connections"]
    lib.check((c["completed"], c["failed"]["bad_byte"], c["failed"]["total"]) == (0, 50, 50), f"503 under --verify: {c}")
    lib.check(any("50 responses had an HTTP status" in n for n in s["notes"]), f"{s['notes']}")
    lib.check("no connection was completed: 50 of 50 failed, 50 of them by bad byte" in s["notes"], f"{s['notes']}")
    c = summary(far, *bad, "--connections", "50")["connections"]
    lib.check((c["completed"], c["failed"]["total"]) == (50, 0), f"503 without --verify: {c}")
    ok("503 from every connection: each has failed with --verify, each is told of without")
    for more in ((), ("--verify",)):
        f = summary(far, *bad, *more, "--find-max", "--find-from", "50", "--find-step", "300ms", code=1)["search"]
        lib.check(f["stopped"].startswith("not even ") and len(f["steps"]) <= 2, f"a search over errors: {f}")
        lib.check(f["found_cps"] == 0 and f["steps"][0]["reason"].endswith("% failed"), f"a search over errors: {f}")
    ok("a rate at which a server answers with errors is not held")


def dies(far, near):
    """The peer's device no longer takes what comes, in the middle of a search."""
    words = ("--target", f"{KERNEL}:80", "--payload", "http", "--find-max", "--find-step", "500ms", "--find-from", "20", "--find-to", "20k")
    def fall_silent():
        lib.wait_until(lambda: near.run("ss", "-Htan", "dst", TERN), "the first connection", 30)
        time.sleep(4)
        near.run("ip", "route", "add", "blackhole", f"{TERN}/32")
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        silence = threading.Thread(target=fall_silent)
        silence.start()
        p = far.run(*client("--port", "net_af_packet0,iface=tern0", "--ip", f"{TERN}/24", "--quiet", "--json", report.name, *words),
                    timeout=60, ok=False)
        silence.join()
        near.run("ip", "route", "del", "blackhole", f"{TERN}/32")
        lib.check(p.returncode == 1, f"exit {p.returncode}: {p.stdout}")
        s = json.load(open(report.name))["summary"]
    f = s["search"]
    lib.check(f["stopped"] == "the target stopped answering" and f["found_cps"] > 0 and s["interrupted"], f"{f}")
    lib.check(any("the target stopped answering" in n for n in s["notes"]) and not s["client_limited"], f"{s['notes']}")
    ok("a target that dies ends the search, with what it held before")


def early_ends(far, near):
    """Accepted, read and closed or reset: no answer, and so no latency of one."""
    for linger in (False, True):
        with server.inside(near), socket.create_server(("", 7001), backlog=1024) as listening:
            def serve():
                with contextlib.suppress(OSError):
                    while True:
                        c, _ = listening.accept()
                        with c, contextlib.suppress(OSError):
                            c.recv(100)
                            if linger:
                                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            thread = threading.Thread(target=serve)
            thread.start()
            s = summary(far, "--target", f"{KERNEL}:7001", "--connections", "30", code=1)
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
        why = s["connections"]["failed"]["reset" if linger else "short_response"]
        measured = s["latency_us"]
        lib.check((why, measured["connect"]["count"], measured["response"]["count"]) == (30, 30, 0), f"{s['connections']} {measured}")
    ok("a server that closes or resets instead of answering: no latency of a response")


@contextlib.contextmanager
def one_unanswered(near, port):
    held = []

    def serve(listening):
        n = 0
        with contextlib.suppress(OSError):
            while True:
                c, _ = listening.accept()
                n += 1
                if n == HELD:
                    held.append(c)
                    continue
                with c, contextlib.suppress(OSError):
                    c.recv(100)
                    c.sendall(b"r" * 64)

    with server.inside(near), socket.create_server(("", port), backlog=1024) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for c in held:
                c.close()


def straggler(far, near):
    for words in (("--cps", "100"), ("--in-progress", "4")):
        with one_unanswered(near, 7000):
            s = summary(far, "--target", f"{KERNEL}:7000", "--connections", "100", "--timeout", "8s", *words)
        c = s["connections"]
        lib.check((c["completed"], c["failed"]["response_timeout"]) == (99, 1), f"{c}")
        lib.check(0 < s["seconds"] < 6 and s["cps"] > 99 / 6 / 2, f"{words}: {s['cps']}/s in {s['seconds']} s")
        if "--cps" in words:
            lib.check(s["seconds"] > 0.9 and s["cps"] < 101, f"{words}: {s['cps']}/s in {s['seconds']} s")
    ok("one of 100 is never answered: what was measured ends with the others")
    with one_unanswered(near, 7000):
        s = summary(far, "--target", f"{KERNEL}:7000", "--connections", "20", "--timeout", "7s", "--warmup", "5s", "--in-progress", "4")
    lib.check(s["seconds"] == s["cps"] == 0 and len(s["notes"]) == 1 and "nothing was measured" in s["notes"][0], f"{s['notes']}")
    ok("the others were completed before the warm-up was over: it is said that nothing was measured")


def sources(far):
    """One address at a rate that would want many, had it to go on."""
    s = summary(far, "--target", f"{KERNEL}:80", "--payload", "http", "--close", "client", "--cps", "100k", "--connections", "500")
    lib.check(s["connections"]["completed"] == 500, f"{s['connections']}")
    ok("100k a second from one address, 500 in all: not refused")


def test():
    lib.need("ip", "nginx", "ethtool")
    with lib.namespace("judt") as far, lib.namespace("judk") as near, \
         lib.veth(far, near, kernel_addresses=[f"{KERNEL}/24"]), nginx(near):
        errors(far)
        dies(far, near)
        early_ends(far, near)
        straggler(far, near)
        sources(far)


if __name__ == "__main__":
    lib.main(test, limit=150)
