#!/usr/bin/env python3
"""16,384 source addresses towards the Linux kernel: `tern client --sources` against nginx on a veth pair, routed as a lab routes
them. Every address is used, once; ARP is answered for each of them, and for none beside them.

usage: test_sources.py <path of tern>
"""
# limit: 150
import collections
import ipaddress
import pathlib
import re
import socket
import struct
import sys
import tempfile

import lib
import server
from client import KERNEL, TERN, checked, client, nginx, ok

BLOCK = ipaddress.ip_network("10.64.0.0/18")
ETH_P_ARP, BATCH = 0x0806, 64


def seen_by(log):
    """How many requests nginx had from each address; the last may still be on its way to the file."""
    return collections.Counter(line.split()[0] for line in pathlib.Path(log).read_text().splitlines())


def each_once(far, log):
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        far.run(*client("--port", "net_af_packet0,iface=tern0", "--ip", f"{TERN}/24", "--sources", BLOCK, "--target", f"{KERNEL}:80",
                        "--payload", "http", "--close", "server", "--connections", BLOCK.num_addresses, "--in-progress", 32, "--quiet",
                        "--json", report.name), timeout=110)
        s = checked(report.name, "sources")
    lib.check(s["connections"]["completed"] == BLOCK.num_addresses, f"{s['connections']}")
    return lib.wait_until(lambda: (n := seen_by(log)).total() >= BLOCK.num_addresses and n, "nginx's log")


def arp_answers(near, asked):
    """Who answers for what: asked of Tern one by one, on a socket that sees every frame. {address: MAC}"""
    mac = bytes.fromhex(re.search(r"link/ether (\S+)", near.ip("link", "show", "dev", "peer0")).group(1).replace(":", ""))
    sender = socket.inet_aton(KERNEL)
    answers = {}
    with server.inside(near), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP)) as s:
        s.bind(("peer0", ETH_P_ARP))
        s.settimeout(1)
        left = [a.packed for a in asked]
        for _ in range(5):  # who is not heard of is asked again: a ring may overflow on a busy machine
            for at in range(0, len(left), BATCH):
                batch = set(left[at:at + BATCH])
                for ip in batch:
                    s.send(b"\xff" * 6 + mac + struct.pack("!HHHBBH6s4s6s4s", ETH_P_ARP, 1, 0x0800, 6, 4, 1, mac, sender, bytes(6), ip))
                try:
                    while batch:
                        f = s.recv(2048)
                        if f[20:22] == b"\0\2" and f[0:6] == mac and f[28:32] in batch:
                            batch.remove(f[28:32])
                            answers[f[28:32]] = f[22:28]
                except TimeoutError:
                    pass
            left = [ip for ip in left if ip not in answers]
            if not left:
                break
    return answers


def arp_for_all(near, far):
    """The one who answers must be there all the while: a client that holds one connection and lets it rest."""
    with lib.program(far, *client("--port", "net_af_packet0,iface=tern0", "--ip", f"{TERN}/24", "--sources", BLOCK, "--target",
                                  f"{KERNEL}:80", "--payload", "http", "--cps", 1, "--duration", "100s")) as p:
        p.wait_for("ready")
        answers = arp_answers(near, BLOCK)
        lib.check(len(answers) == BLOCK.num_addresses, f"{len(answers)} of {BLOCK.num_addresses} addresses were answered for")
        lib.check(len(set(answers.values())) == 1, f"by several stations: {set(answers.values())}")
        beside = [BLOCK[0] - 1, BLOCK[-1] + 1, ipaddress.ip_address("10.99.9.77")]
        others = arp_answers(near, beside)
        lib.check(not others, f"answered for addresses that are nobody's: {others}")
        code = p.stop()
        lib.check(code in (0, 1), f"exit {code}:\n{p.output()}")
    ok(f"ARP is answered for each of {BLOCK.num_addresses:,} addresses, and for none beside them")


def test():
    lib.need("ip", "nginx", "ethtool")
    with lib.namespace("srct") as far, lib.namespace("srck") as near, \
         lib.veth(far, near, kernel_addresses=[f"{KERNEL}/24"]), \
         nginx(near, "log_format who '$remote_addr'; access_log {0}/who who;", "page\n") as web:
        # A kernel's table holds 1,024 neighbours, and namespaces cannot change that: the block has a route, as in any lab.
        near.ip("route", "add", BLOCK, "via", TERN)
        seen = each_once(far, pathlib.Path(web.folder) / "who")
        wrong = [a for a, n in seen.items() if ipaddress.ip_address(a) not in BLOCK or n != 1]
        lib.check(len(seen) == BLOCK.num_addresses and not wrong, f"{len(seen)} addresses; not once: {wrong[:5]}")
        ok(f"{BLOCK.num_addresses:,} connections from as many addresses: nginx saw each once, none failed")
        arp_for_all(near, far)


if __name__ == "__main__":
    lib.main(test, limit=145)
