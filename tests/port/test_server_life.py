#!/usr/bin/env python3
"""The life of a connection as the Linux kernel sees it over net_tap: half-close, RST, tiny writes, zero windows, urgent
data, refusal, crowds, bulk, the four segments of a close, and TIME-WAIT. tshark has the last word on every frame.

usage: test_server_life.py <path of tern>
"""
import collections
import contextlib
import fcntl
import hashlib
import os
import random
import socket
import struct
import sys
import tempfile
import termios
import threading
import time

import lib
import server

done = []


def ok(name):
    print(f"ok - {name}", flush=True)
    done.append(name)


def echoed(s, data, pause=0.0, chunk=1 << 16):
    """Sends `data` and the end from a thread; what came back, by its SHA-256 and length. The reader begins after `pause`."""
    trouble = []
    def send():
        try:
            for at in range(0, len(data), chunk):
                s.sendall(data[at:at + chunk])
            s.shutdown(socket.SHUT_WR)
        except OSError as why:
            trouble.append(why)
    writer = threading.Thread(target=send, daemon=True)
    writer.start()
    time.sleep(pause)
    h, n = hashlib.sha256(), 0
    while piece := s.recv(1 << 18):
        h.update(piece)
        n += len(piece)
    writer.join(10)
    lib.check(not trouble and not writer.is_alive(), f"the sending side: {trouble or 'stuck'}")
    return h.hexdigest(), n


def check_echo(s, data, **how):
    digest, n = echoed(s, data, **how)
    lib.check(n == len(data) and digest == server.sha(data), f"sent {len(data)} bytes, {n} came back, not the same")


def half_close():
    # The kernel's FIN comes with much still to be answered; Tern answers all of it, then closes.
    with server.connect(7) as s:
        check_echo(s, os.urandom(700_000))
    ok("half-close by the kernel: everything is echoed after its FIN")


def tiny_writes():
    with server.connect(7) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        check_echo(s, os.urandom(3000), chunk=1)
    ok("3000 writes of one byte")


def urgent():
    with server.connect(7) as s:
        s.sendall(b"before ")
        s.send(b"!", socket.MSG_OOB)
        s.sendall(b" after")
        s.shutdown(socket.SHUT_WR)
        got = server.read_all(s)
    lib.check(got == b"before ! after", f"urgent data is not in line: {got}")
    ok("urgent data is delivered in line")


