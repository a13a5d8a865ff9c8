#!/usr/bin/env python3
"""What happens to a network under a connection, with the Linux kernel as router and as peer: a link on the path that is too
small, fragments, pings larger than a frame, UDP that nobody hears, links that go down, MACs that change.

usage: test_network.py <path of tern>
"""
# limit: 150
import contextlib
import ipaddress
import os
import random
import re
import socket
import sys
import threading
import time

import lib
import server
from test_server_life import check_echo

CLIENT, CLIENT6 = "10.98.0.2", "fd00:7e12:9::2"
IP_MTU_DISCOVER, IP_PMTUDISC_DONT = 10, 0
ROUTER, ROUTER6 = "10.98.0.1", "fd00:7e12:9::1"


def ok(name):
    print(f"ok - {name}", flush=True)


@contextlib.contextmanager
def behind_routers(*options, tag, mtu):
    """Tern – router – edge – client, namespaces; the link between the routers carries `mtu`. Tern is on net_tap: where it is
    on net_af_packet, the kernel puts IPv4 fragments together before anybody sees them."""
    with lib.namespace(tag + "r") as router, lib.namespace(tag + "e") as edge, lib.namespace(tag + "c") as near:
        for left, name, right, other in ((router, "r1", edge, "e0"), (edge, "e1", near, "c0")):
            lib.run("ip", "link", "add", name, "netns", left.name, "type", "veth", "peer", "name", other, "netns", right.name)
            lib.no_offloads(left, name)
            lib.no_offloads(right, other)
        lib.give_addresses(router, "r1", ["10.97.0.1/24", "fd00:7e12:7::1/64"])
        lib.give_addresses(edge, "e0", ["10.97.0.2/24", "fd00:7e12:7::2/64"])
        lib.give_addresses(edge, "e1", [f"{ROUTER}/24", f"{ROUTER6}/64"])
        lib.give_addresses(near, "c0", [f"{CLIENT}/24", f"{CLIENT6}/64"])
        for ns, device in ((router, "r1"), (edge, "e0")):
            ns.ip("link", "set", device, "mtu", mtu)
        for ns in (router, edge):
            ns.write("net.ipv4.ip_forward", 1)
            ns.write("net.ipv6.conf.all.forwarding", 1)
        for ns, via, via6 in ((near, ROUTER, ROUTER6), (edge, "10.97.0.1", "fd00:7e12:7::1"),
                              (router, "10.97.0.2", "fd00:7e12:7::2")):
            ns.ip("route", "add", "default", "via", via)
            if mtu >= 1280:
                ns.ip("-6", "route", "add", "default", "via", via6)
        with lib.program(router, sys.argv[1], "server", "--port", "net_tap0,iface=tern0", "--ip", f"{server.TERN}/24",
                         "--ip", f"{server.TERN6}/64", "--gateway", server.KERNEL, "--gateway", server.KERNEL6,
                         *options) as tern:
            tern.wait_for("ready")
            lib.no_offloads(router, "tern0")
            lib.give_addresses(router, "tern0", [f"{server.KERNEL}/24", f"{server.KERNEL6}/64"])
            yield server.Server(tern, near, "c0")


def path_mtu():
    size = 1_000_000
    with behind_routers("--mode", "http", "--response-size", str(size), tag="npmtu", mtu=1300) as peer:
        for url in (server.TERN, f"[{server.TERN6}]"):
            _, data, (code, *_) = server.curl(peer.ns, "-g", url, timeout=25)
            lib.check(code == "200" and server.sha(data) == server.sha(server.body(size)), f"{url}: {code}, {len(data)} bytes")
        counters = peer.finish()
        lib.check(counters.get("icmp_errors_in", 0) >= 2 and counters.get("pmtu_reduced", 0) >= 2, f"{counters}")
    ok("a link of 1,300 on the path: told by the router, transfers go on, IPv4 and IPv6")


