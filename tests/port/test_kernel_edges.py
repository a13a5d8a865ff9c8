#!/usr/bin/env python3
"""Edges of TCP with the Linux kernel as the peer, over net_tap, tshark's word on every frame: closes in four plain segments,
whoever is first; sequence numbers, ours and the kernel's, and timestamps that wrap within a transfer; both sides opening at once.

# limit: 240
usage: test_kernel_edges.py <path of the kernel_edges program>
"""
import contextlib
import os
import pathlib
import random
import re
import signal
import socket
import sys
import tempfile
import time

import lib
import server
from server import inside
from test_server_life import check_echo

TERN, KERNEL = "10.99.11.2", "10.99.11.1"


@contextlib.contextmanager
def edges(mode):
    lib.need("ip", "sysctl", "ethtool", "tshark", "tcpdump", "iptables")
    if not os.path.exists("/dev/net/tun"):
        raise lib.Skipped("needs /dev/net/tun: modprobe tun")
    with lib.namespace("edge" + mode) as ns, \
         lib.program(ns, sys.argv[1], mode, "net_tap0,iface=tern0", f"{TERN}/24", KERNEL) as tern:
        tern.wait_for("ready")
        ns.write("net.ipv6.conf.tern0.disable_ipv6", 1)
        lib.no_offloads(ns, "tern0")
        lib.give_addresses(ns, "tern0", [f"{KERNEL}/24"])
        ns.run("ping", "-n", "-c", "1", "-W", "10", TERN, timeout=20)  # addresses are resolved before anything is counted
        yield ns, tern
        tern.process.send_signal(signal.SIGINT)
        code = tern.process.wait(10)
        out = tern.output()
        lib.check(code == 0 and "packets not given back: 0\n" in out, f"exit {code}:\n{out}")
        tern.counters = {name: int(n) for name, n in re.findall(r"^ *(\w+) +(\d+)$", out, re.M)}


def fields(pcap, *names):
    """Of each TCP frame, in order; sequence numbers as they are on the wire."""
    words = [w for n in names for w in ("-e", n)]
    out = lib.run("tshark", "-r", pcap, "-o", "tcp.relative_sequence_numbers:FALSE", "-Y", "tcp", "-T", "fields", *words, timeout=60)
    return [line.split("\t") for line in out.splitlines() if line.count("\t") == len(names) - 1]


def frames(pcap):
    """(who, flags, text, sequence number, acknowledgement) of each frame."""
    rows = fields(pcap, "ip.src", "tcp.flags.syn", "tcp.flags.ack", "tcp.flags.fin", "tcp.flags.reset", "tcp.len", "tcp.seq_raw",
                  "tcp.ack_raw")
    on = lambda v: v in ("1", "True")
    return [("tern" if r[0] == TERN else "kernel", "".join(l for l, v in zip("SAFR", r[1:5]) if on(v)), *map(int, r[5:])) for r in rows]


def sent_again(seen):
    """How many frames of ours begin where one began already."""
    ours = [seq for who, flags, n, seq, _ in seen if who == "tern" and (n or "S" in flags or "F" in flags)]
    return len(ours) - len(set(ours))


def four_segments(first):
    """Every FIN and every ACK of one is a segment of its own: first is who closes."""
    second = "kernel" if first == "tern" else "tern"
    with tempfile.NamedTemporaryFile(prefix="tern-close-", suffix=".pcap") as pcap:
        with edges("close") as (ns, tern), lib.capture(ns, "tern0", pcap.name):
            with inside(ns):
                s = socket.create_connection((TERN, 80), timeout=10)
            s.sendall(b"T" if first == "tern" else b"K")
            lib.check(s.recv(100) == b"answer", "no answer")
            time.sleep(0.2)  # its ACK is out
            if first == "tern":
                lib.check(s.recv(100) == b"", "no end")
                time.sleep(0.3)
            s.shutdown(socket.SHUT_WR)
            if first == "kernel":
                lib.check(s.recv(100) == b"", "no end")
            time.sleep(0.3)
            s.close()
        lib.tshark_clean(pcap.name, allow_retransmissions=True)
        # The kernel sends again when we are stalled. We do when a timer says so, and count it.
        counted = sum(tern.counters.get(f"retransmit_{why}", 0) for why in ("tlp", "rto", "syn_ack"))
        again = sent_again(frames(pcap.name))
        lib.check("retransmit_fast" not in tern.counters and again <= counted, f"{again} sent again, {counted} counted")
        seen = lib.once(frames(pcap.name))
        at = next(i for i, f in enumerate(seen) if "F" in f[1])
        lib.check(seen[at:] == [(first, "AF", 0), (second, "A", 0), (second, "AF", 0), (first, "A", 0)], f"{seen}")
    print(f"ok - {first} closes first: FIN, ACK, FIN, ACK, each alone on the wire")


