#!/usr/bin/env python3
# limit: 120
"""`tern client` against servers that are not its own: nginx on the kernel's stack over net_tap and net_af_packet, IPv4 and IPv6,
many sources, keep-alive, every way to close, two cores; `tern server` over net_memif in a process of its own; and the ways in
which a server cannot be reached, each one line and exit 2.

usage: test_client.py <path of tern>
"""
import json
import re
import subprocess
import sys
import tempfile

import lib
from client import KERNEL, KERNEL6, ROOT, TERN, TERN6, BODY, checked, client, nginx, ok, over_veth


def run(far, what, *words):
    return over_veth(far, what, *words)["summary"]


def against_nginx():
    with lib.namespace("clit") as far, lib.namespace("clik") as near, \
         lib.veth(far, near, kernel_addresses=[f"{KERNEL}/24", f"{KERNEL6}/64"]), nginx(near):
        web = ("--target", f"{KERNEL}:80", "--payload", "http", "--verify")
        for closer in ("client", "server", "reset"):
            s = run(far, closer, *web, "--close", closer)
            lib.check(s["requests"] == s["connections"]["completed"], f"{closer}: {s['requests']}")
            # Who never closes first needs hardly a record of TIME-WAIT.
            records = s["memory"]["reserved"]["client TIME-WAIT"]
            lib.check((records > 1 << 20) == (closer == "client"), f"{closer}: {records} bytes for TIME-WAIT")
            lib.check(s["response_bytes"] > s["requests"] * len(BODY), f"{closer}: {s['response_bytes']} bytes")
        ok("nginx over net_af_packet: none failed, whoever closes, every page compared")
        # nginx ends a connection after 7 requests, and says so: the client then opens another.
        s = run(far, "keep-alive", *web, "--requests-per-connection", "0", "--concurrency", "10")
        lib.check(s["requests"] > 6 * s["connections"]["completed"] - 70 and s["connections"]["completed"] > 10, f"{s['requests']}")
        ok("keep-alive until nginx says close")
        s = run(far, "IPv6", "--target", f"[{KERNEL6}]:80", "--payload", "http", "--verify", "--cps", "200", "--connections", "100")
        lib.check(not s["closed_loop"] and s["requests"] == 100, f"{s['requests']}")
        ok("IPv6, paced")
        s = run(far, "sources", *web, "--sources", "10.99.9.128/26", "--source-ports", "5000-5003", "--connections", "256")
        lib.check(s["connections"]["completed"] == 256, f"{s['connections']}")
        seen = near.run("ss", "-Htan", "state", "time-wait", "dst", "10.99.9.128/26").split("\n")
        lib.check(len(seen) < 5, f"the client closes first, yet nginx has {len(seen)} in TIME-WAIT")
        ok("256 connections from 64 addresses with four ports each")
        seeds = []
        for run_number in (1, 2):  # each leaves its pairs in nginx's TIME-WAIT: the next takes others
            r = over_veth(far, "again", *web, "--sources", "10.99.9.100/32", "--close", "server", "--connections", "400")
            seeds.append(r["config"]["seed"])
        s = r["summary"]
        lib.check(seeds[0] != seeds[1] and s["packets"]["retransmitted"]["syn"] < 40, f"{seeds} {s['packets']}")
        r = over_veth(far, "by seed", *web, "--seed", "7", "--connections", "5")
        lib.check(r["config"]["seed"] == "7", f"{r['config']}")
        ok("a second run at once meets hardly any of the first one's TIME-WAIT")
        for held, all_of_them in ((5, 12), (5, 3)):
            s = run(far, "held, and counted", *web, "--concurrency", held, "--connections", all_of_them)
            lib.check(s["connections"]["completed"] == all_of_them, f"{s['connections']}")
        ok("--concurrency with --connections: those held last are asked once no more are opened")
        s = run(far, "two cores", *web, "--cores", "0,1", "--sources", "10.99.9.128/26", "--in-progress", "32")
        lib.check(len(s["cores"]) == 2 and all(c["completed"] > 0 for c in s["cores"]), f"{s['cores']}")
        ok("two cores, each with connections of its own")
        cannot(near, far)
        wrong_sums(near, far)
        device_dies(far)


