#!/usr/bin/env python3
"""Gives frames VLAN tags, and takes them off: a switch between an untagged device and a tagged one, for kernels without 8021q.

usage: tagger.py UNTAGGED TAGGED VLAN[.VLAN]   (outer first: 100.7; "": none)
Runs until SIGTERM, then says what it did.
"""
import select
import signal
import socket
import struct
import sys

ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 3, 263, 8, 4
VLAN_VALID, TPID_VALID = 0x10, 0x40


def opened(device):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.bind((device, 0))
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    return s


def received(s):
    """A frame as it was on the wire: the kernel hands the outermost tag beside it."""
    frame, beside, _, address = s.recvmsg(10000, 256)
    if address[2] == PACKET_OUTGOING:
        return None
    for level, kind, data in beside:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
            if status & VLAN_VALID:
                tpid = tpid if status & TPID_VALID else 0x8100
                frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
    return frame


def main():
    plain, tagged = opened(sys.argv[1]), opened(sys.argv[2])
    ids = [int(n) for n in sys.argv[3].split(".") if n]
    tags = b"".join(struct.pack("!HH", 0x88a8 if i == 0 and len(ids) == 2 else 0x8100, n) for i, n in enumerate(ids))
    did = dict(tagged=0, untagged=0, foreign=0)

    def stop(*_):
        print(" ".join(f"{k} {v}" for k, v in did.items()), flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, stop)
    print("tagging", flush=True)
    while True:
        for s in select.select([plain, tagged], [], [])[0]:
            frame = received(s)
            if frame is None:
                continue
            if s is plain:
                tagged.send(frame[:12] + tags + frame[12:])
                did["tagged"] += 1
            elif frame[12:12 + len(tags)][2::4] == tags[2::4] and frame[12:12 + len(tags)][3::4] == tags[3::4]:
                plain.send(frame[:12] + frame[12 + len(tags):])
                did["untagged"] += 1
            else:
                did["foreign"] += 1


if __name__ == "__main__":
    main()