def exchange(s, text):
    """There and back, every byte."""
    s.sendall(text)
    got = b""
    while len(got) < len(text):
        piece = s.recv(len(text) - len(got))
        lib.check(piece, "the connection ended within the transfer")
        got += piece
    lib.check(got == text, "the echo differs")


def wraps():
    """Megabytes each way in small steps, while our sequence numbers pass 2^32 and then our timestamps do."""
    with edges("wrap") as (ns, tern), tempfile.NamedTemporaryFile(prefix="tern-wrap-", suffix=".pcap") as pcap:
        began = time.monotonic()
        port = int(re.search(r"^from port (\d+)$", tern.output(), re.M).group(1))
        end = began + int(re.search(r"^wraps in (\d+) ms$", tern.output(), re.M).group(1)) / 1000 + 0.5
        with lib.capture(ns, "tern0", pcap.name):
            with inside(ns):
                s = socket.socket()
            s.settimeout(10)
            s.bind((KERNEL, port))
            s.connect((TERN, 80))
            text = os.urandom(60_000)
            sent = 0
            while time.monotonic() < end or sent < 2_400_000:
                exchange(s, text)
                sent += len(text)
                time.sleep(0.02)
            s.shutdown(socket.SHUT_WR)
            lib.check(s.recv(10) == b"", "no end")
            s.close()
        lib.tshark_clean(pcap.name, allow_retransmissions=True)
        rows = [(int(seq), int(ts)) for src, seq, ts in fields(pcap.name, "ip.src", "tcp.seq_raw", "tcp.options.timestamp.tsval")
                if src == TERN and ts]
        for what, which in (("sequence numbers", 0), ("timestamps", 1)):
            values = [r[which] for r in rows]
            lib.check(values[0] > 2**32 - 2**24 and values[-1] < 2**31, f"the {what} did not wrap: {values[0]} to {values[-1]}")
        lib.check(not any("R" in f[1] for f in frames(pcap.name)), "somebody reset")
        print(f"ok - sequence numbers {rows[0][0]} to {rows[-1][0]} in {sent} bytes, text as it was sent")
        print(f"ok - timestamps {rows[0][1]} to {rows[-1][1]} within the transfer")


TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, TCP_SEND_QUEUE = 19, 20, 21, 2  # <linux/tcp.h>; Python has no names for them
TCP_TIMESTAMP, TCP_REPAIR_OFF_NO_PROBE = 24, -1


def begin_at(s, first):
    """Its SYN shall have this sequence number: in repair mode the kernel lets itself be told, and connects with it."""
    for option, value in ((TCP_REPAIR, 1), (TCP_REPAIR_QUEUE, TCP_SEND_QUEUE),
                          (TCP_QUEUE_SEQ, first - 2**32 if first >= 2**31 else first), (TCP_REPAIR, 0)):
        s.setsockopt(socket.IPPROTO_TCP, option, value)


