#!/usr/bin/env python3
"""`tern server` over net_af_xdp on a veth pair: curl with a 3 MB body by SHA-256, wrk on a connection a request; no bad frame
on the wire.

usage: test_af_xdp.py <path of tern>
"""
import contextlib
import re
import sys
import tempfile

import lib
import server


@contextlib.contextmanager
def over_xdp(*options):
    lib.need("ip", "sysctl", "ethtool")
    with lib.namespace("xdpt") as far, lib.namespace("xdpk") as near, \
         lib.veth(far, near, kernel_addresses=[f"{server.KERNEL}/24"]):
        with lib.program(far, sys.argv[1], "server", "--port", "net_af_xdp0,iface=tern0", "--ip", f"{server.TERN}/24",
                         *options) as tern:
            try:
                tern.wait_for("ready")
            except lib.Failed:
                if "cannot be made" in tern.output() or "port does not start" in tern.output():
                    raise lib.Skipped("this kernel gives no AF_XDP socket: " + tern.output().splitlines()[-1])
                raise
            yield server.Server(tern, near, "peer0")


def test():
    lib.need("curl", "wrk", "tcpdump", "tshark")
    with over_xdp("--mode", "http", "--response-size", "3000000") as peer, \
         tempfile.NamedTemporaryFile(suffix=".pcap") as pcap:
        with lib.capture(peer.ns, peer.device, pcap.name):
            _, data, (code, _, _, _) = server.curl(peer.ns, server.TERN)
        lib.check(code == "200" and server.sha(data) == server.sha(server.body(3_000_000)), f"{code}, {len(data)}")
        lib.tshark_clean(pcap.name, allow_retransmissions=True)
        peer.finish()
    print("ok - 3 MB by SHA-256, every frame sound", flush=True)
    with over_xdp("--mode", "http", "--response-size", "500") as peer:
        out = peer.ns.run("wrk", "-t", 1, "-c", 40, "-d", "2s", "--timeout", "20s", "-H", "Connection: close",
                          f"http://{server.TERN}/", timeout=40)
        counters = peer.finish()
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    lib.check(requests > 50 and "Socket errors" not in out and counters["accepted"] >= requests, f"{out}\n{counters}")
    print(f"ok - wrk: {requests} connections in 2 s", flush=True)


if __name__ == "__main__":
    lib.main(test)
