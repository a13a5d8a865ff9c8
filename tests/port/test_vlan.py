#!/usr/bin/env python3
"""Frames with one VLAN tag and with two, over net_tap and over net_af_packet: the kernel behind a switch that takes the tags
off (port/tagger.py: kernels without 8021q are common in containers). Ping, curl by SHA-256; untagged frames are nobody's.

usage: test_vlan.py <path of tern>
"""
# limit: 240
import contextlib
import pathlib
import sys

import lib
import server

TAGGER = pathlib.Path(__file__).with_name("tagger.py")
SIZE = 400_000


@contextlib.contextmanager
def tagged(driver, vlans, options):
    """Tern on `driver` in one namespace with the switch, the kernel in another."""
    with lib.namespace("vl" + driver[4] + "t") as far, lib.namespace("vl" + driver[4] + "k") as near:
        lib.run("ip", "link", "add", "plain0", "netns", far.name, "type", "veth", "peer", "name", "peer0",
                "netns", near.name)
        lib.bare(far, "plain0")
        lib.no_offloads(far, "plain0")
        lib.no_offloads(near, "peer0")
        lib.give_addresses(near, "peer0", [f"{server.KERNEL}/24", f"{server.KERNEL6}/64"])
        device = "tern0"
        if driver == "net_af_packet":
            far.ip("link", "add", "tern0", "type", "veth", "peer", "name", "trunk0")
            for d in ("tern0", "trunk0"):
                lib.bare(far, d, 1508)
                lib.no_offloads(far, d)
            device = "trunk0"
        with lib.program(far, sys.argv[1], "server", "--port", f"{driver}0,iface=tern0", "--ip", f"{server.TERN}/24",
                         "--ip", f"{server.TERN6}/64", "--mode", "http", "--response-size", str(SIZE), *options) as tern:
            tern.wait_for("ready")
            if driver == "net_tap":
                lib.no_offloads(far, "tern0")
                lib.bare(far, "tern0", 1508)
            with lib.program(far, sys.executable, TAGGER, "plain0", device, vlans) as switch:
                switch.wait_for("tagging")
                yield server.Server(tern, near, "peer0")


def test():
    lib.need("ip", "sysctl", "ethtool", "curl", "ping")
    for driver in ("net_tap", "net_af_packet"):
        ways = [("7", ["--vlan", "7"])]
        if driver == "net_af_packet":
            ways.append(("7", ["--vlan", "7", "--vlan-tag", "software"]))
        for vlans, options in (*ways, ("100.7", ["--vlan", "7", "--service-vlan", "100"])):
            # One tag is the port's where it can: net_af_packet's kernel takes it off, and its driver puts it on.
            by_port = driver == "net_af_packet" and options == ["--vlan", "7"]
            with tagged(driver, vlans, options) as peer:
                lib.check(f"vlan {'hardware' if by_port else 'software'}" in peer.program.output(), peer.program.output())
                for to in (server.TERN, server.TERN6):
                    out = peer.ns.run("ping", "-n", "-c", "2", "-l", "2", "-i", "5", "-W", "10", "-s",
                                      "1472" if "." in to else "1452", to, timeout=20)  # -l, -i: as in test_first_contact
                    lib.check("2 received" in out, out)
                    _, data, (code, *_) = server.curl(peer.ns, "-g", f"[{to}]" if ":" in to else to)
                    lib.check(code == "200" and server.sha(data) == server.sha(server.body(SIZE)), f"{code}, {len(data)} bytes")
                counters = peer.finish()
                lib.check(counters["accepted"] == 2 and counters.get("drop_other_mac", 0) == 0, f"{counters}")
            whose = f"{'two tags' if '.' in vlans else 'one tag'} of {'the port' if by_port else 'ours'}"
            print(f"ok - {driver}: {whose}, IPv4 and IPv6, frames up to the whole MTU", flush=True)
            # Tagged otherwise than we are, more often, or not at all: no answer.
            for other in ("8", "", "7.7") if by_port else ("8", ""):
                with tagged(driver, other, options) as peer:
                    out = peer.ns.run("ping", "-n", "-c", "1", "-W", "1", server.TERN, ok=False).stdout
                    lib.check("0 received" in out, f"answered frames of VLAN {other or 'none'}:\n{out}")
                    lib.check(peer.finish().get("drop_vlan", 0) > 0, f"frames of VLAN {other or 'none'} were not counted")
        print(f"ok - {driver}: another VLAN is nobody's, nor are frames without a tag", flush=True)


if __name__ == "__main__":
    lib.main(test, limit=235)