def kernel_wraps(cookies):
    """The kernel's own numbers pass 2^32, and the half of it, wherever it hurts: `tern server` echoes all the same."""
    size = 300_000
    cases = {"within the text": (2**32 - 100_000, 1_000_000),
             "the SYN has the last number": (2**32 - 1, size),
             "the text's last byte has the last number": (2**32 - 1 - size, size),
             "the FIN has the last number": (2**32 - 2 - size, size),
             "half-way, where the sign changes": (2**31 - 100_000, size)}
    tern = pathlib.Path(sys.argv[1]).resolve().parents[2] / "app/tern"
    with server.over_tap("--mode", "echo", "--listen", "7", "--syn-cookies", cookies, tag="kwrap", tern=tern) as peer, \
         tempfile.NamedTemporaryFile(prefix="tern-kwrap-", suffix=".pcap") as pcap:
        ports = {}
        with lib.capture(peer.ns, peer.device, pcap.name), inside(peer.ns):
            for name, (first, length) in cases.items():
                with server.connect(7, seconds=20, before=lambda s: begin_at(s, first)) as s:
                    ports[name] = s.getsockname()[1]
                    check_echo(s, random.Random(first).randbytes(length))
        counters = peer.finish()
        lib.tshark_clean(pcap.name, allow_retransmissions=True)
        rows = fields(pcap.name, "ip.src", "tcp.port", "tcp.flags.syn", "tcp.flags.fin", "tcp.flags.reset", "tcp.seq_raw", "tcp.ack_raw",
                      "tcp.len")
        on = lambda v: v in ("1", "True")
        for name, (first, length) in cases.items():
            mine = [r for r in rows if str(ports[name]) in r[1].split(",")]
            numbers = lambda column: {(int(r[5]) + int(r[7])) % 2**32 for r in mine if r[0] == server.KERNEL and on(r[column])}
            lib.check(numbers(2) == {first}, f"{name}: the kernel's SYN has {numbers(2)}, not {first}")
            fin = (first + 1 + length) % 2**32
            lib.check(numbers(3) == {fin}, f"{name}: its FIN has {numbers(3)}, not {fin}")
            lib.check(any(r[0] == server.TERN and int(r[6]) == (fin + 1) % 2**32 for r in mine), f"{name}: the FIN was not ACKed")
            lib.check(not any(on(r[4]) for r in mine), f"{name}: somebody reset")
        lib.check(counters["closed_done"] == len(cases), f"{counters}")
    for name in cases:
        print(f"ok - the kernel's sequence numbers wrap, --syn-cookies {cookies}: {name}", flush=True)


def put_clock(s, value):
    """The kernel's timestamps on this connection go on from here; it must be at rest. What they were."""
    set_to = lambda option, v: s.setsockopt(socket.IPPROTO_TCP, option, v - 2**32 if v >= 2**31 else v)
    set_to(TCP_REPAIR, 1)
    before = s.getsockopt(socket.IPPROTO_TCP, TCP_TIMESTAMP) % 2**32
    if value is not None:
        set_to(TCP_TIMESTAMP, value)
    set_to(TCP_REPAIR, TCP_REPAIR_OFF_NO_PROBE)
    return before


def kernel_timestamps_wrap():
    """The kernel's timestamps pass 2^32 within a transfer to `tern server`, while text is on its way all the time."""
    tern = pathlib.Path(sys.argv[1]).resolve().parents[2] / "app/tern"
    with server.over_tap("--mode", "echo", "--listen", "7", tag="kstamp", tern=tern) as peer, \
         tempfile.NamedTemporaryFile(prefix="tern-kstamp-", suffix=".pcap") as pcap:
        with lib.capture(peer.ns, peer.device, pcap.name), inside(peer.ns), server.connect(7, seconds=20) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            text = os.urandom(60_000)
            exchange(s, text)
            # Forward alone, and never by half of the circle: else PAWS would refuse it, and should.
            while (2**32 - 1500 - put_clock(s, None)) % 2**32 > 2**30:
                put_clock(s, (put_clock(s, None) + 2**30) % 2**32)
                exchange(s, text)
            put_clock(s, 2**32 - 1500)
            end = time.monotonic() + 2.5
            while time.monotonic() < end:
                exchange(s, text)
                time.sleep(0.02)
            s.shutdown(socket.SHUT_WR)
            lib.check(s.recv(10) == b"", "no end")
        counters = peer.finish()
        lib.tshark_clean(pcap.name, allow_retransmissions=True)
        stamps = [int(ts) for src, ts in fields(pcap.name, "ip.src", "tcp.options.timestamp.tsval") if src == server.KERNEL and ts]
        at = next((i for i in range(1, len(stamps)) if stamps[i - 1] > 2**32 - 2000 and stamps[i] < 2000), 0)
        lib.check(at > 10 and len(stamps) - at > 10, f"the kernel's timestamps did not wrap: {stamps[0]} to {stamps[-1]}")
        lib.check(counters["closed_done"] == 1 and "drop_paws" not in counters, f"{counters}")
    print(f"ok - the kernel's timestamps wrap within a transfer: {stamps[at - 1]}, then {stamps[at]}", flush=True)


