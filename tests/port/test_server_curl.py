#!/usr/bin/env python3
"""curl, on the Linux kernel, is answered by `tern server` over net_tap: small and large, keep-alive, Connection: close, HTTP/1.0.

usage: test_server_curl.py <path of tern>
"""
import socket
import tempfile

import server

import lib

URL = f"http://{server.TERN}/"
LARGE = 5_000_000


def answer(peer, size, *words):
    head, data, (code, version, connects, got) = server.curl(peer.ns, *words, URL)
    lib.check(code == "200", f"curl {words}: status {code}")
    lib.check(server.sha(data) == server.sha(server.body(size)), f"curl {words}: {len(data)} other bytes than the {size} sent")
    return head.lower(), int(connects)


def chunked(peer):
    """Bodies whose length curl does not tell, and one that it sends only once it is told to go on, or a second later."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"q" * 3_000_000)
        f.flush()
        head, _ = answer(peer, 1000, "-H", "Transfer-Encoding: chunked", "-H", "Expect:", "--data-binary", f"@{f.name}")
        lib.check("100 continue" not in head, head)
        for words in (["--data-binary", f"@{f.name}"], ["-H", "Transfer-Encoding: chunked", "-T", f.name]):
            head, _ = answer(peer, 1000, *words, "-H", "Expect: 100-continue", "--expect100-timeout", "30")
            lib.check("100 continue" in head, f"{words}: {head}")


def heads(peer):
    """What followed them that nobody asked for would be taken for the next answer; curl throws it away."""
    with server.inside(peer.ns), socket.create_connection((server.TERN, 80), 10) as c:
        c.sendall(b"HEAD / HTTP/1.1\r\n\r\n" * 2 + b"GET / HTTP/1.1\r\n\r\n" + b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n")
        said = b"".join(iter(lambda: c.recv(1 << 16), b""))
    first, *others = said.split(b"HTTP/1.1 200 OK\r\n")[1:]
    lib.check(len(others) == 3 and others[0] == first and others[1] == first + server.body(1000), f"HEAD, HEAD, GET: {said}")
    lib.check(others[2] == first[:-2] + b"Connection: close\r\n\r\n" and b"Content-Length: 1000\r\n" in first, f"HEAD that closes: {said}")


def small():
    with server.over_tap("--mode", "http", "--response-size", "1000", tag="curl") as peer:
        head, _ = answer(peer, 1000)
        lib.check("content-length: 1000" in head and "connection: close" not in head, head)
        for words in (["-H", "Connection: close"], ["--http1.0"]):
            head, _ = answer(peer, 1000, *words)
            lib.check("connection: close" in head, f"{words} asks for the end, the answer does not say it:\n{head}")
        # One process, twenty requests: the first connects, the others find the connection open.
        out = peer.ns.run("curl", "-sS", "--max-time", "10", "-w", "=%{num_connects}\n", *[URL] * 20, timeout=20)
        connects = [l[1:] for l in out.splitlines() if l.startswith("=")]
        lib.check(connects == ["1"] + ["0"] * 19, f"connections made by each of twenty requests: {connects}")
        # And with the end asked for, each connects anew.
        out = peer.ns.run("curl", "-sS", "--max-time", "10", "-H", "Connection: close", "-w", "=%{num_connects}\n",
                          *[URL] * 20, timeout=20)
        lib.check(out.count("=1") == 20, f"twenty requests that close:\n{out[-300:]}")
        answer(peer, 1000, "-X", "POST", "--data-binary", "q" * 10_000, "-H", "Expect:")
        chunked(peer)
        heads(peer)
        counters = peer.finish()
    lib.check(counters["accepted"] == counters["closed_done"] == 29, f"29 connections were made: {counters}")


def large():
    with server.over_tap("--mode", "http", "--response-size", str(LARGE), tag="curl5m") as peer:
        for words in ([], ["-H", "Connection: close"], ["--http1.0"], ["--limit-rate", "4M"]):
            answer(peer, LARGE, *words)
        peer.finish()
    with server.over_tap("--mode", "http", "--close", "server", "--response-size", "0", tag="curl0") as peer:
        head, _ = answer(peer, 0)
        lib.check("connection: close" in head and "content-length: 0" in head, head)
        peer.finish()


def test():
    lib.need("curl")
    small()
    large()


if __name__ == "__main__":
    lib.main(test)
