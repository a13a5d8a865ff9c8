#!/usr/bin/env python3
"""Every kind of load from the Linux kernel's sockets on `tern server`, over net_af_packet, IPv4 and IPv6: connections at a
rate, requests on kept ones, connections held, throughput. What both ends count is the same, every byte is compared.

usage: test_server_kinds.py <path of tern>
"""
import concurrent.futures
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

import lib
import server

BOTH = (server.TERN, server.TERN6)


def ok(name):
    print(f"ok - {name}", flush=True)


class Kept:
    """A connection of the kernel's that asks again and again, and knows what it must get."""
    def __init__(self, number, size):
        self.s = server.connect(to=BOTH[number % 2], seconds=30)
        self.body = server.body(size)

    def ask(self):
        self.send()
        self.take()

    def send(self):
        self.s.sendall(b"GET / HTTP/1.1\r\nHost: tern\r\n\r\n")

    def take(self):
        got = bytearray()
        while b"\r\n\r\n" not in got:
            got += self.more(1 << 16)
        head, _, rest = bytes(got).partition(b"\r\n\r\n")
        lib.check(head.startswith(b"HTTP/1.1 200 ") and b"Connection: close" not in head, f"{head}")
        body = bytearray(rest)
        while len(body) < len(self.body):
            body += self.more(len(self.body) - len(body))
        lib.check(body == self.body, f"{len(body)} other bytes than the {len(self.body)} expected")

    def more(self, most):
        piece = self.s.recv(most)
        lib.check(piece, "the server closed in the middle")
        return piece


@contextlib.contextmanager
def kept(count, size):
    with contextlib.ExitStack() as stack:
        all = []
        for i in range(count):
            all.append(Kept(i, size))
            stack.enter_context(all[-1].s)
        yield all


def tern(*options):
    return server.over_veth("--mode", "http", "--max-connections", "4096", *options, tag="skind")


def each_closed(peer, count):
    """All the connections that were made were accepted and ended by a FIN of either side."""
    counters = peer.finish(20)
    lib.check(counters["accepted"] == counters["closed_done"] == count, f"{count} connections were made: {counters}")


def at_a_rate():
    """Open loop: each connection begins when it is due, whether or not those before it were answered."""
    def one(number):
        with server.connect(to=BOTH[number % 2], seconds=30) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: tern\r\nConnection: close\r\n\r\n")
            head, _, body = server.read_all(s).partition(b"\r\n\r\n")
            return head.startswith(b"HTTP/1.1 200 ") and body == server.body(1000)
    with tern("--response-size", "1000") as peer:
        with server.inside(peer.ns), concurrent.futures.ThreadPoolExecutor(32) as pool:
            begun, all = time.monotonic(), []
            for i in range(200):
                time.sleep(max(0, begun + i * 0.005 - time.monotonic()))
                all.append(pool.submit(one, i))
            right = [f.result() for f in all].count(True)
            lib.check(right == 200, f"{right} of 200 were answered right")
        each_closed(peer, 200)
    ok("connections at a rate: 200 of 200, answered and closed")


def requests():
    with tern("--response-size", "1000") as peer:
        with server.inside(peer.ns), kept(20, 1000) as connections:
            for _ in range(50):
                for c in connections:  # all of them are asked before the first is read
                    c.send()
                for c in connections:
                    c.take()
        each_closed(peer, 20)
    ok("requests on kept connections: 20 with 50 each, every answer right")


def held():
    count = 1000
    with tempfile.TemporaryDirectory(prefix="tern-control-") as folder:
        control = os.path.join(folder, "socket")
        with tern("--response-size", "100", "--control", control) as peer:
            def established():
                (total,) = json.loads(lib.run(sys.argv[1], "ss", "--socket", control, "--json", "--summary", timeout=20))["rows"]
                return total["ESTABLISHED"]
            with server.inside(peer.ns), kept(count, 100) as connections:
                for _ in range(3):
                    for c in connections:
                        c.ask()
                    of_kernel = peer.ns.run("ss", "-Htn", "state", "established", timeout=20).splitlines()
                    lib.check((established(), len(of_kernel)) == (count, count),
                              f"held: {established()} by tern ss, {len(of_kernel)} by the kernel's")
            lib.wait_until(lambda: established() == 0, "all have gone")
            each_closed(peer, count)
    ok("held: 1000 connections that ask in turn, as many by tern ss as by the kernel's ss, and all go")


def throughput():
    size, times = 4_000_000, 3
    with tern("--response-size", str(size)) as peer:
        with server.inside(peer.ns), kept(4, size) as connections, concurrent.futures.ThreadPoolExecutor(4) as pool:
            def many(c):
                for _ in range(times):
                    c.ask()
            for done in [pool.submit(many, c) for c in connections]:
                done.result()
        each_closed(peer, 4)
    ok(f"throughput: four connections at once, {4 * times * size // 1_000_000} MB, every byte compared")