def talk(s):
    """Over a connection that both sides opened: text both ways, and the end."""
    s.settimeout(10)
    lib.check(s.recv(100) == b"hello", "no greeting")
    s.sendall(b"x" * 50_000)
    got = 0
    while got < 50_000:
        piece = s.recv(65536)
        lib.check(piece, "it ended early")
        got += len(piece)
    s.shutdown(socket.SHUT_WR)
    lib.check(s.recv(10) == b"", "no end")
    s.close()


def dropped(ns, chain):
    """Packets that its one rule took."""
    return int(ns.run("iptables", "-nvxL", chain).splitlines()[2].split()[0])


def both_open():
    """Each side's SYN finds the other in SYN-SENT: the one that would answer it too early is held back by a rule for SYNs alone."""
    with edges("open") as (ns, tern), tempfile.NamedTemporaryFile(prefix="tern-open-", suffix=".pcap") as pcap:
        syn_only = ("-p", "tcp", "--tcp-flags", "SYN,ACK", "SYN", "-j", "DROP")
        with lib.capture(ns, "tern0", pcap.name):
            ns.run("iptables", "-I", "INPUT", "-s", TERN, *syn_only)
            tern.process.send_signal(signal.SIGUSR1)  # its SYN gets no answer
            lib.wait_until(lambda: dropped(ns, "INPUT"), "Tern's SYN is held back")
            with inside(ns):
                s = socket.socket()
            s.settimeout(10)
            s.bind((KERNEL, 9001))
            s.connect((TERN, 7001))
            talk(s)
            ns.run("iptables", "-F", "INPUT")
            ns.run("iptables", "-I", "OUTPUT", "-d", TERN, *syn_only)
            with inside(ns):
                s = socket.socket()
            s.setblocking(False)
            s.bind((KERNEL, 9002))
            with contextlib.suppress(BlockingIOError):
                s.connect((TERN, 7002))
            time.sleep(0.1)
            tern.process.send_signal(signal.SIGUSR1)
            talk(s)
            ns.run("iptables", "-F", "OUTPUT")
        lib.tshark_clean(pcap.name, allow_retransmissions=True)
        seen = lib.once(frames(pcap.name))
        lib.check(not any("R" in f[1] for f in seen), f"somebody reset: {seen}")
        opening = [f for f in seen if "S" in f[1]]
        lib.check(opening == [("tern", "S", 0), ("kernel", "S", 0), ("tern", "SA", 0), ("tern", "S", 0), ("kernel", "SA", 0)],
                  f"SYN, SYN, SYN-ACK of ours; SYN, SYN-ACK of the kernel's: {opening}")
    print("ok - the kernel's SYN finds Tern in SYN-SENT: SYN-ACK, open, 50 KB both ways, closed")
    print("ok - Tern's SYN finds the kernel in SYN-SENT: the same")


def test():
    four_segments("tern")
    four_segments("kernel")
    wraps()
    for cookies in ("never", "always"):
        kernel_wraps(cookies)
    kernel_timestamps_wrap()
    both_open()


if __name__ == "__main__":
    lib.main(test, limit=230)
