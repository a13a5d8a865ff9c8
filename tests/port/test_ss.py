#!/usr/bin/env python3
"""`tern ss` against a running `tern server` whose peers are kernel sockets: every state that can be held is held, and
seen under its name from both ends; filters, limit, JSON, mistakes; two cores; the server goes on meanwhile. And against
`tern lb`, where every client has two rows.

usage: test_ss.py <path of tern>
# limit: 120
"""
import collections
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

import lb
import lib
import server

IPPROTO_RAW = 255


def ok(name):
    print(f"ok - {name}", flush=True)


class Asker:
    def __init__(self, path):
        self.path = path

    def run(self, *words):
        return subprocess.run([sys.argv[1], "ss", "--socket", self.path, *words], capture_output=True, text=True,
                              timeout=20, stdin=subprocess.DEVNULL)

    def rows(self, *words):
        r = self.run("--json", *words)
        lib.check(r.returncode == 0, f"tern ss {words}: {r}")
        return json.loads(r.stdout)["rows"]

    def states(self, *words):
        return collections.Counter(row["state"] for row in self.rows(*words))


def kernel_name(s):
    address = s.getsockname()
    return f"[{address[0]}]:{address[1]}" if s.family == socket.AF_INET6 else f"{address[0]}:{address[1]}"


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def bare_syn(sport, dport):
    """A SYN that no socket of the kernel stands behind."""
    source, target = socket.inet_aton(server.KERNEL), socket.inet_aton(server.TERN)
    tcp = struct.pack(">HHIIBBHHH", sport, dport, 12345, 0, 5 << 4, 2, 65535, 0, 0)
    tcp = tcp[:16] + struct.pack(">H", checksum(source + target + struct.pack(">HH", 6, len(tcp)) + tcp)) + tcp[18:]
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, source, target)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, IPPROTO_RAW) as raw:
        raw.sendto(ip + tcp, (server.TERN, 0))


def every_state(peer, ask):
    """discard (port 9) ends with the peer; nobody closes first but who is told to here."""
    names = {}
    held = [server.connect(9), server.connect(9, to=server.TERN6)]
    names["ESTABLISHED"] = {kernel_name(s) for s in held}
    # A handshake that stays half: the kernel must not answer the SYN-ACK with RST.
    peer.ns.run("iptables", "-I", "OUTPUT", "-p", "tcp", "--sport", "4444", "--tcp-flags", "RST", "RST", "-j", "DROP")
    bare_syn(4444, 9)
    names["SYN-RECEIVED"] = {f"{server.KERNEL}:4444"}
    expected = {state: len(of) for state, of in names.items()}
    lib.wait_until(lambda: ask.states() == expected, f"{expected}; seen {ask.states()}")
    for row in ask.rows():
        lib.check(row["peer"] in names[row["state"]], f"{row}: not among {names}")
        lib.check(row["local"] in (f"{server.TERN}:9", f"[{server.TERN6}]:9"), f"{row}")
    ok("ESTABLISHED over both families and SYN-RECEIVED, each under both its ends")

    info = {row["peer"]: row for row in ask.rows("--info")}
    row = info[kernel_name(held[0])]
    lib.check(row["recv_q"] == 0 and row["send_q"] == 0 and row["mss"] >= 500 and row["cwnd"] > 0 and row["rtt_us"] > 0, f"{row}")
    half = info[f"{server.KERNEL}:4444"]
    lib.check(half["rtt_us"] is None and half["left_ms"] is not None, f"{half}")
    ok("--info: queues, round trip time, windows, the handshake's timer")

    us = kernel_name(held[0])
    for words, want in ((("--peer", us), {us}), (("--peer", f":{held[0].getsockname()[1]}"), {us}),
                        (("--state", "syn-received"), names["SYN-RECEIVED"]),
                        (("--state", "established", "--local", f"{server.TERN}:9"), {us}),
                        (("--peer", f"{server.KERNEL6}/64"), {kernel_name(held[1])}),
                        (("--peer", "203.0.113.0/24"), set()),
                        (("--state", "established,syn-recv"), names["ESTABLISHED"] | names["SYN-RECEIVED"])):
        got = {row["peer"] for row in ask.rows(*words)}
        lib.check(got == want, f"{words}: {got}, not {want}")
    ok("filters by state, by either end, by prefix and port")

    r = ask.run("--limit", "1")
    lib.check(r.returncode == 0 and "the first 1 of 3: 2 more; --limit shows more" in r.stdout, f"{r}")
    lib.check(len(r.stdout.splitlines()) == 3, f"a line, a heading, a row: {r}")  # no more than was asked for
    (total,) = ask.rows("--summary")
    lib.check((total["all"], total["ESTABLISHED"], total["SYN-RECEIVED"], total["TIME-WAIT"]) == (3, 2, 1, 0), f"{total}")
    listening = ask.rows("--listening")
    lib.check([(l["ports"], l["open"], l["opening"], l["state"]) for l in listening] ==
              [("9", 2, 1, "LISTEN"), ("20-21", 0, 0, "LISTEN")], f"{listening}")
    ok("--limit says how many more; --summary and --listening count")
    for s in held:
        server.reset_on_close(s)
        s.close()
    lib.wait_until(lambda: ask.states() == {"SYN-RECEIVED": 1}, "a RST leaves nothing behind")
    ok("a RST leaves nothing behind")