def zero_window():
    def small(s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    with server.connect(7, seconds=20, before=small) as s:
        check_echo(s, os.urandom(2_000_000), pause=3.0)
    ok("zero window for 3 s both ways, then 2 MB equal")


def refuses():
    began = time.monotonic()
    try:
        server.connect(8).close()
        raise lib.Failed("a port that nobody listens on accepted")
    except ConnectionRefusedError:
        pass
    lib.check(time.monotonic() - began < 1, "the refusal took a second")
    ok("a closed port refuses at once")


def resets():
    for data in (b"", b"x" * 100_000):
        s = server.connect(7)
        s.sendall(data)
        server.reset_on_close(s)
        s.close()
    with server.connect(7) as s:
        check_echo(s, b"still here")
    ok("RST by the kernel, idle and amid data")


def crowd(n=500):
    with contextlib.ExitStack() as open_sockets:
        sockets = []
        for _ in range(n):
            s = open_sockets.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex((server.TERN, 7))
            sockets.append(s)
        for i, s in enumerate(sockets):
            s.settimeout(10)
            lib.wait_until(lambda: s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and connected(s), f"connection {i}")
            s.sendall(b"%d" % i)
            s.shutdown(socket.SHUT_WR)
        for i, s in enumerate(sockets):
            got = server.read_all(s)
            lib.check(got == b"%d" % i, f"connection {i} got {got}")
    ok(f"{n} connections at once")


def connected(s):
    try:
        return bool(s.getpeername())
    except OSError:
        return False


def bulk():
    with server.connect(7, seconds=20) as s:
        check_echo(s, random.Random(1).randbytes(20_000_000))
    ok("20 MB echoed, SHA-256 equal")


def again(pcap):
    return [l for l in lib.tshark(pcap, f"tcp.analysis.retransmission && ip.src == {server.TERN}") if "Running as" not in l]


def clean():
    with server.over_tap("--mode", "echo", "--listen", "7", tag="life") as peer, \
         tempfile.NamedTemporaryFile(suffix=".pcap") as pcap, server.inside(peer.ns):
        with lib.capture(peer.ns, peer.device, pcap.name):
            for step in (half_close, tiny_writes, urgent, refuses, resets):
                step()
        counters = peer.finish()
        lib.tshark_clean(pcap.name, allow_retransmissions=True)  # of the kernel's: a busy machine makes it probe
        lib.check(counters["closed_reset"] == 2, f"two were reset by the kernel: {counters}")
        # Nothing is lost here; what a busy machine delays past a timer is sent again, never by duplicate ACKs.
        late = counters.get("retransmit_tlp", 0) + counters.get("retransmit_rto", 0)
        lib.check("retransmit_fast" not in counters and len(again(pcap.name)) <= late, f"sent again: {again(pcap.name)[:5]}")
    ok("tshark: no malformed frame, no bad checksum, nothing sent again")


def hard():
    with server.over_tap("--mode", "echo", "--listen", "7", "--drain", "300ms", tag="hard") as peer, \
         tempfile.NamedTemporaryFile(suffix=".pcap") as pcap, server.inside(peer.ns):
        with lib.capture(peer.ns, peer.device, pcap.name):
            crowd()
            zero_window()
        lib.tshark_clean(pcap.name, allow_retransmissions=True)
        for who in (server.TERN, server.KERNEL):
            lib.check(lib.tshark(pcap.name, f"tcp.analysis.zero_window && ip.src == {who}"), f"{who} never closed its window")
        bulk()
        # What is still open when the drain is over is reset.
        with server.connect(7) as s:
            counters = peer.finish()
            try:
                got = s.recv(1)
                raise lib.Failed(f"the end of the drain gave {got!r}, not a RST")
            except ConnectionResetError:
                ok("RST by Tern when the drain is over")
    lib.check(counters["accepted"] == 503 and counters["closed_aborted"] == 1, f"{counters}")


def others():
    with server.over_tap("--mode", "discard", "--listen", "9", tag="discard") as peer, server.inside(peer.ns):
        with server.connect(9) as s:
            s.sendall(os.urandom(5_000_000))
            s.shutdown(socket.SHUT_WR)
            lib.check(server.read_all(s) == b"", "discard answered")
        peer.finish()
        ok("discard takes 5 MB and closes")
    with server.over_tap("--mode", "chargen", "--listen", "19", tag="chargen") as peer, server.inside(peer.ns):
        with server.connect(19) as s:
            got = bytearray()
            while len(got) < 3_000_000:
                got += s.recv(1 << 16)
        text = bytes(32 + i % 95 for i in range(16_384))
        lib.check(got.startswith(text) and not set(got) - set(text), "chargen sends something else")
        peer.finish()
        ok("chargen sends until it is closed on")


def segments(pcap, port):
    """The connection of the kernel's `port`: (who, flags, bytes, sequence number, acknowledgement) in order."""
    rows = lib.run("tshark", "-r", pcap, "-Y", f"tcp.port == {port}", "-T", "fields", "-e", "ip.src", "-e", "tcp.flags.str",
                   "-e", "tcp.len", "-e", "tcp.seq_raw", "-e", "tcp.ack_raw", timeout=60).splitlines()
    rows = [r.split("\t") for r in rows if r.count("\t") == 4]
    return [("tern" if src == server.TERN else "kernel", "".join(c for c in flags if c.isalpha()), *map(int, numbers))
            for src, flags, *numbers in rows]


def get(s):
    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
    got = server.read_all(s)
    lib.check(got.startswith(b"HTTP/1.1 200") and got.endswith(b"x\n"), f"{got[:100]}")


def last_ack(ns):
    return len(ns.run("ss", "-Htan", "state", "last-ack").strip().splitlines())


def unacknowledged(s):
    """Bytes that the kernel has sent, or will, and has no ACK of."""
    return struct.unpack("i", fcntl.ioctl(s, termios.TIOCOUTQ, bytes(4)))[0]


def time_wait():
    with server.over_tap("--mode", "http", "--close", "server", "--response-size", "100", "--time-wait", "10s",
                         tag="tw") as peer, \
         tempfile.NamedTemporaryFile(suffix=".pcap") as pcap, server.inside(peer.ns):
        with lib.capture(peer.ns, peer.device, pcap.name):
            # Tern closes first; the kernel's program takes its time: each FIN has an ACK of its own.
            with server.connect() as s:
                port = s.getsockname()[1]
                get(s)
                time.sleep(0.3)
                s.sendall(b"more, though you have closed")  # the kernel's half is still open
                lib.wait_until(lambda: not unacknowledged(s), "the text is ACKed")
            lib.wait_until(lambda: not last_ack(peer.ns), "the kernel's FIN is ACKed")
            # The same port again, at once: the SYN takes the place of the record in TIME-WAIT.
            def same_port(s):
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((server.KERNEL, port))
            with server.connect(before=same_port, seconds=8) as s:
                get(s)
        lib.tshark_clean(pcap.name, allow_retransmissions=True)
        seen = lib.once(segments(pcap.name, port))
        again_at = [i for i, s in enumerate(seen) if s == ("kernel", "S", 0)]
        lib.check(len(again_at) == 2 and seen[again_at[1] + 1] == ("tern", "AS", 0), f"the SYN was not answered at once: {seen}")
        first = seen[:again_at[1]]
        fins = [i for i, (_, flags, _) in enumerate(first) if "F" in flags]
        close = [first[fins[0]][:2], *first[fins[0] + 1:]]
        lib.check(close == [("tern", "APF"), ("kernel", "A", 0), ("kernel", "AP", 28), ("tern", "A", 0), ("kernel", "AF", 0),
                            ("tern", "A", 0)], f"FIN, ACK, text, ACK, FIN, ACK: {seen}")
        ok("a close of four segments, text between the FINs taken")
        ok("a SYN from a port in TIME-WAIT opens a connection at once")
        with lib.capture(peer.ns, peer.device, pcap.name):
            with server.connect() as s:
                port = s.getsockname()[1]
                get(s)
                time.sleep(0.2)  # our ACK of its FIN is out
                peer.ns.run("iptables", "-I", "INPUT", "-s", server.TERN, "-j", "DROP")
            lib.wait_until(lambda: last_ack(peer.ns), "the kernel waits for the last ACK")
            time.sleep(0.5)
            lib.check(last_ack(peer.ns) == 1, "LAST-ACK is over though the ACK was lost")
            peer.ns.run("iptables", "-F", "INPUT")
            lib.wait_until(lambda: not last_ack(peer.ns), "the kernel's FIN, sent again, is ACKed", seconds=20)
        seen = [s[:3] for s in segments(pcap.name, port)]
        lib.check(seen.count(("kernel", "AF", 0)) >= 2, f"the FIN was not sent again: {seen}")
        fin = seen.index(("kernel", "AF", 0))
        # Each was ACKed, the lost ones too: on the wire they are there, iptables comes behind the capture.
        # Two FINs that came while we were stalled are ACKed one behind the other; the kernel is closed by the first and resets.
        count = collections.Counter(seen[fin:])
        together = sum(a == b == ("kernel", "AF", 0) for a, b in zip(seen[fin:], seen[fin + 1:]))
        lib.check(count.pop(("kernel", "R", 0), 0) <= together, f"{seen}")
        lib.check(set(count) == {("kernel", "AF", 0), ("tern", "A", 0)} and len(set(count.values())) == 1, f"{seen}")
        counters = peer.finish()
        lib.check(counters["time_wait_reused"] == 1 and counters["closed_done"] == 3 and "time_wait_old_syn" not in counters,
                  f"{counters}")
        ok("a FIN that comes again in TIME-WAIT is ACKed again")


def test():
    lib.need("tcpdump", "tshark", "iptables", "ss")
    clean()
    hard()
    others()
    time_wait()


if __name__ == "__main__":
    lib.main(test)
