#!/usr/bin/env python3
"""`tern ctl`, reloads and backends that flap while a thousand connections live on two cores: none is lost that should not
be, counters are exact.

usage: test_lb_ops.py <path of tern>
"""
# limit: 120
import collections
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import echo
import lb
import lib

N = 1000


class Operator:
    def __init__(self, socket):
        self.socket = socket

    def run(self, *words, ok=True):
        r = subprocess.run([sys.argv[1], "ctl", "--socket", self.socket, *map(str, words)], capture_output=True,
                           text=True, timeout=20)
        lib.check((r.returncode == 0) == ok, f"ctl {words}: exit {r.returncode}\n{r.stdout}{r.stderr}")
        return r.stdout + r.stderr

    def rows(self, *words):
        return json.loads(self.run("--json", *words))["rows"]

    def backends(self):
        return {r["backend"]: r for r in self.rows("show", "backends")}


def spread(clients):
    return dict(collections.Counter(c[0] if c else "failed" for c in clients))


def near(seen, wanted, slack):
    """Each core takes its own turns: with two of them a spread may be off by a turn or two."""
    return seen.keys() == wanted.keys() and all(abs(seen[k] - wanted[k]) <= slack for k in seen)


def case(text):
    print(f"ok - {text}", flush=True)


def config(backends, extra="", service=""):
    """backends: name -> (address, port, more lines)"""
    text = extra + f'[[service]]\nname = "web"\nlisten = ["*:80"]\nbalance = "weighted_round_robin"\n{service}\n'
    for name, (address, port, more) in backends.items():
        text += f'[[service.backend]]\nname = "{name}"\naddress = "{address}:{port}"\n{more}\n'
    return text


def test():
    three = {f"b{i}": (lb.backend_ip(i), 8080, "") for i in range(3)}
    with tempfile.TemporaryDirectory(prefix="tern-ops-") as folder:
        control = f"{folder}/control"
        with lb.over_veth(config(three), "--control", control, "--cores", "0,1", tag="ops") as b:
            world = echo.World(b.ns)
            try:
                for name, (address, port, _) in three.items():
                    world.serve(name, address, port)
                world.serve("b3", lb.backend_ip(0), 8081)
                operate(b, world, Operator(control), three)
            finally:
                world.end()


