#!/usr/bin/env python3
"""The Linux kernel resolves and pings Tern over net_tap: ARP, neighbour discovery, ICMP, ICMPv6, small and large.

usage: test_first_contact.py <path of the first_contact program>
"""
import os
import re
import sys

import lib

TERN4, KERNEL4 = "10.99.7.2", "10.99.7.1"
TERN6, KERNEL6 = "fd00:7e12::2", "fd00:7e12::1"


def ping(ns, to, *options, count=5):
    # All at once: once an answer has come, -W counts no more, and ping waits as long as -i says.
    r = ns.run("ping", "-n", "-c", count, "-l", count, "-i", "5", "-W", "10", *options, to, timeout=20, ok=False)
    got = re.search(r"(\d+) received", r.stdout)
    lib.check(got and int(got.group(1)) == count and "DUP!" not in r.stdout, f"ping {to} {options}:\n{r.stdout}")


def neighbour(ns, to):
    """The MAC that the kernel resolved."""
    found = re.search(r"lladdr ([0-9a-f:]{17})", ns.ip("neigh", "show", to))
    lib.check(found, f"the kernel resolved no MAC for {to}")
    return found.group(1)


def test():
    lib.need("ip", "ping", "sysctl")
    if not os.path.exists("/dev/net/tun"):
        raise lib.Skipped("needs /dev/net/tun: modprobe tun")
    with lib.namespace("contact") as ns, \
         lib.program(ns, sys.argv[1], "net_tap0,iface=tern0", f"{TERN4}/24", f"{TERN6}/64") as tern:
        tern.wait_for("ready")
        # net_tap's kernel side is the peer here: it has the kernel's addresses, Tern has the others.
        lib.give_addresses(ns, "tern0", [f"{KERNEL4}/24", f"{KERNEL6}/64"])
        ping(ns, TERN4)
        ping(ns, TERN4, "-s", 1472, "-M", "do")  # the whole MTU
        ping(ns, TERN4, "-s", 0)
        ping(ns, TERN6)
        ping(ns, TERN6, "-s", 1452)
        ping(ns, "ff02::1%tern0", count=1)
        lib.check(neighbour(ns, TERN4) == neighbour(ns, TERN6), "one MAC for both families")
        # Asked again by name of the MAC only: the entry is thrown away first.
        for to in (TERN4, TERN6):
            ns.ip("neigh", "flush", "dev", "tern0")
            ping(ns, to, count=1)
            neighbour(ns, to)
        # An address that is nobody's stays unanswered.
        r = ns.run("ping", "-n", "-c", "1", "-W", "1", "10.99.7.77", timeout=10, ok=False)
        lib.check(r.returncode != 0, "somebody answered for 10.99.7.77")
        code = tern.stop()
        out = tern.output()
        lib.check(code == 0 and "mbufs_leaked 0" in out, f"exit {code}:\n{out}")
        for counter, least in (("arp_requests_in", 2), ("nd_solicits_in", 2), ("icmp_echo_in", 28)):
            found = re.search(rf"^{counter} (\d+)$", out, re.M)
            lib.check(found and int(found.group(1)) >= least, f"{counter} is not >= {least}:\n{out}")
    print(next(l for l in out.splitlines() if l.startswith("port ")))


if __name__ == "__main__":
    lib.main(test)
