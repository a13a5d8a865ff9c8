#!/usr/bin/env python3
"""Why connections failed: a server with a port for each misdeed, and `tern client` counts each under its own name, exactly. A
second Ctrl-C leaves at once, and what was open is counted as unfinished; the view of a terminal is redrawn in place.

usage: test_client_causes.py <path of tern>
"""
import collections
import contextlib
import fcntl
import json
import os
import pty
import re
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time

import lib
import server
from client import KERNEL, ROOT, TERN, client, ok

EACH = 3  # connections to each port
RIGHT = bytes(ord("!") + i % 90 for i in range(64))


def take(c, n):
    while n > 0 and (piece := c.recv(n)):
        n -= len(piece)


def answer(text):
    def serve(c):
        take(c, 64)
        c.sendall(text)
        c.shutdown(socket.SHUT_WR)
        take(c, 1 << 20)  # what is closed with text unread ends in a RST
    return serve


def reset(c):
    server.reset_on_close(c)


def silent(c):
    take(c, 1 << 20)  # until the client gives up


# How many ports do it, each cause another number, so that none is taken for another. The first is whom the client finds the way by.
MISDEEDS = [
    (1, "completed", answer(RIGHT)),
    (2, "reset", reset),
    (3, "short_response", answer(RIGHT[:10])),
    (2, "bad_byte", answer(RIGHT[:40] + b"~" + RIGHT[41:])),
    (2, "bad_byte", answer(RIGHT + b"!")),
    (5, "refused", None),  # nobody listens
    (6, "response_timeout", silent),
    (7, "connect_timeout", None),  # a listener whose queue is full answers no SYN
]
PORTS = [(cause, misdeed) for times, cause, misdeed in MISDEEDS for _ in range(times)]  # from 7000


def serve(listening, misdeed):
    def one(c):
        with c, contextlib.suppress(OSError):
            misdeed(c)
    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=one, args=(listening.accept()[0],), daemon=True).start()


@contextlib.contextmanager
def bad_server(near):
    with contextlib.ExitStack() as stack:
        stack.enter_context(server.inside(near))
        for port, (cause, misdeed) in enumerate(PORTS, 7000):
            if cause == "refused":
                continue
            full = cause == "connect_timeout"
            listening = stack.enter_context(socket.create_server(("", port), backlog=0 if full else 1024))
            if full:
                stack.enter_context(socket.create_connection((KERNEL, port), 20))  # and is never accepted
                continue
            threading.Thread(target=serve, args=(listening, misdeed), daemon=True).start()
            stack.callback(listening.shutdown, socket.SHUT_RDWR)
        yield


def over_veth(*words):
    return client("--port", "net_af_packet0,iface=tern0", "--ip", f"{TERN}/24", "--target", f"{KERNEL}:7000-{6999 + len(PORTS)}",
                  *words)


def causes(far):
    want = collections.Counter(cause for cause, _ in PORTS for _ in range(EACH))
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        out = far.run(*over_veth("--quiet", "--verify", "--connections", EACH * len(PORTS), "--timeout", "8s", "--json", report.name),
                      timeout=60)
        lib.run(sys.executable, ROOT / "tests/support/check_report.py", report.name, timeout=20)
        c = json.load(open(report.name))["summary"]["connections"]
    got = {"completed": c["completed"], **{name: n for name, n in c["failed"].items() if n != 0 and name != "total"}}
    lib.check(got == want, f"{got}, and not {want}:\n{out}")
    lib.check(c["failed"]["total"] == c["attempted"] - EACH and c["unfinished"] == 0, f"{c}")
    never_established = want["refused"] + want["connect_timeout"]
    lib.check(c["established"] == c["attempted"] - never_established, f"{c}")
    ok(f"{len(want)} ends of {EACH * len(PORTS)} connections, each counted by its cause")


def own_terminal(fd):
    os.setsid()
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)  # so that ^C is a signal


@contextlib.contextmanager
def on_terminal(command):
    """The program on a terminal of 100 columns; gives its process, what it wrote so far, and its keyboard."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, 100))
    written = bytearray()

    def read():
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while piece := os.read(master, 1 << 16):
                written.extend(piece)

    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, preexec_fn=lambda: own_terminal(0),
                               env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"})
    os.close(slave)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield process, written, master
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join(20)
        os.close(master)


def redrawn(command, title):
    """The view is drawn once, and then again over itself, until the summary stands below it."""
    with on_terminal(command) as (process, written, _):
        lib.check(process.wait(60) == 0, written.decode(errors="replace"))
    out = written.decode(errors="replace")
    lib.check(out.count(title) > 1 and re.search(r"\x1b\[\d+F\x1b\[1m" + title, out), f"no view that is redrawn: {out!r}")
    lib.check(re.search(r"core \d+ +client .*%", out) and "conn/s" not in out, f"{out!r}")
    summary = out[out.rindex("\x1b[J"):]
    lib.check(re.search(r"^  completed +[\d,]*[1-9]", summary, re.M), f"no summary below the view: {summary!r}")


def second_interrupt():
    """The link is so slow that none is over by itself."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [sys.argv[1], "bench", "--impair", "delay=60s", "--json", report.name]
        with on_terminal(command) as (process, written, keyboard):
            lib.wait_until(lambda: re.search(rb"open [1-9]", written), "a connection is open", 40)
            os.write(keyboard, b"\x03")
            time.sleep(1)
            lib.check(process.poll() is None, f"the first Ctrl-C waits for what is open: {written.decode(errors='replace')}")
            def over():
                os.write(keyboard, b"\x03")  # what comes while it is stalled is one signal
                return process.poll() is not None
            lib.wait_until(over, "the second Ctrl-C leaves at once", 30, 0.3)
        out = written.decode(errors="replace")
        lib.run(sys.executable, ROOT / "tests/support/check_report.py", report.name, timeout=20)
        s = json.load(open(report.name))["summary"]
    c = s["connections"]
    lib.check(process.returncode == 1 and "Ended early" in out and "contradiction" not in out, f"exit {process.returncode}:\n{out}")
    lib.check(c["unfinished"] == c["attempted"] > 0 and c["failed"]["total"] == 0, f"{c}")
    lib.check(s["latency_us"]["connect"]["count"] == c["unfinished"], f"at its age: {s['latency_us']}")
    ok("a second Ctrl-C leaves at once: what was open is unfinished, nothing contradicts itself, exit 1")


def test():
    lib.need("ip", "ethtool")
    second_interrupt()
    redrawn([sys.argv[1], "bench", "--duration", "5s", "--interval", "300ms"], "tern bench")
    with lib.namespace("caut") as far, lib.namespace("cauk") as near, \
         lib.veth(far, near, kernel_addresses=[f"{KERNEL}/24"]), bad_server(near):
        redrawn(far.command(*client("--port", "net_af_packet0,iface=tern0", "--ip", f"{TERN}/24", "--target", f"{KERNEL}:7000",
                                    "--cps", "50", "--duration", "2s", "--interval", "300ms")), "tern client")
        ok("on a terminal bench and client redraw their view in place")
        causes(far)


if __name__ == "__main__":
    lib.main(test)