def operate(b, world, ctl, three):
    live = world.open(lb.TERN, N)
    lib.check(near(spread(live), {"b0": 333, "b1": 333, "b2": 333}, 3), f"spread {spread(live)}")
    shown = {k: v["connections"] for k, v in ctl.backends().items()}
    lib.check(shown == {f"web/{k}": v for k, v in spread(live).items()}, f"{shown} shown, {spread(live)} open")
    lib.check(len(ctl.rows("show", "connections", N * 2)) == N, "show connections does not show them all")
    used = sum(r["open"] for r in ctl.rows("show", "ports"))
    lib.check(used == N, f"show ports shows {used} in use")
    on = {r["core"]: r["pairs"] for r in ctl.rows("show", "cores")}
    lib.check(sum(on.values()) == N and min(on.values()) > N / 4, f"connections by core: {on}")
    case(f"{N} connections on two cores, spread and shown as they are")

    ctl.run("backend", "drain", "web/b0")
    lib.check(set(spread(world.open(lb.TERN, 20))) == {"b1", "b2"}, "a backend that drains got a new connection")
    ctl.run("backend", "weight", "web/b1", 3)
    more = world.open(lb.TERN, 40)
    lib.check(near(spread(more), {"b1": 30, "b2": 10}, 4), f"weights 3 to 1: {spread(more)}")
    ctl.run("backend", "ready", "web/b0")
    lib.check("b0" in spread(world.open(lb.TERN, 10)), "ready does not undo drain")
    lib.check(world.alive(live) == N, "a connection was lost by drain, weight or ready")
    case("drain, weight, ready: new connections follow, the old are untouched")

    four = {"b0": three["b0"], "b1": three["b1"], "b3": (lb.backend_ip(0), 8081, "weight = 2")}
    b.path.write_text(config(four))
    b.program.process.send_signal(signal.SIGHUP)
    b.program.wait_for("backend web/b3: added, by reload")
    b.program.wait_for("backend web/b2: removed, by reload")
    b.program.wait_for("reloaded by SIGHUP: 1 service, 3 backends")
    more = world.open(lb.TERN, 40)
    lib.check(near(spread(more), {"b0": 10, "b1": 10, "b3": 20}, 4), f"after the reload: {spread(more)}")
    lib.check(world.alive(live) == N, "a reload lost a connection")
    lib.check(ctl.backends()["web/b2"]["state"] == "removed", "what was removed is not shown with its connections")
    case("a reload by SIGHUP: new connections follow it, the old stay where they are")

    good = b.path.read_text()
    b.path.write_text(good + '\n[[service.backend]]\naddress = "nowhere"\n')
    line = b.path.read_text().splitlines().index('address = "nowhere"') + 1
    said = ctl.run("reload", ok=False)
    lib.check(f"{b.path}:{line}:11: 'nowhere' is not an address" in said and "nothing changed" in said, said)
    lib.check(spread(world.open(lb.TERN, 4)).get("failed") is None and world.alive(live) == N, "a bad file did harm")
    b.path.write_text(good)
    lib.check("nothing changed" in ctl.run("reload"), "a file that is as it was changed something")
    b.path.write_text(good.replace("*:80", "*:81"))
    ctl.run("reload")
    lib.wait_until(lambda: world.open(lb.TERN, 1) == [None], "port 80 is closed")
    lib.check(None not in world.open(lb.TERN, 4, port=81), "the new port is not open")
    lib.check(world.alive(live) == N, "another port lost a connection")
    b.path.write_text(good)
    ctl.run("reload")
    case("a bad file changes nothing and says line and column; ports may move under connections")

    live = flaps(b, world, ctl, four, live)
    limits(b, world, ctl, good)

    killed = int(ctl.run("connections", "kill", "web/b0").split()[0])
    of_b0 = [c for c in live if c[0] == "b0"]
    rest = [c for c in live if c[0] != "b0"]
    lib.check(world.alive(of_b0) == 0 and world.alive(rest) == len(rest), "kill took others, or not all")
    case("connections kill resets those of one backend, and no other")

    ctl.run("backend", "add", "web/b4", f"{lb.backend_ip(1)}:9", "weight=5")  # nobody listens there
    more = world.open(lb.TERN, 30)
    lib.check("failed" not in spread(more) and "b4" not in spread(more), f"a backend that refuses: {spread(more)}")
    lib.check(ctl.backends()["web/b4"]["failed"] > 0, "its failures are not counted")
    ctl.run("backend", "remove", "web/b4")
    lib.wait_until(lambda: "web/b4" not in ctl.backends(), "a removed backend without connections goes")
    for words in (["backend", "drain", "web/nobody"], ["backend", "drian", "web/b0"], ["backend", "weight", "web/b0"],
                  ["backend", "weight", "web/b0", 5000], ["backend", "add", "web/b0", "10.0.0.1:1"], ["show", "all"]):
        ctl.run(*words, ok=False)
    for what in ("services", "cores", "ports", "memory", "cookies"):
        lib.check(ctl.rows("show", what), f"show {what} shows nothing")
    ctl.run("cookie", "rotate")
    case("add, remove, mistakes, and everything that can be shown")

    accepted = sum(r["accepted"] for r in ctl.rows("show", "cores"))
    ctl.run("drain", "node")
    lib.wait_until(lambda: world.open(lb.TERN, 1) == [None], "a node that drains accepts nothing")
    lib.check(world.alive(rest) == len(rest), "drain node lost a connection")
    world.close_all()
    try:
        code = b.program.process.wait(30)
    except subprocess.TimeoutExpired:
        raise lib.Failed("the node is not empty:\n" + ctl.run("show", "connections", 20) + ctl.run("show", "memory"))
    out = b.program.output()
    lib.check(code == 0 and "packets not given back: 0\n" in out, f"exit {code}:\n{out[-3000:]}")
    lib.check("the node is drained: no connection is left" in out, "it ended before it was empty")
    counters = {}
    for line in out.splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isdigit():
            counters.setdefault(words[0], int(words[1]))
    ended = sum(v for k, v in counters.items() if k.startswith("ended_"))
    lib.check(counters["accepted"] == ended == accepted, f"{accepted} shown, {counters}")
    lib.check(counters["ended_killed"] == killed + 20 and killed >= len(of_b0), f"{killed} killed, {counters}")  # 20: limits()
    case("drain node: the last connection ends it; every connection is in exactly one counter")


