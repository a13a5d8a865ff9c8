#!/usr/bin/env python3
"""net_null carries no TCP: it floods with junk as fast as it is polled and swallows what is sent. A server lives through
it: every frame is dropped for a reason, no packet is lost track of, one core and two. And one core sends as fast as it can.

usage: test_null.py <path of tern>
"""
import pathlib
import re
import sys

import lib


def flood(name, port, *options):
    out = lib.run(sys.argv[1], "server", "--port", port, "--ip", "10.99.8.2/24", "--duration", "2s", *options,
                  timeout=30)
    lib.check("packets not given back: 0\n" in out, f"{name}: packets are missing:\n{out}")
    counters = {n: int(v) for n, v in re.findall(r"^  (\w+) +(\d+)$", out, re.M)}
    got = counters["rx_packets"]
    dropped = sum(n for c, n in counters.items() if c.startswith("drop_"))
    # The junk is what the buffers held before: one of them held our own announcement, comes round again and again, and is
    # passed over uncounted, as what it is: nobody's conflict, nobody's news.
    lib.check(got > 10_000 and 0.9 * got < dropped <= got, f"{name}: {got} received, {dropped} dropped:\n{out}")
    print(f"ok - {name}: {got} frames of junk, dropped for a reason", flush=True)


def quiet(name, port):
    out = lib.run(sys.argv[1], "server", "--port", port, "--ip", "10.99.8.2/24", "--duration", "1s", timeout=30)
    lib.check("packets not given back: 0\n" in out and "rx_packets" not in out, f"{name}:\n{out}")
    lib.check(re.search(r"^  tx_packets +[1-9]", out, re.M), f"{name}: our address was not announced:\n{out}")
    print(f"ok - {name}: what is sent is swallowed and given back", flush=True)


def ceiling():
    """What a core can get rid of without TCP: allocated, written, sent. Told, not judged: it is the machine's figure."""
    out = lib.run(pathlib.Path(sys.argv[1]).resolve().parents[1] / "tests/port/null_tx", "net_null0,no-rx=1", timeout=30)
    told = {n: int(v) for n, v in re.findall(r"^([a-z ]+):? (\d+)$", out, re.M)}
    lib.check(told["sent"] > 10_000 and told["packets not given back"] == 0, out)
    print(f"{told['a second']:,} frames a second swallowed")
    print("ok - as fast as one core sends: every packet is given back", flush=True)


def test():
    flood("64-byte frames", "net_null0,size=64")
    flood("1500-byte frames, two cores", "net_null0,size=1500", "--cores", "0,1")
    quiet("nothing received", "net_null0,no-rx=1")
    ceiling()


if __name__ == "__main__":
    lib.main(test)