def fragments():
    with behind_routers("--mode", "echo", "--listen", "7", tag="nfrag", mtu=1000) as peer:
        def may_be_cut(s):  # the client lets routers fragment
            s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
        data = random.Random(5).randbytes(1_500_000)
        with server.inside(peer.ns), server.connect(7, seconds=20, before=may_be_cut) as s:
            threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)), daemon=True).start()
            lib.check(server.sha(server.read_all(s)) == server.sha(data), "what came back is not what was sent")
        counters = peer.finish()
        lib.check(counters.get("datagrams_whole", 0) > 200 and counters.get("drop_fragment", 0) == 0, f"{counters}")
    ok("segments that a router cut in two are put together: 1.5 MB by SHA-256")


def strangers():
    """Pings larger than a frame, and UDP."""
    with server.over_tap("--mode", "echo", "--listen", "7", "--ip", f"{server.TERN6}/64", tag="nstr") as peer:
        peer.ns.write("net.ipv6.conf.tern0.disable_ipv6", 0)
        peer.ns.ip("addr", "add", f"{server.KERNEL6}/64", "dev", "tern0", "nodad")
        for to in (server.TERN, server.TERN6):
            out = peer.ns.run("ping", "-n", "-c", "3", "-l", "3", "-i", "5", "-W", "10", "-s", "6000", to, timeout=20)
            lib.check("3 received" in out and "truncated" not in out, out)
        with server.inside(peer.ns):
            for family, to in ((socket.AF_INET, server.TERN), (socket.AF_INET6, server.TERN6)):
                with socket.socket(family, socket.SOCK_DGRAM) as s:
                    s.settimeout(5)
                    s.connect((to, 9999))
                    s.send(b"anybody?")
                    try:
                        s.recv(10)
                        raise lib.Failed(f"{to}: somebody answered UDP")
                    except ConnectionRefusedError:
                        pass
        counters = peer.finish()
        lib.check(counters.get("datagrams_whole") == 6 and counters.get("icmp_errors_out") == 2, f"{counters}")
    ok("pings of 6,000 bytes there and back; UDP is refused")


class Pump(threading.Thread):
    """Rounds of 100 KB there and back on one connection, compared, until told to stop."""
    def __init__(self, s):
        super().__init__(daemon=True)
        self.s, self.rounds, self.ended, self.why = s, 0, threading.Event(), None

    def run(self):
        chance = random.Random(6)
        try:
            while not self.ended.is_set():
                data = chance.randbytes(100_000)
                sender = threading.Thread(target=self.s.sendall, args=(data,), daemon=True)
                sender.start()
                got = bytearray()
                while len(got) < len(data):
                    piece = self.s.recv(len(data) - len(got))
                    if not piece:
                        raise EOFError("the connection ended")
                    got += piece
                sender.join()
                if got != data:
                    raise ValueError("not the same bytes")
                self.rounds += 1
        except Exception as why:  # told by the main thread
            self.why = why

    def goes_on(self, after, seconds=25):
        at = self.rounds
        lib.wait_until(lambda: self.why or self.rounds >= at + 3, f"after {after} nothing moves", seconds)
        lib.check(not self.why, f"after {after}: {self.why}")


def changes():
    with server.over_veth("--mode", "echo", "--listen", "7", tag="nchg") as peer, server.inside(peer.ns):
        peer.ns.write("net.ipv4.conf.peer0.arp_notify", 1)
        with server.connect(7, seconds=40) as s:
            pump = Pump(s)
            pump.start()
            pump.goes_on("the start")
            peer.ns.ip("link", "set", "peer0", "down")
            time.sleep(1.2)
            peer.ns.ip("link", "set", "peer0", "up")
            pump.goes_on("the link was down for a second")
            ok("the link goes down and comes back during a transfer")
            peer.ns.ip("link", "set", "peer0", "address", "02:00:5e:00:00:77")
            pump.goes_on("the neighbour's MAC changed")
            ok("the neighbour's MAC changes during a transfer")
            peer.ns.ip("link", "set", "peer0", "mtu", "1400")
            peer.ns.ip("link", "set", "peer0", "mtu", "9000")
            pump.goes_on("the peer's MTU changed")
            ok("the peer's MTU changes during a transfer")
            peer.ns.ip("neigh", "flush", "dev", "peer0")
            pump.goes_on("the kernel forgot us")
            pump.ended.set()
            pump.join(20)
        counters = peer.finish()
        lib.check(counters.get("closed_done", 0) + counters.get("closed_reset", 0) == 1, f"{counters}")
    ok("the kernel forgets our MAC and asks again")