def wrong_sums(near, far):
    """The kernel's end leaves checksums to hardware that a veth does not have: the commonest mistake of all is told with its cure."""
    near.run("ethtool", "-K", "peer0", "tx", "on")
    line = refused(client("--port", "net_af_packet0,iface=tern0", "--ip", f"{TERN}/24", "--quiet", "--target", f"{KERNEL}:80"), far, 40)
    lib.check("checksums" in line and "ethtool" in line, line)
    near.run("ethtool", "-K", "peer0", "tx", "off")
    ok("a peer whose checksums are left to hardware: one line with the cure, exit 2")


def device_dies(far):
    """The port goes away in the middle of a run: what was counted until then is told, and the run is a failure."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report, \
         lib.program(far, *client("--port", "net_af_packet0,iface=tern0", "--ip", f"{TERN}/24", "--target", f"{KERNEL}:80", "--payload",
                                  "http", "--verify", "--cps", "100", "--duration", "100s", "--json", report.name)) as p:
        p.wait_for("ready")
        lib.wait_until(lambda: len(re.findall(r"^ *\d+\.\ds +[1-9]", p.output(), re.M)) >= 2, "two lines of results", 20)
        far.ip("link", "del", "tern0")
        code = p.process.wait(40)
        out = p.output()
        lib.check(code == 1 and "lost its link" in out, f"exit {code}:\n{out}")
        lib.run(sys.executable, ROOT / "tests/support/check_report.py", report.name, timeout=20)
        s = json.load(open(report.name))["summary"]
        lib.check(s["connections"]["completed"] > 50 and f"{s['connections']['completed']:,}" in out, out)
    ok("the device dies in the middle: the results so far, exit 1")


def refused(words, far=None, timeout=20):
    command = far.command(*words) if far else words
    r = subprocess.run([str(w) for w in command], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    lines = r.stderr.strip().splitlines()
    lib.check(r.returncode == 2 and len(lines) == 1 and lines[0].startswith("--"), f"{words}: {r}")
    return lines[0]


def told_by_a_router(port, near, far):
    """The kernel forwards, and answers by ICMP for whom it has no way to."""
    near.write("net.ipv4.ip_forward", 1)
    near.write("net.ipv4.icmp_ratelimit", 0)
    near.ip("route", "add", "prohibit", "11.2.0.0/16")
    beyond = ("--gateway", KERNEL)
    for target in ("11.1.1.1:80", "11.2.1.1:80"):  # no network, a firewall's word
        line = refused(client(*port, *beyond, "--target", target, "--cps", "20"), far)
        lib.check(line.startswith(f"--target: {target} unreachable: ") and "refused" not in line and "--gateway" in line, line)
    some = [w for t in (f"{KERNEL}:80", f"{KERNEL}:81", "11.1.1.1:80") for w in ("--target", t)]
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        out = far.run(*client(*port, *beyond, *some, "--payload", "http", "--connections", "9", "--json", report.name), timeout=40)
        lib.run(sys.executable, ROOT / "tests/support/check_report.py", report.name, timeout=20)
        s = json.load(open(report.name))["summary"]
        c = s["connections"]
    lib.check((c["completed"], c["failed"]["refused"], c["failed"]["unreachable"], c["failed"]["total"]) == (3, 3, 3, 6), f"{c}")
    lib.check(any(n.startswith("11.1.1.1:80: no connection was established, 3 failed: a router") for n in s["notes"]), f"{s['notes']}")
    lib.check(re.search(r"unreachable +3", out), out)
    ok("a router says by ICMP that the target cannot be reached: told and counted as that")


def cannot(near, far):
    port = ("--port", "net_af_packet0,iface=tern0", "--ip", f"{TERN}/24", "--quiet")
    for target, why in ((f"{KERNEL}:81", "refused"), ("10.99.9.77:80", "ARP"), ("10.1.2.3:80", "--gateway")):
        line = refused(client(*port, "--target", target), far)
        lib.check(line.startswith("--target: ") and why in line, line)
    told_by_a_router(port, near, far)
    line = refused(client(*port, "--target", f"{KERNEL}:81", "--target", f"{KERNEL}:83"), far)
    lib.check("any of 2 targets" in line and "refused" in line, line)
    some = [w for t in (f"{KERNEL}:81", "10.99.9.77:80", f"{KERNEL}:80") for w in ("--target", t)] # closed, nobody, nginx
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        far.run(*client(*port, *some, "--payload", "http", "--connections", "9", "--timeout", "2s", "--json", report.name), timeout=40)
        s = json.load(open(report.name))["summary"]
        c = s["connections"]
    lib.check((c["completed"], c["failed"]["refused"], c["failed"]["connect_timeout"]) == (3, 3, 3), f"{c}")
    lib.check(any(n.startswith(f"{KERNEL}:81: no connection was established, 3 failed: they were refused") for n in s["notes"]), f"{s['notes']}")
    lib.check(any(n.startswith("10.99.9.77:80: no connection was established, 3 failed: ") for n in s["notes"]), f"{s['notes']}")
    few = ("--target", f"{KERNEL}:80", "--source-ports", "1024-1033")
    lib.check("1 sources x 10 ports" in refused(client(*port, *few)), "sources")
    lib.check("TIME-WAIT" in refused(client(*port, "--target", f"{KERNEL}:80", "--cps", "100k")), "time wait")
    lib.check("broadcast" in refused(client(*port, "--target", f"{KERNEL}:80", "--sources", "10.99.9.128/25")), "broadcast")
    held = ("--target", f"{KERNEL}:80", "--sources", "10.99.9.128/26")
    lib.check("10.99.9.140, the router" in refused(client(*port, *held, "--gateway", "10.99.9.140")), "router")
    lib.check("overlap; name each" in refused(client(*port, *held, "--sources", "10.99.9.140/31")), "overlap")
    lib.check("no target" in refused(client(*port)), "target")
    own = ("--sources", "10.99.9.128/26", "--target")
    for target in (f"{TERN}:80", "10.99.9.130:80", "10.99.9.128/25:80"):
        line = refused(client(*port, *own, target))
        lib.check(line.startswith("--target: ") and "our own" in line, line)
    for device, why in (("net_af_packet0,iface=nosuch", "no interface nosuch"), ("nonsense0", "failed to parse"),
                        ("0000:99:00.0", "vfio-pci")):
        line = refused(client("--port", device, *port[2:], "--target", f"{KERNEL}:80"), far)
        lib.check(line.startswith(f"--port: {device}: ") and why in line, line)
    line = refused(client(*port, "--target", f"{KERNEL}:80", "--huge-pages", "on", "--packet-memory", "60G"), far)
    lib.check(line.startswith("--huge-pages: ") and "nr_hugepages" in line, line)
    lib.check("not an address" in refused(client(*port, "--target", KERNEL)), "target without port")
    ok("closed port, no ARP, no way, ourselves, too few sources, no such device: one line, exit 2")


def over_tap():
    with lib.namespace("clitap") as ns, nginx(ns), tempfile.NamedTemporaryFile(suffix=".json") as report:
        with lib.program(ns, *client("--port", "net_tap0,iface=tern0", "--ip", f"{TERN}/24", "--target", f"{KERNEL}:80",
                                     "--payload", "http", "--verify", "--duration", "2s", "--json", report.name)) as p:
            p.wait_for("ready")
            lib.bare(ns, "tern0")
            lib.no_offloads(ns, "tern0")
            lib.give_addresses(ns, "tern0", [f"{KERNEL}/24"])
            code = p.process.wait(30)
            lib.check(code == 0, f"exit {code}:\n{p.output()}")
        checked(report.name, "net_tap")
    ok("nginx over net_tap")


def over_memif():
    with tempfile.TemporaryDirectory(prefix="tern-memif-") as folder, tempfile.NamedTemporaryFile(suffix=".json") as report:
        port = f"socket={folder}/memif.sock,socket-abstract=no"
        with lib.program(None, sys.argv[1], "server", "--port", f"net_memif0,role=server,{port}", "--ip", f"{TERN}/24",
                         "--mode", "respond", "--close", "server", "--gateway", KERNEL) as server:
            server.wait_for("ready")
            out = lib.run(*client("--port", f"net_memif0,role=client,{port}", "--ip", f"{KERNEL}/24", "--sources", "10.1.0.0/20",
                                  "--target", f"{TERN}:80", "--close", "server", "--verify", "--duration", "1s", "--json",
                                  report.name), timeout=40)
            s = checked(report.name, "net_memif")
            lib.check(s["requests"] == s["connections"]["completed"], out)
            lib.check(server.stop() == 0, server.output())
    ok(f"tern server over net_memif in another process: {s['cps']:.0f} connections a second, none failed")


def test():
    lib.need("ip", "nginx", "ethtool")
    against_nginx()
    over_tap()
    over_memif()


if __name__ == "__main__":
    lib.main(test, limit=115)
