#!/usr/bin/env python3
"""net_pcap: `replay` plays a recorded client to a server, whose answers must be, byte for byte, those that the client had
when it was recorded. tshark finds no bad frame in them.

usage: test_replay.py <path of replay>
"""
import sys
import tempfile

import lib


def test():
    lib.need("tshark", root=False)
    with tempfile.TemporaryDirectory(prefix="tern-replay-") as folder:
        r = lib.run(sys.argv[1], folder, timeout=50, ok=False)
        print(r.stdout, end="")
        lib.check(r.returncode == 0 and r.stdout.count("ok - ") == 4, "replay failed")
        lib.tshark_clean(f"{folder}/second.pcap", allow_retransmissions=True)
        answers = lib.tshark(f"{folder}/second.pcap", "tcp.flags.syn == 1 && tcp.flags.ack == 1")
        lib.check(len([a for a in answers if "[SYN, ACK]" in a]) == 40, "\n".join(answers))
    print("ok - tshark finds every answer sound", flush=True)


if __name__ == "__main__":
    lib.main(test)