def narrow_end():
    """A veth pair's far end takes less than ours sends: the kernel gives such frames back to AF_PACKET's ring for ever, unless
    a queue takes and drops them (README, Limits). Then the transfer goes on: by smaller segments, once a black hole is suspected."""
    with lib.namespace("nnarf") as far, lib.namespace("nnarn") as near, \
         lib.veth(far, near, kernel_addresses=[f"{server.KERNEL}/24"]):
        far.run("tc", "qdisc", "add", "dev", "tern0", "root", "pfifo")
        with lib.program(far, sys.argv[1], "server", "--port", "net_af_packet0,iface=tern0,qdisc_bypass=0", "--ip",
                         f"{server.TERN}/24", "--mode", "chargen", "--listen", "19") as tern:
            tern.wait_for("ready")
            with server.inside(near), server.connect(19, seconds=40) as s:
                def receive(least):
                    got = 0
                    while got < least:
                        piece = s.recv(65536)
                        lib.check(piece, "the connection ended")
                        got += len(piece)
                receive(1_000_000)
                near.ip("link", "set", "peer0", "mtu", 1280)
                receive(3_000_000)
                near.run("ping", "-n", "-c", "1", "-W", "5", server.TERN, timeout=10)
            server.Server(tern, near, "peer0").finish()
    ok("the far end's MTU falls under a transfer, a queue in between: it goes on in smaller segments")


def mac_of(ns, device):
    return re.search(r"link/ether (\S+)", ns.ip("link", "show", "dev", device)).group(1)


def link_local(mac):
    """RFC 4291, appendix A."""
    b = bytes.fromhex(mac.replace(":", ""))
    return ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + bytes([b[0] ^ 2]) + b[1:3] + b"\xff\xfe" + b[3:])


def ways():
    """Networks with a router of their own, none for the rest of the world; and neighbours who use link-local addresses."""
    with lib.namespace("nwayf") as far, lib.namespace("nwayn") as near, \
         lib.veth(far, near, kernel_addresses=[f"{server.KERNEL}/24", f"{server.KERNEL6}/64", "10.77.0.1/32", "10.78.0.1/32",
                                               "fd00:77::1/128"]), \
         lib.program(far, sys.argv[1], "server", "--port", "net_af_packet0,iface=tern0", "--ip", f"{server.TERN}/24", "--ip",
                     f"{server.TERN6}/64", "--mode", "echo", "--listen", "7", "--route", f"10.77.0.0/24,via={server.KERNEL}",
                     "--route", f"fd00:77::/64,via={server.KERNEL6}") as tern:
        tern.wait_for("ready")
        with server.inside(near):
            for ours, to in (("10.77.0.1", server.TERN), ("fd00:77::1", server.TERN6)):
                with server.connect(7, seconds=10, to=to, before=lambda s: s.bind((ours, 0))) as s:
                    check_echo(s, random.Random(1).randbytes(100_000))
            try:
                server.connect(7, seconds=2, before=lambda s: s.bind(("10.78.0.1", 0))).close()
                raise lib.Failed("answered through a route that nobody named")
            except TimeoutError:
                pass
            ok("networks with a router of their own, both families; one without is not answered")
            there = link_local(mac_of(far, "tern0"))
            near.run("ping", "-6", "-n", "-c", "1", "-W", "5", f"{there}%peer0", timeout=10)
            with socket.socket(socket.AF_INET6) as s:
                s.settimeout(10)
                s.connect((str(there), 7, 0, socket.if_nametoindex("peer0")))
                check_echo(s, random.Random(2).randbytes(100_000))
        counters = server.Server(tern, near, "peer0").finish()
        lib.check(counters.get("drop_no_route", 0) > 0 and counters["closed_done"] == 3, f"{counters}")
    ok("ping and TCP between link-local addresses")


def test():
    lib.need("curl", "ping", "ip", "tc")
    path_mtu()
    fragments()
    strangers()
    changes()
    narrow_end()
    ways()


if __name__ == "__main__":
    lib.main(test, limit=145)
