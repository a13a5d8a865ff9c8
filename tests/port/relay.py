#!/usr/bin/env python3
"""A cable that harms, by seed: joins two devices and loses, repeats and holds back IPv4 frames. ARP passes.

usage: relay.py DEVICE DEVICE --seed N --loss P --duplicate P --reorder P   (P: a share, 0.01 is one in a hundred)
       --narrow N   from SIGUSR1 to SIGUSR2, IPv4 packets of more than N bytes are swallowed, and nobody is told
Runs until SIGTERM, then says what it did.
"""
import argparse
import heapq
import itertools
import random
import select
import signal
import socket
import sys
import time

HELD = 0.004  # a frame held back is overtaken by those of this many seconds
ETH_P_ALL = 3
PACKET_OUTGOING = 4


def opened(device):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.bind((device, 0))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.setblocking(False)
    return s


class Relay:
    def __init__(self, args):
        self.args = args
        self.random = random.Random(args.seed)
        self.ends = [opened(args.left), opened(args.right)]
        self.held = []  # (when, order, to, frame)
        self.order = itertools.count()
        self.did = dict(passed=0, lost=0, repeated=0, held=0, refused=0, swallowed=0)
        self.is_narrow = False

    def send(self, to, frame):
        try:
            to.send(frame)
        except OSError:  # no room in the device: lost like any other
            self.did["refused"] += 1

    def frame(self, to, frame):
        if frame[12:14] == b"\x08\x00":
            if self.is_narrow and len(frame) > self.args.narrow + 14:
                self.did["swallowed"] += 1
                return
            if self.random.random() < self.args.loss:
                self.did["lost"] += 1
                return
            if self.random.random() < self.args.duplicate:
                self.did["repeated"] += 1
                self.send(to, frame)
            if self.random.random() < self.args.reorder:
                self.did["held"] += 1
                heapq.heappush(self.held, (time.monotonic() + HELD, next(self.order), to, frame))
                return
        self.did["passed"] += 1
        self.send(to, frame)

    def release(self):
        """What was held long enough goes; the seconds until the next."""
        while self.held:
            wait = self.held[0][0] - time.monotonic()
            if wait > 0:
                return wait
            _, _, to, frame = heapq.heappop(self.held)
            self.send(to, frame)
        return 0.2

    def turn(self):
        readable, _, _ = select.select(self.ends, [], [], self.release())
        for end in readable:
            to = self.ends[1 - self.ends.index(end)]
            for _ in range(64):
                try:
                    frame, about = end.recvfrom(1 << 16)
                except BlockingIOError:
                    break
                if about[2] != PACKET_OUTGOING:
                    self.frame(to, frame)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("left")
    p.add_argument("right")
    for name, kind in (("seed", int), ("narrow", int), ("loss", float), ("duplicate", float), ("reorder", float)):
        p.add_argument(f"--{name}", type=kind, default=0)
    relay = Relay(p.parse_args())
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    signal.signal(signal.SIGUSR1, lambda *_: setattr(relay, "is_narrow", True))
    signal.signal(signal.SIGUSR2, lambda *_: setattr(relay, "is_narrow", False))
    print("relaying", flush=True)
    while not ended:
        relay.turn()
    print(" ".join(f"{k} {n}" for k, n in relay.did.items()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
