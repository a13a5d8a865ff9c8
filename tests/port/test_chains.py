#!/usr/bin/env python3
"""The kernel's frames arrive in chains of mbufs: port/chains.cpp gives net_tap receive buffers of 600 bytes and echoes.

usage: test_chains.py <path of the chains program>
"""
import os
import random
import re
import signal
import sys
import tempfile

import lib
import server
from test_server_life import check_echo

TERN, KERNEL = server.TERN, server.KERNEL


def test():
    lib.need("ip", "sysctl", "ethtool", "tshark", "tcpdump")
    if not os.path.exists("/dev/net/tun"):
        raise lib.Skipped("needs /dev/net/tun: modprobe tun")
    with lib.namespace("chains") as ns, lib.program(ns, sys.argv[1], "net_tap0,iface=tern0", f"{TERN}/24") as tern, \
         tempfile.NamedTemporaryFile(prefix="tern-chains-", suffix=".pcap") as pcap:
        tern.wait_for("ready")
        lib.check(", scatter" in tern.output(), tern.output())
        ns.write("net.ipv6.conf.tern0.disable_ipv6", 1)
        lib.no_offloads(ns, "tern0")
        lib.give_addresses(ns, "tern0", [f"{KERNEL}/24"])
        with server.inside(ns):
            for size in (600, 1200, 5000):  # headers and text ending at, before and behind a buffer's end
                ns.run("ping", "-n", "-c", "1", "-W", "5", "-s", size, TERN, timeout=10)
            with lib.capture(ns, "tern0", pcap.name), server.connect(7, seconds=30) as s:
                check_echo(s, random.Random(3).randbytes(1_000_003))
            for seed in range(4):
                with server.connect(7, seconds=30) as s:
                    check_echo(s, random.Random(seed).randbytes(3_000_000))
            with server.connect(7, seconds=30) as s:
                check_echo(s, random.Random(9).randbytes(40_000), chunk=577)
        lib.tshark_clean(pcap.name, allow_retransmissions=True)
        tern.process.send_signal(signal.SIGINT)
        code, out = tern.process.wait(10), tern.output()
        lib.check(code == 0 and "packets not given back: 0\n" in out, f"exit {code}:\n{out}")
        pieces = int(re.search(r"^most pieces (\d+)$", out, re.M).group(1))
        lib.check(pieces > 1, f"text came in {pieces} piece")
    print(f"ok - 13 MB both ways by SHA-256, pings to 5,000 bytes, every frame received in buffers of 600 bytes: text in up to"
          f" {pieces} pieces", flush=True)


if __name__ == "__main__":
    lib.main(test)
