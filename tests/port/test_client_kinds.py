#!/usr/bin/env python3
# limit: 180
"""Every kind of test of `tern client` against nginx on the kernel's stack, by its example in config/, smaller: rate, connections
held, requests on kept ones, throughput, latency at a rate, the highest rate. None fails, and what the report counts is what
nginx counted.

usage: test_client_kinds.py <path of tern>
"""
import collections
import contextlib
import pathlib
import re
import tempfile
import time

import lib
from client import BODY, KERNEL, ROOT, TERN, client, nginx, ok, over_veth, sound

LARGE = "a line of a large page, all of them alike\n" * 25_000  # about what config/throughput.toml asks for


class Web:
    """nginx and what it has seen."""
    def __init__(self, far, near, program):
        self.far, self.near = far, near
        self.log = pathlib.Path(program.folder) / "each"

    def answered(self, requests):
        """{connection: how many requests were answered on it}, and how many bytes of pages; the log is empty afterwards."""
        lines = lib.wait_until(lambda: len(all := self.log.read_text().splitlines()) >= requests and all,
                               f"nginx's log of {requests} requests")
        self.log.write_text("")
        fields = [line.split() for line in lines]
        lib.check(all(status == "200" for _, status, _ in fields), f"not all were answered with the page: {fields[:5]}")
        return collections.Counter(connection for connection, _, _ in fields), sum(int(n) for _, _, n in fields)

    def open_now(self):
        """Connections that nginx has, but for the one that asks."""
        text = self.near.run("curl", "-sS", "--max-time", "5", "-H", "Connection: close", "http://127.0.0.1:8081/")
        return int(re.search(r"Active connections: (\d+)", text).group(1)) - 1


@contextlib.contextmanager
def web(body=BODY):
    with lib.namespace("kindt") as far, lib.namespace("kindk") as near, \
         lib.veth(far, near, kernel_addresses=[f"{KERNEL}/24"]), \
         nginx(near, "access_log {0}/each each;", body, requests=1_000_000) as program:
        near.ip("route", "add", "10.1.0.0/16", "via", TERN)  # where config/held.toml has its sources
        yield Web(far, near, program)


def words_of(kind, *words):
    return ("--config", ROOT / f"config/{kind}.toml", "--target", f"{KERNEL}:80", "--payload", "http", *words)


def seen_alike(web, kind, report, page=BODY):
    """nginx had the connections that the client counts, and answered what the client counts. Gives the summary."""
    s = report["summary"]
    seen, sent = web.answered(s["requests"])
    lib.check((len(seen), seen.total()) == (s["connections"]["completed"], s["requests"]),
              f"{kind}: nginx has {len(seen)} connections with {seen.total()} requests: {s['connections']}, {s['requests']} requests")
    lib.check(sent == s["requests"] * len(page), f"{kind}: {sent} bytes of pages, {s['requests']} requests")
    # The client counts a response's head too.
    lib.check(sent < s["response_bytes"] < sent + 400 * s["requests"], f"{kind}: {s['response_bytes']} bytes, nginx sent {sent}")
    return s, seen


def seconds(report):
    return report["intervals"][-1]["t"]


def connection_rate(web):
    s, seen = seen_alike(web, "connection-rate", over_veth(web.far, "connection-rate", *words_of("connection-rate")))
    lib.check(s["closed_loop"] and s["cps"] > 0 and max(seen.values()) == 1, f"{s['cps']} {seen.most_common(1)}")
    ok("connection rate: one request each, as many as nginx counted")


def held(web):
    """Seen from both sides while it runs: so many are open and asking, not one more."""
    with tempfile.NamedTemporaryFile(suffix=".json") as path, \
         lib.program(web.far, *client("--port", "net_af_packet0,iface=tern0", "--ip", f"{TERN}/24", "--json", path.name, *words_of(
             "held", "--concurrency", "300", "--think", "200ms", "--ramp", "300ms", "--duration", "4s", "--interval", "500ms"))) as p:
        p.wait_for("ready")
        lib.wait_until(lambda: web.open_now() == 300, "nginx has 300 connections")
        most = []
        while p.process.poll() is None:
            most.append(web.open_now())
            time.sleep(0.05)
        lib.check(p.process.returncode == 0, p.output())
        lib.check(max(most, default=0) <= 300, f"nginx had {max(most)} connections at once")
        report = sound(path.name, "held")
    s, seen = seen_alike(web, "held", report)
    lib.check(s["live_peak"] == 300 == len(seen) and min(seen.values()) > 1, f"{s['live_peak']} at most, {len(seen)} seen")
    lib.check(max(i["live"] for i in report["intervals"]) == 300, f"{[i['live'] for i in report['intervals']]}")
    ok("held: 300 connections, nginx has as many, and each asks again and again")


