#!/usr/bin/env python3
"""`tern server` over net_af_packet on a veth pair, IPv4 and IPv6: curl, half-close, refusal, and bulk both ways by SHA-256;
tshark reads the frames.

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
            for words in ([server.TERN], ["-H", "Connection: close", server.TERN], ["--http1.0", f"[{server.TERN6}]"]):
                _, data, (code, _, _, _) = server.curl(peer.ns, "-g", *words)
                lib.check(code == "200" and server.sha(data) == server.sha(server.body(3_000_000)),
                          f"curl {words}: status {code}, {len(data)} bytes")
        lib.tshark_clean(pcap.name, allow_retransmissions=True)
        counters = peer.finish()
        lib.check(counters["accepted"] == counters["closed_done"] == 3, f"{counters}")
    print("ok - curl, 3 MB by SHA-256, three ways of ending", flush=True)


def echo():
    with server.over_veth("--mode", "echo", "--listen", "7", tag="vecho") as peer, server.inside(peer.ns):
        for to in (server.TERN, server.TERN6):
            with server.connect(7, seconds=20, to=to) as s:
                check_echo(s, os.urandom(500_000))
            with server.connect(7, seconds=20, to=to) as s:
                check_echo(s, random.Random(2).randbytes(20_000_000))
            try:
                server.connect(8, to=to).close()
                raise lib.Failed(f"{to}: a port that nobody listens on accepted")
            except ConnectionRefusedError:
                pass
        counters = peer.finish()
        lib.check(counters["closed_done"] == 4, f"{counters}")
    print("ok - 20 MB both ways by SHA-256, over IPv4 and over IPv6", flush=True)


def test():
    lib.need("curl", "tcpdump", "tshark")
    http()
    echo()


if __name__ == "__main__":
    lib.main(test)
