#!/usr/bin/env python3
"""README's "A balanced service in five minutes", step by step as it is written there: its TOML, its commands, its default socket.

usage: test_lb_readme.py <path of tern>
"""
# limit: 60
import asyncio
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

import echo
import lib

README = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text()
TERN = os.path.abspath(sys.argv[1])
STEPS = README[README.index("## A balanced service in five minutes"):README.index("What happens when:")]


def quoted(beginning):
    """A command that the steps quote."""
    found = re.search(rf"`({re.escape(beginning)}[^`]*)`", STEPS)
    lib.check(found, f"README's steps no longer have `{beginning}…`")
    return found[1].split()


def tern(command, ok=0):
    lib.check(command[0] == "tern", f"{command}")
    r = subprocess.run([TERN, *command[1:]], capture_output=True, text=True, timeout=20)
    lib.check(r.returncode == ok, f"{' '.join(command)}: exit {r.returncode}\n{r.stdout}{r.stderr}")
    return r.stdout + r.stderr


def case(text):
    print(f"ok - {text}", flush=True)


def test():
    lib.need("ip", "ethtool", "curl")
    lib.run("mount", "-t", "tmpfs", "none", "/run")  # of this mount namespace alone: /run/tern-lb.sock is the real one's
    os.mkdir("/run/netns")
    toml = "\n".join(line[7:] for line in STEPS.splitlines() if line.startswith("       ")) + "\n"
    with tempfile.TemporaryDirectory(prefix="tern-readme-") as folder, \
         lib.namespace("readt") as far, lib.namespace("readn") as near:
        os.chdir(folder)
        pathlib.Path("lb.toml").write_text(toml)
        lib.check(tern(quoted("tern lb --check")) == "ok: 1 service, 2 backends\n", "step 2")
        pathlib.Path("lb.toml").write_text(toml.replace('name = "two"', 'nmae = "two"'))
        lib.check(re.match(r"lb.toml:\d+:1: 'nmae' is not known here; did you mean 'name'\?", tern(quoted("tern lb --check"), 2)), "a mistake")
        pathlib.Path("lb.toml").write_text(toml)
        case("step 2: --check, and a mistake with its line and column")

        lib.run("ip", "link", "add", "eth1", "netns", far.name, "type", "veth", "peer", "name", "eth0", "netns", near.name)
        lib.give_addresses(near, "eth0", [f"10.0.0.{i}/24" for i in (1, 11, 12)])
        far.run(*quoted("ip link set eth1 up"))
        near.run(*quoted("ethtool -K"), ok=False)
        with TwoServers(near), lib.program(far, TERN, *quoted("tern lb --config")[1:]) as p:
            p.wait_for("ready")
            def up():
                return [r["state"] for r in json.loads(tern([*quoted("tern ctl show backends"), "--json"]))["rows"]] == ["up"] * 2
            lib.wait_until(up, "both are up", 20, 0.2)
            seen = {near.run(*quoted("curl http"), "-sS", "--max-time", 5).strip() for _ in range(20)}
            lib.check(seen == {"10.0.0.11", "10.0.0.12"}, f"{seen}")
            help = tern(quoted("tern ctl --help"))
            lib.check(all(word in help for word in ("backend drain", "backend weight", "connections kill", "show memory", "cookie")), help)
            case("steps 3 and 4: both backends are up and answer")

            pathlib.Path("lb.toml").write_text(toml.replace('name = "one"', 'name = "one"\nweight = 5'))
            lib.check("backend web/one: weight 1 -> 5" in tern(quoted("tern ctl reload")), "step 5")
            pathlib.Path("lb.toml").write_text(toml)
            p.process.send_signal(signal.SIGHUP)
            p.wait_for("reloaded by SIGHUP: 1 service, 2 backends, 1 change\n")
            pathlib.Path("lb.toml").write_text(toml.replace("10.0.0.2/24", "10.0.0.3/24"))
            lib.check(re.search(r"lb.toml:\d+:\d+: service 'web' listens on 10.0.0.2, which is none of our addresses", tern(quoted("tern ctl reload"), 1)),
                      "a file with a mistake")
            pathlib.Path("lb.toml").write_text(toml.replace("[[service]]", "vlan = 7\n[[service]]"))
            lib.check("nothing changed; changed, and waiting for a restart: vlan" in tern(quoted("tern ctl reload")), "what waits is not named")
            case("step 5: reload by tern ctl and SIGHUP, a mistake, what waits for a restart")

            tern(quoted("tern ctl drain node"))
            lib.check(p.process.wait(20) == 0, f"step 6:\n{p.output()}")
            lib.check("the node is drained: no connection is left" in p.output(), p.output())
            case("step 6: drain node")
        os.chdir("/")


class TwoServers:
    """Two backends, each of which says its address."""
    def __init__(self, ns):
        self.world = echo.World(ns)

    def __enter__(self):
        async def answer(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            me = writer.get_extra_info("sockname")[0]
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(me)}\r\nConnection: close\r\n\r\n{me}".encode())
            await writer.drain()
            writer.close()

        async def start():
            for i in (11, 12):
                s = self.world.socket(f"10.0.0.{i}")
                s.bind((f"10.0.0.{i}", 80))
                s.listen(64)
                await asyncio.start_server(answer, sock=s)
        self.world.do(start())

    def __exit__(self, *_):
        self.world.end()


if __name__ == "__main__":
    lib.main(test, limit=58)
