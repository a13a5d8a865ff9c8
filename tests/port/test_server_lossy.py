#!/usr/bin/env python3
"""Bulk both ways with the Linux kernel over a cable that loses, repeats and reorders by seed; SHA-256 equal every time.

usage: test_server_lossy.py <path of tern>
"""
# limit: 260
import contextlib
import pathlib
import random
import re
import signal
import sys

import lib
import server
from test_network import Pump
from test_server_life import check_echo

RELAY = pathlib.Path(__file__).with_name("relay.py")
SIZE = 10_000_000
HARM = [("loss", dict(loss=0.01)), ("reordering", dict(reorder=0.02)), ("duplication", dict(duplicate=0.02)),
        ("all three", dict(loss=0.005, reorder=0.01, duplicate=0.01))]
LONG = ("loss, the long way", dict(loss=0.001), 100_000_000)


@contextlib.contextmanager
def over_relay(seed, harm, *options):
    """kernel peer0 == left RELAY right == tern0 Tern"""
    with lib.namespace("lossk") as near, lib.namespace("lossr") as middle, lib.namespace("losst") as far, \
         lib.veth(middle, near, tern_name="left", kernel_addresses=[f"{server.KERNEL}/24"]), \
         lib.veth(far, middle, kernel_name="right"):
        lib.bare(middle, "right")
        near.write("net.ipv6.conf.peer0.disable_ipv6", 1)
        words = [w for k, v in harm.items() for w in (f"--{k}", v)]
        with lib.program(middle, sys.executable, RELAY, "left", "right", "--seed", seed, *words) as relay, \
             lib.program(far, sys.argv[1], "server", "--port", "net_af_packet0,iface=tern0", "--ip", f"{server.TERN}/24",
                         *options) as tern:
            relay.wait_for("relaying")
            tern.wait_for("ready")
            yield server.Server(tern, near, "peer0"), relay


def transfer(seed, name, harm, size=SIZE):
    data = random.Random(seed).randbytes(size)
    with over_relay(seed, harm, "--mode", "echo", "--listen", "7") as (peer, relay), server.inside(peer.ns):
        with server.connect(7, seconds=20) as s:
            check_echo(s, data)
        counters = peer.finish(15)
        lib.check(relay.stop() == 0, relay.output())
        said = relay.output().splitlines()[-1]
    did = {k: int(n) for k, n in re.findall(r"(\w+) (\d+)", said)}
    for what, counted in (("loss", "lost"), ("reorder", "held"), ("duplicate", "repeated")):
        lib.check((what in harm) == (did[counted] > 0), f"the relay did not do as told: {said}")
    if "loss" in harm:
        lib.check(counters.get("retransmit_fast", 0) > 0, f"nothing was mended by SACK: {counters}")
    print(f"ok - {size // 1_000_000} MB both ways, {name}, seed {seed}", flush=True)
    print(f"  relay: {said}; sent again: "
          + ", ".join(f"{k[11:]} {n}" for k, n in counters.items() if k.startswith("retransmit_")), flush=True)


def narrows():
    """Within a transfer the path takes 1,300 bytes and no more, without ICMP; later all again. Both ends must find out."""
    with over_relay(9, dict(narrow=1300), "--mode", "echo", "--listen", "7") as (peer, relay), server.inside(peer.ns):
        peer.ns.write("net.ipv4.tcp_mtu_probing", 1)  # else the kernel would not
        with server.connect(7, seconds=80) as s:
            pump = Pump(s)
            pump.start()
            pump.goes_on("the start")
            relay.process.send_signal(signal.SIGUSR1)
            pump.goes_on("the path became narrow", 60)
            relay.process.send_signal(signal.SIGUSR2)
            pump.goes_on("the path is as it was", 40)
            pump.ended.set()
            pump.join(20)
        counters = peer.finish(15)
        lib.check(relay.stop() == 0, relay.output())
        said = relay.output().splitlines()[-1]
        lib.check(counters.get("pmtu_black_hole", 0) > 0, f"nothing was found: {said} {counters}")
    print(f"ok - the path narrows to 1,300 bytes without a word, and widens: the transfer goes on, black holes suspected"
          f" {counters['pmtu_black_hole']} times; relay: {said}", flush=True)


def test():
    for seed, (name, harm) in enumerate(HARM, 1):
        transfer(seed, name, harm)
    transfer(len(HARM) + 1, *LONG)
    narrows()


if __name__ == "__main__":
    lib.main(test, limit=255)