def closing(ask):
    """http with --close server: Tern closes first, and waits for whom it closed on."""
    s = server.connect(80)
    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
    server.read_all(s)
    name = kernel_name(s)
    seen = lambda: [(row["state"], row["peer"]) for row in ask.rows()]
    lib.wait_until(lambda: seen() == [("FIN-WAIT-2", name)], f"FIN-WAIT-2: {seen()}")
    s.close()
    lib.wait_until(lambda: seen() == [("TIME-WAIT", name)], f"TIME-WAIT: {seen()}")
    (row,) = ask.rows("--info")
    lib.check(0 < row["left_ms"] <= 60_000, f"{row}")
    ok("FIN-WAIT-2, then TIME-WAIT with its time left")
    six = server.connect(80, to=server.TERN6)
    six.sendall(b"GET / HTTP/1.1\r\n\r\n")
    server.read_all(six)
    name = kernel_name(six)
    six.close()
    lib.wait_until(lambda: ("TIME-WAIT", name) in seen(), f"TIME-WAIT over IPv6: {seen()}")
    ok("TIME-WAIT over IPv6")


def deaf(ask):
    """echo, and a peer who sends, ends, and never reads: Tern cannot answer, so it keeps text that it has not taken."""
    s = server.connect(7, before=lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192), seconds=20)
    s.sendall(bytes(400_000))  # more than Tern's send buffer and the peer's receive buffer, less than Tern's window
    s.shutdown(socket.SHUT_WR)
    name = kernel_name(s)
    seen = lambda: [(row["state"], row["peer"]) for row in ask.rows()]
    lib.wait_until(lambda: seen() == [("CLOSE-WAIT", name)], f"CLOSE-WAIT: {seen()}")
    (row,) = ask.rows("--info")
    lib.check(row["recv_q"] > 100_000 and row["send_q"] > 0, f"{row}")
    ok("a peer that ends and never reads: CLOSE-WAIT, with both its queues")
    server.reset_on_close(s)
    s.close()
    lib.wait_until(lambda: not seen(), "a RST ends it")


def shut(ask):
    """chargen closes when its peer does, while much is still to be sent: the FIN waits behind it."""
    s = server.connect(19)
    s.shutdown(socket.SHUT_WR)
    name = kernel_name(s)
    seen = lambda: [(row["state"], row["peer"]) for row in ask.rows()]
    lib.wait_until(lambda: seen() == [("LAST-ACK", name)], f"LAST-ACK: {seen()}")
    (row,) = ask.rows("--info")
    lib.check(row["send_q"] > 0, f"{row}")
    ok("closed on both sides with much still to send: LAST-ACK, and its send queue")
    server.reset_on_close(s)
    s.close()


def meanwhile(peer, ask):
    """Connections come and go on two cores while others ask without pause."""
    stop = threading.Event()
    trouble = []
    def askers():
        while not stop.is_set():
            try:
                for row in ask.rows("--info", "--limit", "50"):
                    if not row["local"].endswith(":80") or not row["peer"].startswith(server.KERNEL + ":"):
                        trouble.append(row)
            except Exception as why:
                trouble.append(why)
    threads = [threading.Thread(target=askers, daemon=True) for _ in range(2)]
    for t in threads:
        t.start()
    for _ in range(200):
        with server.connect(80) as s:
            s.sendall(b"GET / HTTP/1.1\r\n\r\n")
            lib.check(server.read_all(s).startswith(b"HTTP/1.1 200"), "no answer")
    stop.set()
    for t in threads:
        t.join(20)
    lib.check(not trouble, f"{trouble[:3]}")
    # A port that the kernel takes again leaves TIME-WAIT for the new connection: some may be fewer, none may be open.
    lib.wait_until(lambda: set(ask.states("--limit", "1000")) == {"TIME-WAIT"}, "nothing but TIME-WAIT", seconds=30)
    per_core = {row["core"]: row["TIME-WAIT"] for row in ask.rows("--summary")}
    lib.check(150 <= sum(per_core.values()) <= 200 and min(per_core.values()) > 0 and set(per_core) == {0, 1}, f"{per_core}")
    counters = peer.finish(30)
    lib.check(counters["accepted"] == 200, f"{counters}")
    ok("200 connections on two cores, asked about all the while: each is served, and seen in TIME-WAIT")