def flaps(b, world, ctl, four, live):
    """b1 dies and comes back, three times: what was open on it is lost with it, nothing else, and none is sent there
    while it is down."""
    checked = '[service.health]\ncheck = "tcp"\ninterval = "200ms"\ntimeout = "200ms"\nrise = 1\nfall = 1'
    b.path.write_text(config(four, service=checked))
    ctl.run("reload")
    lib.wait_until(lambda: ctl.backends()["web/b1"]["why"] == "check passed", "b1 is checked")
    rest = [c for c in live if c[0] != "b1"]
    before = sum(r.get("ended_backend", 0) for r in ctl.rows("show", "cores"))
    on_b1 = ctl.backends()["web/b1"]["connections"]
    for i in range(1, 4):
        world.die("b1")
        lib.wait_until(lambda: b.program.output().count("backend web/b1 is down") == i, "b1 is seen to be down")
        new = world.open(lb.TERN, 12)
        lib.check(not {"b1", "failed"} & spread(new).keys(), f"while b1 is down: {spread(new)}")
        world.serve("b1", *four["b1"][:2])
        lib.wait_until(lambda: b.program.output().count("backend web/b1 is up") == i, "b1 is seen to be up")
    lib.check("b1" in spread(world.open(lb.TERN, 12)), "b1 has no share again")
    lib.check(world.alive(rest) == len(rest), "a backend that flaps took connections of others with it")
    lost = sum(r.get("ended_backend", 0) for r in ctl.rows("show", "cores")) - before
    lib.check(lost == on_b1, f"{lost} ended by their backend, {on_b1} were open there")
    b.path.write_text(config(four))
    ctl.run("reload")
    case("a backend that dies and comes back three times takes its own connections with it, and no other")
    return rest


def limits(b, world, ctl, good):
    """A service's limit is one number for all ports and cores; taken away, its connections are given `drain`."""
    few = ('[[service]]\nname = "few"\nlisten = ["*:82", "*:83"]\nmax_connections = 20\n'
           f'timeouts = {{ drain = "500ms" }}\n[[service.backend]]\nname = "b0"\naddress = "{lb.backend_ip(0)}:8080"\n')
    b.path.write_text(good + few)
    ctl.run("reload")
    inside = [world.open(lb.TERN, 1, port=82 + i % 2)[0] for i in range(20)]
    lib.check(None not in inside, f"fewer than the limit were let in: {spread(inside)}, {ctl.rows('show', 'cores')}")
    row = {r["service"]: r for r in ctl.rows("show", "services")}["few"]
    lib.check(row["connections"] == row["limit"] == 20, f"{row}")
    lib.check(world.open(lb.TERN, 2, port=82, patience=1) + world.open(lb.TERN, 2, port=83, patience=1) == [None] * 4,
              "more than the limit were let in")
    b.path.write_text(good)
    ctl.run("reload")
    lib.wait_until(lambda: "few" not in {r["service"] for r in ctl.rows("show", "services")}, "a service that is gone ends")
    lib.check(world.alive(inside) == 0, "connections of a service that is gone outlived its drain time")
    lib.check("few/b0 of a service that was removed: 20 connections reset" in b.program.output(), "not in the log")
    case("a service's limit holds over its ports and cores; what a reload took away is given its drain time")


if __name__ == "__main__":
    lib.main(test, limit=110)
