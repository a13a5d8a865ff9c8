#!/usr/bin/env python3
"""`tern server` over net_af_packet on a veth pair: curl, half-close, and bulk both ways by SHA-256; tshark reads the frames.

usage: test_server_veth.py <path of tern>
"""
import os
import random
import tempfile

import lib
import server
from test_server_life import check_echo


def http():
    with server.over_veth("--mode", "http", "--response-size", "3000000", tag="vhttp") as peer, \
         tempfile.NamedTemporaryFile(suffix=".pcap") as pcap:
        with lib.capture(peer.ns, peer.device, pcap.name):
            for words in ([], ["-H", "Connection: close"], ["--http1.0"]):
                _, data, (code, _, _, _) = server.curl(peer.ns, *words, f"http://{server.TERN}/")
                lib.check(code == "200" and server.sha(data) == server.sha(server.body(3_000_000)),
                          f"curl {words}: status {code}, {len(data)} bytes")
        lib.tshark_clean(pcap.name, allow_retransmissions=True)
        counters = peer.finish()
        lib.check(counters["accepted"] == counters["closed_done"] == 3, f"{counters}")
    print("ok - curl, 3 MB by SHA-256, three ways of ending", flush=True)


def echo():
    with server.over_veth("--mode", "echo", "--listen", "7", tag="vecho") as peer, server.inside(peer.ns):
        with server.connect(7, seconds=20) as s:
            check_echo(s, os.urandom(500_000))
        with server.connect(7, seconds=20) as s:
            check_echo(s, random.Random(2).randbytes(20_000_000))
        counters = peer.finish()
        lib.check(counters["closed_done"] == 2, f"{counters}")
    print("ok - 20 MB both ways by SHA-256", flush=True)


def test():
    lib.need("curl", "tcpdump", "tshark")
    http()
    echo()


if __name__ == "__main__":
    lib.main(test)
