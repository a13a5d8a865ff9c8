#!/usr/bin/env python3
"""TCP over net_ring: `ring` joins two ports in one process and checks every byte and every packet.

usage: test_ring.py <path of ring>
"""
import sys

import lib


def test():
    out = lib.run(sys.argv[1], timeout=50)
    print(out, end="")
    lib.check("not ok" not in out and out.count("ok - ") == 5, out)


if __name__ == "__main__":
    lib.main(test)
