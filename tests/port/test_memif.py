#!/usr/bin/env python3
"""TCP between two processes over net_memif: an echo server and a client on Tern, each checking every byte; two cores on
one ring, large segments; then either end leaves first and the other must live on; and all of it without root.

usage: test_memif.py <path of tern>
"""
# limit: 240
import contextlib
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time

import lib

BUILD = pathlib.Path(sys.argv[1]).parent.parent
CALLER = BUILD / "tests" / "port" / "caller"
SERVER_IP, CLIENT_IP = "10.99.8.2", "10.99.8.3"


def port(role, folder, **more):
    arguments = {"role": role, "socket": f"{folder}/memif.sock", "socket-abstract": "no",
                 "mac": "02:00:00:00:00:02" if role == "server" else "02:00:00:00:00:03", **more}
    return "net_memif0," + ",".join(f"{k}={v}" for k, v in arguments.items())


@contextlib.contextmanager
def serving(folder, *options):
    with lib.program(None, sys.argv[1], "server", "--mode", "echo", "--listen", "7", "--port", port("server", folder),
                     "--ip", f"{SERVER_IP}/24", "--drain", "1s", *options) as tern:
        tern.wait_for("ready")
        yield tern


def call(folder, *options, ok=True):
    return lib.run(CALLER, "--port", port("client", folder), "--ip", f"{CLIENT_IP}/24", "--to", f"{SERVER_IP}:7",
                   *options, timeout=50, ok=ok)


def end(tern):
    tern.process.send_signal(signal.SIGTERM)
    code = tern.process.wait(10)
    out = tern.output()
    lib.check(code == 0 and "packets not given back: 0\n" in out, f"the server's exit is {code}:\n{out}")
    return {n: int(v) for n, v in re.findall(r"^  (\w+) +(\d+)$", out, re.M)}


def speak(name, count, size, *options):
    with tempfile.TemporaryDirectory(prefix="tern-memif-") as folder, serving(folder, *options) as tern:
        out = call(folder, "--count", count, "--bytes", size, *options)
        lib.check(f"good {count} bad 0" in out and "packets not given back: 0\n" in out, out)
        counters = end(tern)
        lib.check(counters["accepted"] == count, f"{counters}")
    print(f"ok - {name}", flush=True)


def ends_leave():
    with tempfile.TemporaryDirectory(prefix="tern-memif-") as folder:
        with serving(folder) as tern:
            for _ in range(2):  # the client goes; another comes to the same server
                out = call(folder, "--count", 20)
                lib.check("good 20 bad 0" in out, out)
            with lib.program(None, CALLER, "--port", port("client", folder), "--ip", f"{CLIENT_IP}/24", "--to",
                             f"{SERVER_IP}:7", "--count", 1, "--bytes", 2_000_000_000) as caller:
                caller.wait_for("ready")
                time.sleep(1)
                end(tern)  # in the middle of a transfer
                time.sleep(0.5)
                if caller.process.poll() is None:  # the server's last word, a reset, may have come through or not
                    caller.process.send_signal(signal.SIGTERM)
                code = caller.process.wait(10)
                lib.check(code == 1, f"the client's exit is {code}:\n{caller.output()}")
                lib.check("packets not given back: 0\n" in caller.output(), caller.output())
        with serving(folder) as tern:  # and the client, without a word
            for _ in range(3):
                with lib.program(None, CALLER, "--port", port("client", folder), "--ip", f"{CLIENT_IP}/24", "--to",
                                 f"{SERVER_IP}:7", "--count", 1000, "--bytes", 20_000_000) as caller:
                    caller.wait_for("ready")
                    time.sleep(0.7)
                    caller.process.kill()
                    caller.process.wait()
                time.sleep(0.2)
                lib.check(tern.process.poll() is None, f"the server died with its client:\n{tern.output()}")
            out = call(folder, "--count", 20)
            lib.check("good 20 bad 0" in out, out)
            end(tern)
    print("ok - either end may leave, in a transfer too", flush=True)


def without_root():
    """A port of shared memory needs no privilege: both ends as nobody, whose own copies of the programs they are, since he may
    not be able to look into where they were built."""
    with tempfile.TemporaryDirectory(prefix="tern-memif-") as folder:
        os.chmod(folder, 0o777)
        tern, caller = (shutil.copy(p, folder) for p in (sys.argv[1], CALLER))
        nobody = ["setpriv", "--reuid", 65534, "--regid", 65534, "--clear-groups"]
        with lib.program(None, *nobody, tern, "server", "--mode", "echo", "--listen", "7", "--port", port("server", folder),
                         "--ip", f"{SERVER_IP}/24", "--drain", "1s") as server:
            server.wait_for("ready")
            with open(f"/proc/{server.process.pid}/status") as status:
                lib.check("Uid:\t65534\t65534\t" in status.read(), "the server is not nobody's")
            out = lib.run(*nobody, caller, "--port", port("client", folder), "--ip", f"{CLIENT_IP}/24", "--to", f"{SERVER_IP}:7",
                          "--count", 50, "--bytes", 20_000, timeout=50)
            lib.check("good 50 bad 0" in out and "packets not given back: 0\n" in out, out)
            end(server)
    print("ok - both ends as nobody: 50 connections of 20,000 bytes", flush=True)


def refused_as_the_driver_would_fail():
    with tempfile.TemporaryDirectory(prefix="tern-memif-") as folder:
        for more, options, why in (({"zero-copy": "yes"}, (), "zero-copy=yes needs huge pages"),
                                   ({"bsize": 256}, (), "a buffer of 256 bytes (bsize) holds no frame of 1514,"),
                                   ({"bsize": 593}, ("--mtu", 576, "--vlan", 7), "a buffer of 593 bytes (bsize) holds no")):
            out = lib.run(sys.argv[1], "server", "--port", port("client", folder, **more), "--huge-pages", "off", *options,
                          "--ip", f"{SERVER_IP}/24", "--listen", "7", ok=False)
            lib.check(out.returncode == 2 and f"--port: {why}" in out.stdout, out.stdout)
        out = lib.run(sys.argv[1], "server", "--port", port("client", folder), "--huge-pages", "off", "--ip", f"{SERVER_IP}/24",
                      "--listen", "7", ok=False)
        lib.check(out.returncode == 2 and "nobody answers at its socket yet: start the end with role=server first" in out.stdout, out.stdout)
    print("ok - zero-copy without huge pages, buffers that hold no frame, a client before its server: one line, exit 2", flush=True)


def test():
    lib.need("setpriv")
    speak("200 connections of 1000 bytes", 200, 1000)
    speak("4 connections of 3 MB", 4, 3_000_000)
    speak("two cores at each end", 200, 20_000, "--cores", "0,1")
    ends_leave()
    without_root()
    refused_as_the_driver_would_fail()


if __name__ == "__main__":
    lib.main(test, 240)
