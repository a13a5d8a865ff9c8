#!/usr/bin/env python3
"""`tern server --cores 0,1` under wrk, over net_tap and net_af_packet: both cores serve, no connection is served by two,
what one core received of the other's was handed over, and every packet is given back. Then the end of such a process:
SIGTERM with connections open, and a second one.

usage: test_cores.py <path of tern>
"""
import re
import signal
import time

import lib
import server

CORES = ("--cores", "0,1")


def per_core(out):
    """[{counter: n}] of what is printed at the end."""
    parts = re.split(r"^  of core \d+$", out, flags=re.M)[1:]
    return [{name: int(n) for name, n in re.findall(r"^    (\w+) +(\d+)$", part, re.M)} for part in parts]


def load(name, over, *options):
    with over("--mode", "http", "--response-size", "500", *CORES, *options, tag="cores") as peer:
        out = peer.ns.run("wrk", "-t", 1, "-c", 40, "-d", "2s", "--timeout", "20s", "-H", "Connection: close",
                          f"http://{server.TERN}/", timeout=20)
        kept = peer.ns.run("wrk", "-t", 1, "-c", 40, "-d", "1s", "--timeout", "20s", f"http://{server.TERN}/", timeout=20)
        total = peer.finish(20)
        text = peer.program.output()
    for what in (out, kept):
        lib.check("Socket errors" not in what and "Non-2xx" not in what, f"{name}:\n{what}\n{text}")
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    cores = per_core(text)
    lib.check(len(cores) == 2, f"two cores, {len(cores)} reported:\n{text}")
    accepted = [c.get("accepted", 0) for c in cores]
    lib.check(sum(accepted) == total["accepted"] >= requests > 50, f"{name}: {requests} requests, {accepted}\n{text}")
    lib.check(min(accepted) > 0.25 * sum(accepted), f"{name}: unevenly spread: {accepted}")
    # A segment that came to the wrong core would be answered by a reset.
    lib.check(total.get("drop_no_listener", 0) == 0 and total.get("steer_ring_full", 0) == 0, f"{name}:\n{text}")
    lib.check(total["steer_handoff"] == total["steer_received"] > 0, f"{name}: nothing was handed over:\n{text}")
    print(f"ok - {name}: {requests} connections in 2 s, by core {accepted}, {total['steer_handoff']} hand-offs",
          flush=True)


def ends(over):
    """SIGTERM: whoever is served may finish; who dawdles is reset when the drain is over."""
    with over("--mode", "echo", "--listen", "7", "--drain", "5s", *CORES, tag="drain") as peer, \
            server.inside(peer.ns):
        good = [server.connect(7) for _ in range(8)]
        idle = [server.connect(7, seconds=10) for _ in range(8)]
        for s in good + idle:
            s.sendall(b"here")
            lib.check(s.recv(4) == b"here", "no echo")
        peer.program.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        for s in good:
            s.sendall(b"still")
            lib.check(s.recv(5) == b"still", "not served while draining")
            s.close()
        try:
            server.connect(7, seconds=1).close()
            raise lib.Failed("a new connection was taken while draining")
        except OSError:
            pass
        for s in idle:
            try:
                lib.check(s.recv(1) == b"", "text out of nowhere")
                raise lib.Failed("an idle connection ended as if it were done")
            except ConnectionResetError:
                s.close()
        code = peer.program.process.wait(10)
        out = peer.program.output()
        lib.check(code == 0 and "packets not given back: 0\n" in out, f"exit {code}:\n{out}")
    print("ok - SIGTERM: open connections are served, late ones reset, every packet given back", flush=True)


def leaves_at_once(over):
    with over("--mode", "echo", "--listen", "7", "--drain", "60s", *CORES, tag="drain2") as peer, \
            server.inside(peer.ns):
        with server.connect(7) as s:
            peer.program.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            begin = time.monotonic()
            peer.finish(10)
            lib.check(time.monotonic() - begin < 5, "a second signal did not end the drain")
            try:
                s.recv(1)
                raise lib.Failed("the connection was not reset")
            except ConnectionResetError:
                pass
    print("ok - a second signal ends the drain", flush=True)


def link(over):
    with over("--mode", "echo", "--listen", "7", *CORES, tag="link") as peer, server.inside(peer.ns):
        with server.connect(7, seconds=20) as s:
            peer.ns.ip("link", "set", peer.device, "down")
            peer.program.wait_for("link down")
            peer.ns.ip("link", "set", peer.device, "up")
            peer.program.wait_for("link up")
            s.sendall(b"again")
            lib.check(s.recv(5) == b"again", "the connection did not live through it")
        peer.finish()
    print("ok - the link goes and comes: said, and connections live on", flush=True)


def test():
    lib.need("wrk")
    load("net_tap", server.over_tap)
    load("net_af_packet", server.over_veth)
    ends(server.over_veth)
    leaves_at_once(server.over_veth)
    link(server.over_tap)


if __name__ == "__main__":
    lib.main(test)
