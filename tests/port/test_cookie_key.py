#!/usr/bin/env python3
"""Balancers that share a key file finish each other's handshakes: a switch gives every SYN to one `tern lb` and all that follows
to another, which never saw it, and a kernel client notices nothing. With a key each, the same client is not believed.

usage: test_cookie_key.py <path of tern>
"""
import contextlib
import pathlib
import random
import secrets
import select
import socket
import sys
import tempfile
import threading

import lib
import server

MAC = "02:7e:12:00:00:07"
SERVICE = f'[[service]]\nname = "echo"\nlisten = ["*:80"]\n[[service.backend]]\nname = "b"\naddress = "{server.KERNEL}:7"\n'


def ok(name):
    print(f"ok - {name}", flush=True)


class Switch(threading.Thread):
    """left is the client's side; SYNs from there go to `first`, other TCP to `second`, ARP to both."""
    def __init__(self):
        super().__init__(daemon=True)
        self.ends = {}
        for name in ("left", "first", "second"):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.bind((name, 0))
            self.ends[name] = s
        self.ended = threading.Event()

    def run(self):
        while not self.ended.is_set():
            for s in select.select(list(self.ends.values()), [], [], 0.1)[0]:
                frame, about = s.recvfrom(1 << 16)
                if about[2] == socket.PACKET_OUTGOING:
                    continue
                for to in self.ways(s, frame):
                    self.ends[to].send(frame)

    def ways(self, s, frame):
        if s is not self.ends["left"]:
            return ["left"]
        if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_TCP:
            return ["first", "second"]
        flags = frame[14 + 4 * (frame[14] & 15) + 13]
        return ["first"] if flags & 0x12 == 0x02 else ["second"]


def backend(s):
    """Echoes, connection after connection, until the socket is shut."""
    def answer(c):
        with contextlib.suppress(OSError), c:
            while piece := c.recv(1 << 16):
                c.sendall(piece)
    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=answer, args=(s.accept()[0],), daemon=True).start()


@contextlib.contextmanager
def two_balancers(folder, keys):
    """kernel peer0 == left SWITCH first == tern0 of one, second == tern0 of the other; both have one address and one MAC."""
    config = pathlib.Path(folder) / "lb.toml"
    config.write_text(SERVICE)
    with contextlib.ExitStack() as stack:
        near, middle, *far = [stack.enter_context(lib.namespace(f"key{x}")) for x in "kmab"]
        stack.enter_context(lib.veth(middle, near, tern_name="left", kernel_addresses=[f"{server.KERNEL}/24"]))
        near.write("net.ipv6.conf.peer0.disable_ipv6", 1)
        terns = []
        for ns, port, key in zip(far, ("first", "second"), keys):
            stack.enter_context(lib.veth(ns, middle, kernel_name=port))
            lib.bare(middle, port)
            terns.append(stack.enter_context(lib.program(
                ns, sys.argv[1], "lb", "--config", config, "--port", "net_af_packet0,iface=tern0", "--mac", MAC,
                "--ip", f"{server.TERN}/24", "--syn-cookies", "always", "--cookie-key-file", key, "--drain", "2s")))
        with server.inside(middle):
            switch = Switch()
        switch.start()
        for t in terns:
            t.wait_for("ready")
        with server.inside(near):
            listener = stack.enter_context(socket.create_server((server.KERNEL, 7)))
            threading.Thread(target=backend, args=(listener,), daemon=True).start()
            try:
                yield [server.Server(t, near, "peer0") for t in terns]
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                switch.ended.set()
                switch.join()


def exchange(data):
    """What comes back of what was sent, on a connection of its own."""
    with server.connect(80, seconds=20) as s:
        back = []
        reader = threading.Thread(target=lambda: back.append(server.read_all(s)))
        reader.start()
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        reader.join()
        return back[0]


def new_key(folder, name):
    path = pathlib.Path(folder) / name
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(16) + "\n")
    return path


def shared():
    with tempfile.TemporaryDirectory(prefix="tern-key-") as folder:
        key = new_key(folder, "key")
        with two_balancers(folder, [key, key]) as (first, second):
            for size in (1, 1000, 100_000):
                data = random.Random(size).randbytes(size)
                lib.check(exchange(data) == data, f"{size} bytes did not come back whole")
            one, other = first.finish(), second.finish()
    lib.check(one["syn_cookie_sent"] == 3 and one.get("syn_cookie_valid", 0) == 0, f"the first: {one}")
    lib.check(other["syn_cookie_valid"] == 3 and other.get("syn_cookie_sent", 0) == 0, f"the second: {other}")
    ok("one key: handshakes that one balancer began, another finished and served")


def unshared():
    with tempfile.TemporaryDirectory(prefix="tern-key-") as folder:
        with two_balancers(folder, [new_key(folder, "one"), new_key(folder, "other")]) as (first, second):
            # Dropped, not reset: to a balancer under cookies it may be text that overtook what proves the cookie.
            with server.connect(80, seconds=2) as s, contextlib.suppress(TimeoutError):
                s.sendall(b"never to be answered")
                lib.check(not s.recv(100), "a cookie of another key was believed")
            first.finish()
            other = second.finish()
    lib.check(other.get("syn_cookie_valid", 0) == 0 and other["syn_cookie_invalid"] > 0, f"the second: {other}")
    ok("two keys: the same client is not believed")


def test():
    lib.need("ip", "sysctl", "ethtool")
    shared()
    unshared()


if __name__ == "__main__":
    lib.main(test)
