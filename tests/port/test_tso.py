#!/usr/bin/env python3
"""Segments in packs for a port that cuts them (TSO), with the Linux kernel as the peer. The port is net_tap, whose driver cuts in
software: `--tso hardware` makes it. What it made of the packs is what the kernel's side captures.

usage: test_tso.py <path of tern>
"""
# limit: 180
import random
import sys
import tempfile
import time

import lib
import server
from test_server_life import check_echo

SIZE = 4_000_000
MSS = 1400  # net_tap counts Ethernet's header to its MTU: what it cuts must leave room for that


def download(peer):
    """One answer, compared; the megabytes a second it came at."""
    start = time.monotonic()
    _, data, _ = server.curl(peer.ns, f"http://{server.TERN}/", timeout=40)
    lib.check(server.sha(data) == server.sha(server.body(SIZE)), f"{len(data)} bytes came, not what was sent")
    return SIZE / (time.monotonic() - start) / 1e6


def pages(tso):
    """The counters, what was captured on the kernel's side, and how fast it went without a capture."""
    with server.over_tap("--mode", "http", "--response-size", SIZE, "--listen", 80, "--tso", tso, "--mss", MSS, tag="tso") as peer, \
         tempfile.NamedTemporaryFile(prefix="tern-tso-", suffix=".pcap") as pcap:
        lib.check(f"tso {tso}" in peer.program.output(), f"the table does not say so:\n{peer.program.output()}")
        with lib.capture(peer.ns, peer.device, pcap.name):
            download(peer)
        lib.tshark_clean(pcap.name, allow_retransmissions=True)  # a slow reader's ring may lose, whoever cuts
        ours = lambda f: [l for l in lib.tshark(pcap.name, f"ip.src == {server.TERN} && tcp.len {f}") if "Running as" not in l]
        text, full, beyond = ours("> 0"), ours(f"== {MSS - 12}"), ours(f"> {MSS - 12}")
        lib.check(len(full) > len(text) * 0.9 and not beyond, f"{len(text)} segments, {len(full)} full, {len(beyond)} too long")
        speed = max(download(peer) for _ in range(2))
        counters = peer.finish()
    return counters, len(text), speed


def cut_by_the_port():
    counters, frames, on = pages("hardware")
    packs, segments = counters.get("tx_packs", 0), counters.get("tx_packed_segments", 0)
    lib.check(packs > 100 and segments > 4 * packs, f"{packs} packs of {segments} segments")
    lib.check(segments > 2 * frames, f"{segments} segments left in packs, of three answers of {frames}")
    print(f"ok - {segments} segments in {packs} packs, cut by net_tap: every frame right, 12 MB by SHA-256", flush=True)
    counters, _, off = pages("software")
    lib.check("tx_packs" not in counters, f"{counters}")
    print(f"ok - and none with --tso software; {on:.0f} MB/s with packs, {off:.0f} without (recorded, not judged)", flush=True)


def echoed():
    """Text that lies in pieces, sent as it lies; both ways at once."""
    with server.over_tap("--mode", "echo", "--listen", 7, "--tso", "hardware", "--mss", MSS, tag="tsoe") as peer, \
         tempfile.NamedTemporaryFile(prefix="tern-tso-", suffix=".pcap") as pcap:
        with server.inside(peer.ns), lib.capture(peer.ns, peer.device, pcap.name), server.connect(7, seconds=30) as s:
            check_echo(s, random.Random(5).randbytes(2_000_001))
        lib.tshark_clean(pcap.name, allow_retransmissions=True)
        peer.finish()
    print("ok - an echo of text in pieces: 2 MB by SHA-256, every checksum good", flush=True)


def refused():
    with lib.namespace("tsof") as far, lib.namespace("tson") as near, lib.veth(far, near):
        r = far.run(sys.argv[1], "server", "--port", "net_af_packet0,iface=tern0", "--ip", f"{server.TERN}/24", "--tso", "hardware",
                    timeout=30, ok=False)
        lib.check(r.returncode == 2 and "net_af_packet cuts none" in r.stdout, f"exit {r.returncode}:\n{r.stdout}")
    print("ok - a port that cuts none: one line, exit 2", flush=True)


def test():
    lib.need("tshark", "tcpdump", "curl")
    cut_by_the_port()
    echoed()
    refused()


if __name__ == "__main__":
    lib.main(test, limit=175)
