#!/usr/bin/env python3
"""Frames of 9,000 bytes with the Linux kernel as the peer, over net_af_packet, whose ring must be made for them. (net_tap carries
no more than 1,504: DPDK 22.11 says so. Chains are received over net_tap and net_ring: test_chains, test_ring.)

usage: test_jumbo.py <path of tern>
"""
# limit: 100
import contextlib
import random
import sys
import tempfile

import lib
import server
from test_server_life import check_echo

MTU = 9000


@contextlib.contextmanager
def over_veth(arguments="", mtu=MTU):
    with lib.namespace("jumbof") as far, lib.namespace("jumbon") as near, \
         lib.veth(far, near, kernel_addresses=[f"{server.KERNEL}/24"], mtu=mtu), \
         lib.program(far, sys.argv[1], "server", "--port", f"net_af_packet0,iface=tern0{arguments}", "--ip", f"{server.TERN}/24",
                     "--mode", "echo", "--listen", "7", "--mtu", MTU) as tern:
        yield server.Server(tern, near, "peer0")


def jumbo():
    with over_veth() as peer, tempfile.NamedTemporaryFile(prefix="tern-jumbo-", suffix=".pcap") as pcap:
        peer.program.wait_for("ready")
        peer.ns.ip("link", "set", peer.device, "mtu", MTU)
        with server.inside(peer.ns), lib.capture(peer.ns, peer.device, pcap.name), server.connect(7, seconds=20) as s:
            check_echo(s, random.Random(9).randbytes(1_000_000))
        with server.inside(peer.ns), server.connect(7, seconds=20) as s:
            check_echo(s, random.Random(10).randbytes(10_000_000))
        lib.tshark_clean(pcap.name, allow_retransmissions=True)
        for who in (server.TERN, server.KERNEL):
            large = lib.tshark(pcap.name, f"ip.src == {who} && frame.len > 8000")
            lib.check(len(large) > 20, f"{who} sent {len(large)} frames above 8,000 bytes")
        peer.ns.ip("link", "set", peer.device, "mtu", 1500)  # Tern could take 9,000, the kernel offers an MSS for 1,500
        with server.inside(peer.ns), server.connect(7, seconds=20) as s:
            check_echo(s, random.Random(11).randbytes(1_000_000))
        counters = peer.finish()
        lib.check(counters["closed_done"] == 3, f"{counters}")
    print("ok - frames of 9,000 bytes both ways, 11 MB by SHA-256, every checksum good; 1 MB with a peer of 1,500", flush=True)


def refused():
    """What the driver cannot carry is told with its cure."""
    with over_veth(",framesz=4096,blocksz=4096,framecnt=512") as peer:
        code = peer.program.process.wait(20)
        out = peer.program.output()
        lib.check(code == 2 and "framesz=9216" in out and "9000" in out, f"exit {code}:\n{out}")
    with lib.namespace("jumbot") as ns:
        r = ns.run(sys.argv[1], "server", "--port", "net_tap0,iface=tern0", "--ip", f"{server.TERN}/24", "--mtu", MTU, timeout=30, ok=False)
        lib.check(r.returncode == 2 and "net_af_packet on a veth pair" in r.stdout, f"exit {r.returncode}:\n{r.stdout}")
    print("ok - a ring that is too small for the MTU, and net_tap: one line that says what to do, exit 2", flush=True)


def test():
    lib.need("tshark", "tcpdump")
    jumbo()
    refused()


if __name__ == "__main__":
    lib.main(test, limit=95)
