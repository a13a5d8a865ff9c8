#!/usr/bin/env python3
"""`tern lb` among clients that do not read, backends that do not answer, an operator who reads no log and removes what has
connections: it goes on serving, says what it does, and ends when it is told to.

usage: test_lb_trouble.py <path of tern>
"""
# limit: 200
import contextlib
import fcntl
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import lb
import lib
import server
from test_lb_ctl import Ctl, case

CHECK = 'check = "http"\ninterval = "2s"\ntimeout = "2s"\nrise = 1\nfall = 3'


class Talker:
    """A backend: "big" is answered by 200,000 bytes, what looks like HTTP by a status and the end, all else by itself."""
    def __init__(self, ns, ip, port=8080):
        self.listener = lb.Backend(ns, ip, port)
        self.listener.listener.listen(1024)
        self.task = lb.in_thread(self.run)

    def run(self):
        import selectors
        s = selectors.DefaultSelector()
        listener = self.listener.listener
        listener.setblocking(False)
        s.register(listener, selectors.EVENT_READ)
        owed = {}
        while listener.fileno() >= 0:
            for key, what in s.select(0.1):
                c = key.fileobj
                try:
                    if c is listener:
                        c = listener.accept()[0]
                        c.setblocking(False)
                        s.register(c, selectors.EVENT_READ)
                        continue
                    if what & selectors.EVENT_READ:
                        said = c.recv(4096)
                        if not said:
                            raise OSError
                        if said.startswith(b"GET "):
                            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                            raise OSError
                        owed[c] = b"x" * 200_000 if said == b"big" else said
                        s.modify(c, selectors.EVENT_READ | selectors.EVENT_WRITE)
                    elif owed.get(c):
                        owed[c] = owed[c][c.send(owed[c]):]
                    else:
                        s.modify(c, selectors.EVENT_READ)
                except OSError:
                    with contextlib.suppress(KeyError, ValueError):
                        s.unregister(c)
                    owed.pop(c, None)
                    c.close()

    def close(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def client(ns, small=False):
    with server.inside(ns):
        s = socket.socket()
    if small:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(5)
    s.connect((lb.TERN, 80))
    return s


def echoed(s, text=b"yes"):
    try:
        s.sendall(text)
        return s.recv(100) == text
    except OSError:
        return False


def served(ns):
    with contextlib.suppress(OSError), contextlib.closing(client(ns)) as s:
        return echoed(s)


def sip(connections, done):
    """A little of what is there, every half second: a kernel's window opens by a segment or so at a time."""
    while not done.wait(0.5):
        for c in list(connections):
            with contextlib.suppress(OSError):
                c.recv(300, socket.MSG_DONTWAIT)


def scarce(sips):
    with tempfile.TemporaryDirectory(prefix="tern-scarce-") as folder:
        control = f"{folder}/control"
        with lb.over_veth(lb.config([f"{lb.backend_ip(0)}:8080"], check=CHECK), "--control", control, "--packet-memory", "16M",
                          tag="scarce") as b, Talker(b.ns, lb.backend_ip(0)):
            ctl = Ctl(control)
            lib.wait_until(lambda: served(b.ns), "the backend answers", 20, 0.2)
            lib.check("connections whose readers stand still may hold a window each" in b.program.output(), "its room is not told")
            before, stalled, done = len(b.program.output()), [], threading.Event()  # a check may have been there before the backend
            try:
                if sips:
                    lb.in_thread(lambda: sip(stalled, done))
                end = time.monotonic() + 60
                while len(stalled) < 600 and time.monotonic() < end:
                    with contextlib.suppress(OSError):  # once packets are scarce a handshake may take long
                        stalled.append(client(b.ns, small=True))
                        stalled[-1].sendall(b"big")
                # What is over within a turn of the control plane is told as its end alone.
                b.program.wait_for(re.compile("packets suffice again: [1-9][0-9]* connections whose readers stood still were reset"), 90)
                for _ in range(10):  # those that are left may make packets scarce again
                    lib.wait_until(lambda: served(b.ns), "a client that reads is answered", 60, 0.2)
                (core,) = ctl.well("show", "cores")
                lib.check(core["packets_scarce"] > 0 and 0 < core["ended_scarce"] < 600, f"{core}")
            finally:
                done.set()
                for s in stalled:
                    s.close()
            lib.check("is down" not in b.program.output()[before:], "a backend was found down for want of our packets")
            b.finish()
    case(f"600 clients that {'take 600 bytes a second' if sips else 'do not read'}, room for 150: some are reset, it is told, the others are served")


def drain_node():
    with tempfile.TemporaryDirectory(prefix="tern-drain-") as folder, contextlib.ExitStack() as stack:
        control = f"{folder}/control"
        config = lb.config([f"{lb.backend_ip(0)}:{9000 + i}" for i in range(20)],
                           check='check = "http"\ninterval = "3s"\ntimeout = "3s"')
        with lb.over_veth(config, "--control", control, tag="drain", drain="60s") as b:
            for i in range(20):  # they accept, and never answer
                stack.enter_context(lb.Backend(b.ns, lb.backend_ip(0), 9000 + i))
            time.sleep(4)
            begun = time.monotonic()
            Ctl(control).run("drain", "node")
            b.program.process.wait(15)
            lib.check(time.monotonic() - begun < 10, "a drain waits for health checks")
            lib.check("the node is drained: no connection is left" in b.program.output(), b.program.output()[-300:])
        case("drain node: checks that nobody answers do not keep it from its end")
        with lb.over_veth(config, tag="drain", drain="60s") as b:
            time.sleep(4)
            begun = time.monotonic()
            b.finish(20)
            lib.check(time.monotonic() - begun < 10, "SIGTERM's drain waits for health checks")
        case("SIGTERM with a drain of 60 s: the same")


def unread(full):
    """Nobody reads its standard output, a pipe of the least size, once it is ready; and the log goes on. `full`: nor before."""
    lib.need("ip")
    with tempfile.TemporaryDirectory(prefix="tern-unread-") as folder, lib.namespace("unreadt") as far, \
         lib.namespace("unreadk") as near, lib.veth(far, near, kernel_addresses=[f"{lb.CLIENT}/24"]):
        control, path = f"{folder}/control", f"{folder}/lb.toml"
        with open(path, "w") as f:
            # Of who cannot be reached it says so at the start: more than any buffer holds.
            f.write(lb.config([f"{lb.CLIENT}:8080", *(f"192.0.2.{i}:80" for i in range(200 if full else 0))]))
        read, write = os.pipe()
        fcntl.fcntl(read, fcntl.F_SETPIPE_SZ, 4096)  # while it is empty: what lies in it may not fit
        command = far.command(sys.argv[1], "lb", "--config", path, "--port", "net_af_packet0,iface=tern0", "--ip", f"{lb.TERN}/24",
                              "--control", control, "--drain", "1s")
        if full:
            os.set_blocking(write, False)
            with contextlib.suppress(BlockingIOError):
                while os.write(write, b"." * 1024):
                    pass
            os.set_blocking(write, True)
        p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.DEVNULL)
        os.close(write)
        try:
            ctl = Ctl(control)
            if full:
                lib.wait_until(lambda: os.path.exists(control) and ctl.run("show", "backends")[0] == 0, "commands are answered", 30, 0.2)
            said = b""
            while not full and b"ready: " not in said:
                piece = os.read(read, 4096)
                lib.check(piece, f"it ended: {said}")
                said += piece
            for i in range(150):  # more than the pipe holds
                code, said = ctl.run("backend", ("drain", "ready")[i % 2], "web/b0")
                lib.check(code == 0, f"command {i}: {said}")
            if full:  # a signal would end what waits
                ctl.run("drain", "node")
            else:
                p.send_signal(signal.SIGTERM)
            lib.check(p.wait(15) == 0, f"exit {p.returncode}")
        finally:
            if p.poll() is None:
                p.kill()
                p.wait()
            os.close(read)
    case(f"its log is not read{', nor what it says at the start' if full else ''}: commands are answered, and {'drain node' if full else 'SIGTERM'} ends it")


