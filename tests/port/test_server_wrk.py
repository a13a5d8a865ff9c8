#!/usr/bin/env python3
"""wrk, on the Linux kernel, is answered over net_af_packet: on connections that stay, and on one for each request.

usage: test_server_wrk.py <path of tern>
"""
import re

import lib
import server


def load(name, *words, options=()):
    with server.over_veth("--mode", "http", "--response-size", "1000", *options, tag="wrk") as peer:
        out = peer.ns.run("wrk", "-t", 1, "-c", 50, "-d", "3s", "--timeout", "20s", *words, f"http://{server.TERN}/", timeout=20)
        counters = peer.finish(15)
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    # wrk counts as a read error the end of a connection between two answers, so none may be.
    lib.check(requests > 100 and "Socket errors" not in out and "Non-2xx" not in out, f"{name}:\n{out}")
    print(f"ok - wrk, {name}", flush=True)
    return requests, counters


def test():
    lib.need("wrk")
    requests, counters = load("keep-alive")
    # wrk also opens one connection more, to see whether the server is there.
    lib.check(counters["accepted"] <= 51, f"{requests} requests on {counters['accepted']} connections")
    requests, counters = load("a connection a request", "-H", "Connection: close")
    lib.check(counters["accepted"] >= requests, f"{requests} requests on {counters['accepted']} connections")
    load("closed by the server", options=("--close", "server"))


if __name__ == "__main__":
    lib.main(test)