def pipelined():
    """Several requests in one segment, whose responses wait for room: each is whole, the last says that it is."""
    size, times = 1_000_000, 4
    with tern("--response-size", str(size)) as peer:
        with server.inside(peer.ns), server.connect(seconds=30) as s:
            get = b"GET / HTTP/1.1\r\nHost: tern\r\n"
            s.sendall((get + b"\r\n") * (times - 1) + get + b"Connection: close\r\n\r\n" + get + b"\r\n")  # what follows is not answered
            got = server.read_all(s)
        for i in range(times):
            head, _, rest = got.partition(b"\r\n\r\n")
            lib.check(head.startswith(b"HTTP/1.1 200 ") and (b"Connection: close" in head) == (i == times - 1), f"response {i}: {head[:200]}")
            lib.check(rest[:size] == server.body(size), f"response {i}: {len(rest)} bytes, not the body and what follows")
            got = rest[size:]
        lib.check(not got, f"{len(got)} bytes more than {times} responses")
        each_closed(peer, 1)
    ok(f"{times} requests in one segment, the last with Connection: close: {times} whole responses")


def bodies():
    """What a request carries is no request, however it is cut; and who asks for the end by any spelling of it has it."""
    get = b"GET / HTTP/1.1\r\nHost: tern\r\n"
    post = b"POST / HTTP/1.1\r\nhost: tern\r\ncontent-LENGTH:%d\r\nContent-Type: x\r\n\r\n%s"
    chunked = b"POST / HTTP/1.1\r\nHost: tern\r\nTransfer-Encoding: chunked\r\n\r\n"
    close = get + b"Connection: close\r\n\r\n"
    stories = [
        ("a body of empty lines", post % (8, b"\r\n" * 4) + close, 2),
        ("a body that looks like requests", post % (len(close) * 3, close * 3) + close, 2),
        ("a body of none", post % (0, b"") + close, 2),
        ("a length told twice", (post % (5, b"")).replace(b"\r\n\r\n", b"\r\nContent-Length:5\r\n\r\n") + b"12345" + close, 0, True),
        ("a length below nothing", post.replace(b"%d", b"-%d") % (5, b"12345") + close, 0, True),
        ("a length beyond counting", post % (99999999999, b"") + close, 0, True),
        ("chunks", chunked + b"1b;x=y\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n\r\n0\r\nA: b\r\n\r\n" + close, 2),
        ("a damaged chunk behind a request", get + b"\r\n" + chunked + b"5\r\nhello!\r\n" + close, 1, True),
        ("a length and chunks", chunked.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n") + b"0\r\n\r\n" + close, 0, True),
        ("empty lines between requests", b"\r\n" + get + b"\r\n\r\n" + close, 2),
        ("Connection:close without a space", get + b"Connection:close\r\n\r\n" + get + b"\r\n", 1),
        ("close among others", get + b"connection: Keep-Alive , Close\r\n\r\n" + get + b"\r\n", 1),
        ("what only begins with close", get + b"Connection: closed, enclose\r\nX-Connection: close\r\n\r\n" + close, 2),
        ("HTTP/1.0 in a header alone", get + b"Via: http/1.0 x\r\n\r\n" + close, 2),
        ("HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n" + get + b"\r\n", 1),
    ]
    with tern("--response-size", "10") as peer:
        for name, said, answers, *refused in stories:
            for cut in (len(said), 1, 3):  # bytes a segment
                with server.inside(peer.ns), server.connect(seconds=30) as s:
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    with contextlib.suppress(ConnectionError):  # it may have ended before the last of it
                        for i in range(0, len(said), cut):
                            s.sendall(said[i:i + cut])
                    got = server.read_all(s)
                lib.check(got.count(b"HTTP/1.1 200 ") == answers, f"{name}, {cut} bytes at a time: not {answers} responses: {got}")
                lib.check(got.count(b"HTTP/1.1 400 ") == bool(refused), f"{name}, {cut} bytes at a time: {got}")
        peer.finish()
    ok(f"{len(stories)} requests with bodies and ways to ask for the end, whole and cut")


def mistakes():
    """What the mode makes nothing of, and a port that is none."""
    port = ("--port", "net_null0", "--ip", "10.0.0.2/24")
    for option, *words in (("--listen", "0"), ("--listen", "0-20"), ("--request-size", "5"), ("--requests-per-connection", "5"),
                           ("--response-size", "5", "--mode", "echo"), ("--request-size", "5", "--mode", "discard")):
        r = subprocess.run([sys.argv[1], "server", *port, option, *words], capture_output=True, text=True, timeout=20)
        lib.check(r.returncode == 2 and not r.stdout and r.stderr.startswith(f"{option}: ") and r.stderr.count("\n") == 1, f"{option} {words}: {r}")
    ok("options that the mode makes nothing of, and port 0: one line, exit 2")


def test():
    mistakes()
    lib.need("ip", "ss")
    bodies()
    at_a_rate()
    requests()
    held()
    throughput()
    pipelined()


if __name__ == "__main__":
    lib.main(test)
