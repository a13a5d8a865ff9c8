#!/usr/bin/env python3
"""tern-sim from outside: one seed is one run, its packets can be printed and written, many seeds are summed up."""
import pathlib
import struct
import subprocess
import sys
import tempfile

failed = False


def case(name, good, seen=""):
    global failed
    print(f"{'ok' if good else 'not ok'} - {name}")
    if not good:
        print(seen)
        failed = True


def run(*arguments):
    r = subprocess.run([sys.argv[1], *arguments], capture_output=True, text=True, timeout=100)
    return r.returncode, r.stdout


def records(path):
    """The packets of a pcap file, each whole."""
    data = pathlib.Path(path).read_bytes()
    at, found = 24, []
    while at < len(data):
        _, _, kept, length = struct.unpack_from("<IIII", data, at)
        assert kept == length
        found.append(data[at + 16:at + 16 + kept])
        at += 16 + kept
    assert at == len(data)
    return found


status, plain = run("--seed", "7")
case("a seed is played", status == 0 and "fingerprint" in plain and " 0 wrong" in plain, plain)
case("and is the same each time", run("--seed", "7") == (status, plain))
case("another seed is another run", run("--seed", "8")[1].splitlines()[0] != plain.splitlines()[0])
with tempfile.TemporaryDirectory() as folder:
    status, told = run("--seed", "7", "--trace", "--pcap", f"{folder}/run.pcap")
    lines = told.splitlines()
    case("looking at it changes nothing", told.endswith(plain), told[-500:])
    sent = [line for line in lines if " sent " in line]
    packets = records(f"{folder}/run.pcap")
    case("--trace tells each packet", len(sent) > 10 and any("SYN" in s or "[S" in s for s in sent), sent[:3])
    case("--pcap has each that was sent, as IPv4", len(packets) == len(sent) and all(p[0] == 0x45 for p in packets),
         f"{len(packets)} written, {len(sent)} told")
for kind in ((), ("--cores",), ("--proxy",)):
    status, summed = run("--seeds", "1..2", *kind)
    case(f"many seeds are summed up {' '.join(kind)}".strip(),
         status == 0 and summed.startswith("2 runs, 0 wrong;") and "ends: " in summed, summed)
case("a mistake is refused", run("--seeds", "12")[0] == 2)
sys.exit(1 if failed else 0)