def names():
    """Connections of what was removed or moved, a drain that outlives a move, weights that are all 0."""
    def config(address, weight=1):
        return lb.config([address], backend_extra=f"weight = {weight}")
    with tempfile.TemporaryDirectory(prefix="tern-names-") as folder:
        control = f"{folder}/control"
        with lb.over_veth(config(f"{lb.backend_ip(0)}:8080"), "--control", control, tag="names") as b, \
             Talker(b.ns, lb.backend_ip(0)), Talker(b.ns, lb.backend_ip(1)):
            ctl = Ctl(control)
            old = client(b.ns)
            lib.check(echoed(old), "no answer")
            lib.check(ctl.run("backend", "drain", "web/b0")[0] == 0, "drain")
            b.path.write_text(config(f"{lb.backend_ip(1)}:8080"))
            ctl.run("reload")
            states = [(r["address"], r["state"]) for r in ctl.well("show", "backends")]
            lib.check(states == [(f"{lb.backend_ip(1)}:8080", "drain"), (f"{lb.backend_ip(0)}:8080", "removed")], f"{states}")
            case("a backend that the operator drains is drained at its new address, too")
            code, said = ctl.run("connections", "kill", "web/b0")
            lib.check((code, said) == (0, "1 connections reset\n"), said)
            case("connections of a backend that moved are killed by its name")
            ctl.run("backend", "ready", "web/b0")
            ctl.run("backend", "weight", "web/b0", 0)
            b.program.wait_for("service web has no backend left")
            (row,) = ctl.well("show", "services")
            lib.check((row["state"], row["backends"]) == ("no backend", "0/1"), f"{row}")
            case("a service whose weights are all 0 has no backend, and it is told")
            memory = ctl.well("show", "memory")
            _, said = ctl.run("show", "memory")
            lib.check(f"reserved {sum(r['bytes'] for r in memory) >> 20} MiB" in said, said)
            case("show memory: its sum is of all that it shows")
            b.finish()