def request_rate(web):
    words = words_of("request-rate", "--concurrency", "8", "--warmup", "200ms", "--duration", "2s")
    s, seen = seen_alike(web, "request-rate", over_veth(web.far, "request-rate", *words))
    lib.check(s["closed_loop"] and len(seen) == 8 and min(seen.values()) > 1 and s["requests_per_second"] > 0, f"{seen}")
    # Paced: what a slow machine does not make in time it makes late, but never more than was asked for.
    report = over_veth(web.far, "rps", *words, "--rps", "200")
    s, seen = seen_alike(web, "rps", report)
    lib.check(not s["closed_loop"] and len(seen) == 8, f"{seen}")
    lib.check(8 < s["requests"] <= 200 * seconds(report) + 8, f"{s['requests']} requests at 200 a second in {seconds(report)} s")
    ok("request rate: each of 8 connections asks as it was answered, and 200 times a second all together")


def latency(web):
    words = words_of("latency", "--cps", "200", "--ramp", "200ms", "--warmup", "200ms", "--duration", "2s")
    report = over_veth(web.far, "latency", *words)
    s, _ = seen_alike(web, "latency", report)
    measured = s["latency_us"]
    lib.check(not s["closed_loop"] and 0 < measured["connect"]["count"] < s["connections"]["completed"], f"{measured}")
    lib.check(0 < measured["response"]["p50"] <= measured["response"]["max"], f"{measured}")
    lib.check(s["connections"]["attempted"] <= 200 * seconds(report) + 1, f"{s['connections']} in {seconds(report)} s")
    lib.check(max(i["offered_cps"] for i in report["intervals"]) == 200, "no interval says what was offered")
    ok("latency at a rate: open loop, warm-up apart, no more than was offered")


def highest_rate(web):
    words = words_of("highest-rate", "--find-step", "200ms", "--timeout", "30s")
    for more, stopped in ((("--find-from", "50", "--find-to", "100", "--max-p99", "5s"),
                           r"--find-to: no rate above 100/s|at [\d.]+/s |not even [\d.]+/s was held: "),
                          (("--find-from", "16", "--max-p99", "1us"), r"not even [\d.]+/s was held: ")):
        s, _ = seen_alike(web, "highest-rate", over_veth(web.far, "highest-rate", *words, *more))
        f = s["search"]
        lib.check(re.match(stopped, f["stopped"]), f"stopped: {f['stopped']}")
        # Which rate is held depends on who else has the cores; that it says which, and why no more, does not.
        lib.check(f["steps"] and f["found_cps"] == max([t["offered_cps"] for t in f["steps"] if t["held"]], default=0), f"{f}")
        lib.check(all(t["held"] == (not t["reason"]) for t in f["steps"]), f"{f}")
        lib.check(not s["closed_loop"], f"{s['closed_loop']}")
    # Slow as the machine may be: too late, or not at all.
    none = ("p99 of connect was", "p99 of response was", "no latency", "none was", "only", "the tester")
    lib.check(f["found_cps"] == 0 and all(t["reason"].startswith(none) for t in f["steps"]), f"answered within a microsecond: {f}")
    ok("the highest rate: the search ends, and says why no more is held")


def throughput(web):
    report = over_veth(web.far, "throughput", *words_of("throughput", "--concurrency", "2", "--warmup", "500ms", "--duration", "1s"))
    s, seen = seen_alike(web, "throughput", report, LARGE)
    lib.check(len(seen) == 2 and s["response_bytes_per_second"] > 0, f"{seen} {s['response_bytes_per_second']}")
    lib.check(s["packets"]["rx_bytes"] > s["response_bytes"], f"{s['packets']['rx_bytes']} bytes received")
    ok("throughput: large pages on two connections, every byte compared and counted")


def test():
    lib.need("ip", "nginx", "ethtool", "curl")
    with web() as w:
        # The last leaves nginx's kernel with TIME-WAIT of endpoints that the others would use again, and must ask twice for.
        for kind in (held, request_rate, latency, highest_rate, connection_rate):
            kind(w)
    with web(LARGE) as w:
        throughput(w)


if __name__ == "__main__":
    lib.main(test, limit=170)
