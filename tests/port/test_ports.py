#!/usr/bin/env python3
# limit: 120
"""Several ports in one process. `tern server` on two veth links serves the kernels at both; `tern client` on two asks nginx at
both, each port those that it leads to; reports hold the sum and each core. Then what goes wrong on one of two ports.

usage: test_ports.py <path of tern>
"""
import contextlib
import json
import re
import subprocess
import sys
import tempfile

import client
import lib
import server
from client import ok

# Of link n: ours and the kernel's.
OURS = ("10.99.21.2", "10.99.22.2")
KERNELS = ("10.99.21.1", "10.99.22.1")
PORTS = tuple(word for n in (1, 2) for word in
              ("--port", f"net_af_packet{n},iface=tern{n}", "--ip", f"{OURS[n - 1]}/24@{n}"))
FAR = [word for k in KERNELS for word in ("--target", f"{k}:80")]


@contextlib.contextmanager
def two_links():
    """Tern's namespace with the ends of two veths, and the kernels at the others."""
    with lib.namespace("far") as far, lib.namespace("one") as one, lib.namespace("two") as two, \
         lib.veth(far, one, "tern1", "peer1", [f"{KERNELS[0]}/24"]), lib.veth(far, two, "tern2", "peer2", [f"{KERNELS[1]}/24"]):
        yield far, (one, two)


def passive_opens(ns):
    """Connections that this kernel has accepted."""
    names, values = [line.split() for line in ns.run("cat", "/proc/net/snmp").splitlines() if line.startswith("Tcp:")]
    return dict(zip(names, values))["PassiveOpens"]


def report_of(path):
    lib.run(sys.executable, client.ROOT / "tests/support/check_report.py", path, timeout=20)
    with open(path) as f:
        return json.load(f)


def serves_both(cores):
    with two_links() as (far, kernels), tempfile.NamedTemporaryFile(suffix=".json") as file:
        with lib.program(far, sys.argv[1], "server", *PORTS, *cores, "--response-size", "100", "--interval", "300ms", "--drain",
                         "200ms", "--json", file.name, "--control", f"{file.name}.sock") as p:
            p.wait_for("ready")
            for _ in range(5):
                for ns, to in zip(kernels, OURS):
                    text, page, _ = server.curl(ns, f"http://{to}/")
                    lib.check(page == server.body(100), f"{to}: {text}")
            with server.inside(kernels[1]), server.connect(to=OURS[1]):
                rows = lib.run(sys.argv[1], "ss", "--socket", f"{file.name}.sock")
                lib.check(OURS[1] in rows, f"tern ss does not know the second port's:\n{rows}")
            server.Server(p, None, None).finish()
            out = p.output()
        r = report_of(file.name)
    s = r["summary"]
    lib.check(s["connections"]["established"] == 11 and s["connections"]["completed"] == 11, f"{s['connections']}")
    each = [core["established"] for core in s["cores"]]
    # CPUs are dealt out in turn; the report goes port by port.
    of_first = 2 if cores and len(cores[1].split(",")) == 3 else 1
    lib.check((sum(each[:of_first]), sum(each[of_first:])) == (5, 6), f"{each}")
    lib.check([core["core"] for core in s["cores"]] == [0, 1, 1][:3 if of_first == 2 else 2] or not cores, f"{s['cores']}")
    lib.check(r["config"]["port"] == "net_af_packet1,iface=tern1 net_af_packet2,iface=tern2", r["config"]["port"])
    lib.check(r["config"]["ip"] == f"{OURS[0]}/24@1,{OURS[1]}/24@2", r["config"]["ip"])
    lib.check("port 1: " in out and "port 2: ready" in out, out)
    lib.check(re.findall(r"^  of (port . core .)$", out, re.M)[-1] == "port 2 core 0", out)  # their counters


def asks_both(far, kernels):
    before = [int(passive_opens(ns)) for ns in kernels]
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        far.run(*client.client(*PORTS, *FAR, "--cores", "0,1", "--payload", "http", "--verify", "--cps", "200", "--connections", "200",
                               "--quiet", "--json", file.name), timeout=40)
        s = client.sound(file.name, "two ports")["summary"]
    each = [core["completed"] for core in s["cores"]]
    kernel = [int(passive_opens(ns)) - n for ns, n in zip(kernels, before)]
    lib.check(len(each) == 2 and each == kernel and sum(each) == s["connections"]["completed"], f"{each} {kernel}")
    lib.check(each == [100, 100], f"not half of it each: {each}")
    ok("tern client on two ports asks two kernels: none failed, half on each, as the kernels count")


def one_of_two(far):
    """A second port whose target is not there; one that goes away in the middle."""
    words = client.client(*PORTS, "--target", f"{KERNELS[0]}:80", "--target", "10.99.22.77:80", "--payload", "http", "--quiet")
    r = subprocess.run(far.command(*words), capture_output=True, text=True, timeout=40)
    lib.check(r.returncode == 2 and re.fullmatch(r"--target: port 2: nobody answers ARP .+ 10.99.22.77:80; .+\n", r.stderr), f"{r}")
    ok("a target that one of the ports cannot reach: one line that names the port, exit 2")
    with lib.program(far, *client.client(*PORTS, *FAR, "--payload", "http", "--cps", "100", "--duration", "100s", "--interval",
                                         "200ms")) as p:
        p.wait_for("port 2: ready")
        lib.wait_until(lambda: len(re.findall(r"^ *\d+\.\ds +[1-9]", p.output(), re.M)) >= 2, "two lines of results", 20)
        far.ip("link", "set", "tern2", "down")
        code = p.process.wait(40)
        lib.check(code == 1 and "Ended early: since port 2 lost its link" in p.output(), f"exit {code}:\n{p.output()}")
        far.ip("link", "set", "tern2", "up")
    ok("tern client, one of two links goes down in the middle: the results so far, exit 1")


def server_loses_one(far, kernels):
    with tempfile.NamedTemporaryFile(suffix=".json") as file, \
         lib.program(far, sys.argv[1], "server", *PORTS, "--drain", "200ms", "--json", file.name) as p:
        p.wait_for("ready")
        server.curl(kernels[0], f"http://{OURS[0]}/")
        kernels[1].ip("link", "set", "peer2", "down")
        p.wait_for("link of port 2 down")
        server.curl(kernels[0], f"http://{OURS[0]}/")  # a link may come back: the rest goes on
        far.ip("link", "del", "tern2")
        code = p.process.wait(20)
        lib.check(code == 1 and "Ended early: since the device of port 2 is gone" in p.output(), f"exit {code}:\n{p.output()}")
        c = report_of(file.name)["summary"]["connections"]
        lib.check(c["completed"] == 2, f"{c}")
    ok("tern server, the device of one of two ports is taken away: the results so far, exit 1; a link that is down is no end")


def test():
    lib.need("nginx", "curl")
    for cores in ((), ("--cores", "0,1,1")):
        serves_both(cores)
    ok("tern server on two ports serves both links, with a core each, or three")
    with two_links() as (far, kernels):
        with contextlib.ExitStack() as nginxes:
            for ns in kernels:
                nginxes.enter_context(client.nginx(ns))
            asks_both(far, kernels)
            one_of_two(far)
        server_loses_one(far, kernels)


if __name__ == "__main__":
    lib.main(test)