def slowly(s, n, seconds):
    """What comes in at most so long, a little at a time; and the end."""
    got, end = bytearray(), time.monotonic() + seconds
    s.settimeout(10)
    try:
        while time.monotonic() < end:
            piece = s.recv(n)
            if not piece:
                return bytes(got), "fin"
            got += piece
            time.sleep(0.2)
    except ConnectionError:
        return bytes(got), "rst"
    return bytes(got), "open"


def finished():
    """A slow client of a backend that said all and is gone, before and after its FIN."""
    text = bytes(range(250)) * 240  # 60,000 bytes: the balancer holds them
    with lb.over_veth(lb.config([f"{lb.backend_ip(0)}:8080"]), tag="fin") as b, lb.Backend(b.ns, lb.backend_ip(0)) as backend:
        for name, ends in (("closed", "fin"), ("reset", "rst")):
            with contextlib.closing(client(b.ns, small=True)) as c:
                with backend.accept() as s:
                    c.sendall(b"hello")
                    lib.check(s.recv(5) == b"hello", "hello")
                    s.sendall(text)
                    time.sleep(0.5)  # the balancer has it
                    if ends == "rst":
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                time.sleep(0.3)
                if ends == "fin":
                    c.sendall(b"!")  # which the backend's kernel answers by a reset
                got, end = slowly(c, 1500, 20)
                lib.check(got == text and end == ends, f"{name}: {len(got)} bytes of {len(text)}, then {end}")
        b.finish()
    case("a backend that is gone truncates nothing that a slow client goes on taking")


def test():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    names()
    finished()
    drain_node()
    unread(full=False)
    unread(full=True)
    scarce(sips=False)
    scarce(sips=True)


if __name__ == "__main__":
    lib.main(test, limit=195)
