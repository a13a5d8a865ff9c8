#!/usr/bin/env python3
"""Readers that stop, on either side of `tern lb`, while the other side sends without end: the packets that it holds, as `tern ctl
show memory` tells them, stay below `window_max` a connection; and when they read again every byte arrives.

usage: test_lb_memory.py <path of tern>
"""
# limit: 120
import asyncio
import hashlib
import socket
import sys
import tempfile

import echo
import lb
import lib
from test_lb_ctl import Ctl, case

PAIRS = 40
WINDOW_MAX = 131072  # `window` is half of it, and grows while a reader takes what it is given
TEXT = 2_000_000  # of each connection: more than a reader's kernel and the window hold of it
MSS = 1400  # of at least so many bytes are the kernel's segments, the last of a burst aside


class Ends:
    """Both ends of so many pairs: one side sends TEXT, the other reads nothing until it is told to."""
    def __init__(self, world, ctl, backend, sender):
        self.world, self.ctl, self.backend, self.sender = world, ctl, backend, sender
        self.text = hashlib.sha256(sender.encode()).digest() * (TEXT // 32)

    async def connect(self, address):
        s = self.world.socket(address)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        await self.world.loop.sock_connect(s, (address, 80))
        return s

    async def run(self):
        loop = self.world.loop
        self.backend.listener.setblocking(False)
        self.backend.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        clients, backends = [], []
        for _ in range(PAIRS):
            clients.append(await self.connect(lb.TERN))
            backends.append((await asyncio.wait_for(loop.sock_accept(self.backend.listener), 10))[0])
            backends[-1].setblocking(False)
        # Which backend's end is whose does not matter: each says the same.
        senders, readers = (clients, backends) if self.sender == "clients" else (backends, clients)
        sending = [asyncio.ensure_future(loop.sock_sendall(s, self.text)) for s in senders]
        most = await self.at_rest()
        sums = await asyncio.wait_for(asyncio.gather(*[self.read(s) for s in readers]), 60)
        await asyncio.gather(*sending)
        lib.check(set(sums) == {hashlib.sha256(self.text).hexdigest()}, "what slow readers got is not what was sent")
        for s in clients + backends:
            s.close()
        return most

    async def at_rest(self):
        """The most packets that were in use until nothing moved for a second."""
        most, last, quiet = 0, None, 0
        while quiet < 10:
            rows = await self.world.loop.run_in_executor(None, self.ctl.well, "show", "memory")
            moved = await self.world.loop.run_in_executor(None, self.ctl.well, "show", "cores")
            used = next(r["used"] for r in rows if r["for"] == "core 0 packets")
            bytes_passed = (moved[0].get("bytes_in", 0), moved[0].get("bytes_out", 0))
            most = max(most, used)
            quiet = quiet + 1 if bytes_passed == last else 0
            last = bytes_passed
            await asyncio.sleep(0.1)
        return most

    async def read(self, s):
        h, n = hashlib.sha256(), 0
        while n < len(self.text):
            piece = await self.world.loop.sock_recv(s, 1 << 16)
            lib.check(piece, f"the end after {n} bytes")
            h.update(piece)
            n += len(piece)
        return h.hexdigest()


def test():
    with tempfile.TemporaryDirectory(prefix="tern-mem-") as folder:
        control = f"{folder}/control"
        with lb.over_veth(lb.config([f"{lb.backend_ip(0)}:8080"]), "--control", control, "--window-max", WINDOW_MAX, tag="mem") as b:
            world, ctl = echo.World(b.ns), Ctl(control)

            def packets():
                return next(r for r in ctl.well("show", "memory") if r["for"] == "core 0 packets")
            try:
                idle = packets()["used"]
                with lb.Backend(b.ns, lb.backend_ip(0)) as backend:
                    for sender, reader in (("clients", "backends"), ("backends", "clients")):
                        most = world.do(Ends(world, ctl, backend, sender).run(), 100)
                        bound = PAIRS * (WINDOW_MAX // MSS + 2) + 64
                        print(f"{PAIRS} {reader} that do not read: {most - idle} packets more than at rest, {bound} are the bound "
                              f"({(most - idle) * packets()['bytes_each'] >> 10} KiB of {bound * packets()['bytes_each'] >> 10})")
                        lib.check(idle < most <= idle + bound, f"{most} packets in use, {idle} at rest, {bound} more may be")
                        # And given back: what TIME-WAIT keeps are records, not packets.
                        lib.wait_until(lambda: packets()["used"] <= idle + 64, "packets come back", 20, 0.2)
                        case(f"{reader} that do not read bound what is held for them, and get every byte in the end")
            finally:
                world.end()
            b.finish()


if __name__ == "__main__":
    lib.main(test, limit=115)
