#!/usr/bin/env python3
"""A server at rest: with `--idle adaptive` it takes less than 3% of a CPU for each of its cores, and whoever knocks ends its
sleep: how soon he is answered is printed. With `--idle busy` it spins.

usage: test_idle.py <path of tern>
"""
# limit: 240
import os
import sys
import tempfile
import time

import lib
import server
import test_memif
from test_af_xdp import over_xdp

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def at_rest(program, seconds):
    pid = program.process.pid  # `ip netns exec` becomes the program: the pid is its own
    time.sleep(0.5)
    before, begin = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / (time.monotonic() - begin)


def share_at_rest(program):
    return min(at_rest(program, 2) for _ in range(3))  # a busy neighbour costs us cache, not only turns


def knocks(peer, n=30):
    """How long the kernel's connect() takes, each after a rest; in milliseconds, sorted."""
    took = []
    with server.inside(peer.ns):
        server.connect(7).close()  # neighbours are known
        for _ in range(n):
            time.sleep(0.1)
            begin = time.monotonic()
            s = server.connect(7)
            took.append(1000 * (time.monotonic() - begin))
            s.close()
    return sorted(took)


def adaptive(name, over, cores, *options):
    with over("--mode", "echo", "--listen", "7", "--idle", "adaptive", "--cores", ",".join(map(str, range(cores))),
              *options, tag="idle") as peer:
        lib.check("wake interrupt" in peer.program.output(), f"{name} has what wakes a core:\n{peer.program.output()}")
        share = share_at_rest(peer.program)
        took = knocks(peer)
        # A device that goes down leaves its descriptor in error: the sleeper must neither spin nor be deaf after it.
        peer.ns.ip("link", "set", peer.device, "down")
        time.sleep(0.3)
        down = at_rest(peer.program, 1)
        peer.ns.ip("link", "set", peer.device, "up")
        again = knocks(peer, 3)
        counters = peer.finish()
    lib.check(share < 0.03 * cores, f"{name}: {100 * share:.1f}% of a CPU at rest with {cores} cores")
    lib.check(down < 0.2 * cores, f"{name}: {100 * down:.1f}% of a CPU while the link is down")
    # Other programs of this machine keep both ends from a CPU: the figures are for people.
    for what in (took, again):
        lib.check(what[0] < 20, f"{name}: answered after {what[0]:.2f} to {what[-1]:.2f} ms")
    lib.check(counters["sleeps_ended_by_port"] >= 30, f"{name}: what came did not end sleeps: {counters}")
    median = took[len(took) // 2]
    print(f"ok - {name}, {cores} cores: {100 * share:.1f}% of a CPU at rest, answered after {took[0]:.2f} to {took[-1]:.2f} ms, "
          f"median {median:.2f} ms; {counters['sleeps']} sleeps, {counters['sleeps_ended_by_port']} ended by the port",
          flush=True)


def over_memif(cores):
    """DPDK's driver has no receive interrupt, but memif has: alone, with a peer who rests, with another who asks ten times a second."""
    on = ("--cores", ",".join(map(str, range(cores))))
    with tempfile.TemporaryDirectory(prefix="tern-memif-") as folder, test_memif.serving(folder, *on, "--gateway", test_memif.CLIENT_IP) as tern:
        lib.check("wake interrupt" in tern.output(), tern.output())
        alone = share_at_rest(tern)
        def ask(rate, seconds):
            return lib.program(None, sys.argv[1], "client", "--port", test_memif.port("client", folder), "--ip", f"{test_memif.CLIENT_IP}/24",
                               *on, "--target", f"{test_memif.SERVER_IP}:7", "--request-size", 64, "--response-size", 64, "--cps", rate,
                               "--duration", f"{seconds}s", "--idle", "adaptive", "--time-wait", "1s")
        share = None
        for rate, seconds in ((1, 9), (10, 4)):
            with ask(rate, seconds) as client:
                client.wait_for("ready")
                if share is None:
                    share = share_at_rest(tern)
                code = client.process.wait(20)
                out = client.output()
                lib.check(code == 0, f"the client's exit is {code}:\n{out}")
        counters = test_memif.end(tern)
    for what, s in (("alone", alone), ("with a peer", share)):
        lib.check(s < 0.03 * cores, f"net_memif: {100 * s:.1f}% of a CPU at rest, {what}, with {cores} cores")
    accepted = counters["accepted"]
    lib.check(accepted > 30 and counters["sleeps_ended_by_port"] > accepted / 2, f"what came did not end sleeps: {counters}")
    connect = next(line.split() for line in out.splitlines() if line.startswith("  connect "))
    print(f"ok - net_memif, {cores} cores: {100 * alone:.1f}% of a CPU alone, {100 * share:.1f}% with a peer at rest; 10 connections a second are"
          f" open within {' '.join(connect[1:3])} (half of them); {counters['sleeps']} sleeps, {counters['sleeps_ended_by_port']} ended by the port", flush=True)


def busy():
    with server.over_veth("--mode", "echo", "--listen", "7", "--idle", "busy", "--cores", "0", tag="busy") as peer:
        share = at_rest(peer.program, 1)
        counters = peer.finish()
    lib.check(share > 0.1 and "sleeps" not in counters, f"busy: only {100 * share:.1f}% of a CPU, {counters}")
    print(f"ok - busy spins: {100 * share:.0f}% of a CPU", flush=True)


def test():
    adaptive("net_af_packet", server.over_veth, 1)
    adaptive("net_af_packet", server.over_veth, 2)
    adaptive("net_tap", server.over_tap, 1)
    adaptive("net_af_xdp", lambda *options, tag: over_xdp(*options), 1)
    over_memif(1)
    over_memif(2)
    busy()


if __name__ == "__main__":
    lib.main(test, limit=235)