def both_legs(folder):
    """A client of the balancer is two connections: its own and the backend's, each in a state of its own."""
    ask = Asker(f"{folder}/lb")
    toml = f'[lb]\ncontrol = "{ask.path}"\n' + lb.config([f"{lb.backend_ip(0)}:8080"])
    with lb.over_veth(toml, tag="ssl") as peer, lb.Backend(peer.ns, lb.backend_ip(0)) as backend, server.inside(peer.ns):
        legs = lambda: {(row["state"], row["local"], row["peer"]) for row in ask.rows()}
        for target, name in ((lb.TERN, f"{lb.TERN}:80"), (lb.TERN6, f"[{lb.TERN6}]:80")):
            client = server.connect(80, to=target)
            client.sendall(b"x")
            behind = backend.accept()
            leg = "%s:%d" % behind.getpeername()
            both = lambda towards_client, towards_backend: {(towards_client, name, kernel_name(client)),
                                                            (towards_backend, leg, f"{backend.ip}:8080")}
            lib.wait_until(lambda: legs() == both("ESTABLISHED", "ESTABLISHED"), f"both legs open: {legs()}")
            client.shutdown(socket.SHUT_WR)
            lib.wait_until(lambda: legs() == both("CLOSE-WAIT", "FIN-WAIT-2"), f"the client's half closed: {legs()}")
            (row,) = ask.rows("--peer", f"{backend.ip}:8080", "--info")
            lib.check(row["state"] == "FIN-WAIT-2" and row["recv_q"] == row["send_q"] == 0, f"{row}")
            server.reset_on_close(behind)
            behind.close()
            lib.wait_until(lambda: not legs(), f"the backend's RST ends both: {legs()}")
            client.close()
        (listening,) = ask.rows("--listening")
        lib.check((listening["ports"], listening["open"]) == ("80", 0), f"{listening}")
        peer.finish(30)
    ok("tern lb: both legs of a client over either family, half-closed, reset")


def mistakes(folder):
    nobody = Asker(f"{folder}/nobody")
    r = nobody.run()
    lib.check(r.returncode == 2 and r.stderr.count("\n") == 1 and "nobody answers" in r.stderr and "--socket" in r.stderr, f"{r}")
    for words, say in ((("--state", "open"), "syn-received"), (("--peer", "10.0.0"), "write 10.0.0.1"),
                       (("--summary", "--listening"), "excludes")):
        r = nobody.run(*words)
        lib.check(r.returncode == 2 and r.stderr.count("\n") == 1 and say in r.stderr, f"{words}: {r}")
    r = subprocess.run([sys.argv[1], "ss", "--help"], capture_output=True, text=True, timeout=20)
    lib.check(r.returncode == 0 and all(w in r.stdout for w in ("TIME-WAIT", "--control", "quiet_ms", "Examples")), f"{r}")
    ok("no socket, no such state, no such end: one line with the cure; --help teaches")


def test():
    lib.need("iptables")
    with tempfile.TemporaryDirectory(prefix="tern-ss-") as folder:
        mistakes(folder)
        ask = Asker(f"{folder}/control")
        control = ("--control", ask.path)
        with server.over_veth("--mode", "discard", "--listen", "9,20-21", "--synack-retries", "6", *control, tag="ss") as peer, \
             server.inside(peer.ns):
            every_state(peer, ask)
            peer.finish(30)
        lib.check(not os.path.exists(ask.path), "the socket is left behind")
        with server.over_veth("--mode", "http", "--close", "server", *control, tag="sst") as peer, server.inside(peer.ns):
            closing(ask)
            peer.finish(30)
        with server.over_veth("--mode", "echo", "--listen", "7", "--send-buffer", "32768", "--window", "1000000", "--window-max", "1000000",
                              *control, tag="sse") as peer, server.inside(peer.ns):
            deaf(ask)
            peer.finish(30)
        with server.over_veth("--mode", "chargen", "--listen", "19", *control, tag="ssc") as peer, server.inside(peer.ns):
            shut(ask)
            peer.finish(30)
        with server.over_veth("--mode", "http", "--close", "server", "--cores", "0,1", *control, tag="ssm") as peer, \
             server.inside(peer.ns):
            meanwhile(peer, ask)
        both_legs(folder)


if __name__ == "__main__":
    lib.main(test, limit=120)
