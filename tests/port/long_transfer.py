#!/usr/bin/env python3
"""What needs minutes: one connection of the kernel's carries gigabytes to Tern's echo and back, over net_af_packet on veth; SHA-256 of
both ways equal. More than 4 GiB wrap the sequence numbers of both sides. Run by scripts/test-long, not by scripts/test.

usage: long_transfer.py <path of tern> [gigabytes, 5 unless told]
"""
import hashlib
import os
import socket
import sys
import threading
import time

import lib
import server


def test():
    size = int(float(sys.argv[2] if len(sys.argv) > 2 else "5") * 1e9)
    block = os.urandom(1 << 20)
    sent = hashlib.sha256()

    def send(s):
        left = size
        turn = 0
        while left:
            piece = block[turn % 997:][:left]  # no two blocks that follow each other are the same
            s.sendall(piece)
            sent.update(piece)
            left -= len(piece)
            turn += 1
        s.shutdown(socket.SHUT_WR)

    with server.over_veth("--mode", "echo", "--listen", "7", tag="long") as peer:
        began = time.monotonic()
        with server.inside(peer.ns), server.connect(7, seconds=60) as s:
            sender = threading.Thread(target=send, args=(s,), daemon=True)
            sender.start()
            got, back, said = hashlib.sha256(), 0, 0
            while piece := s.recv(1 << 20):
                got.update(piece)
                back += len(piece)
                if back // 500_000_000 != said:
                    said = back // 500_000_000
                    print(f"  {back / 1e9:.1f} GB back after {time.monotonic() - began:.0f} s", flush=True)
            sender.join(60)
        seconds = time.monotonic() - began
        lib.check(back == size and got.digest() == sent.digest(), f"{back} of {size} bytes came back, or not the same")
        counters = peer.finish(30)
        lib.check(counters["closed_done"] == 1, f"{counters}")
    wraps = size // 2**32
    print(f"ok - {size / 1e9:.1f} GB there and back, SHA-256 equal, sequence numbers wrapped {wraps} times or more each way:"
          f" {seconds:.0f} s, {size * 8 / seconds / 1e9:.2f} Gb/s each way")


if __name__ == "__main__":
    lib.main(test, limit=3600)
