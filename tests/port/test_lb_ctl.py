#!/usr/bin/env python3
"""Every command of `tern ctl`, as text and as JSON, with arguments that are well and with others; then clients of the control
socket that say nothing, too much, half of it, or leave: connections go on meanwhile, and the operator is answered.

usage: test_lb_ctl.py <path of tern>
"""
# limit: 120
import contextlib
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

import echo
import lb
import lib
import server

N = 60
HUGE = 10**30


def case(text):
    print(f"ok - {text}", flush=True)


class Ctl:
    def __init__(self, path):
        self.path = path

    def run(self, *words, text=None):
        """Exit code, and all that was said."""
        r = subprocess.run([sys.argv[1], "ctl", "--socket", self.path, *map(str, words)], capture_output=True, text=True,
                           timeout=60)
        return r.returncode, r.stdout + r.stderr

    def well(self, *words):
        """The same question as text and as JSON; its rows."""
        code, said = self.run(*words)
        lib.check(code == 0 and said and not said.startswith("error"), f"ctl {words}: exit {code}, {said!r}")
        code, said = self.run("--json", *words)
        answer = json.loads(said)
        lib.check(code == 0 and answer["ok"] is True, f"ctl --json {words}: exit {code}, {said!r}")
        return answer.get("rows", [])

    def wrong(self, words, says):
        code, said = self.run(*words)
        lib.check(code == 1 and re.fullmatch(f"error: {says}\n", said), f"ctl {words}: exit {code}, {said!r}\nexpected {says!r}")
        code, said = self.run("--json", *words)
        answer = json.loads(said)
        lib.check(code == 1 and answer["ok"] is False and re.fullmatch(says, answer["message"]),
                  f"ctl --json {words}: exit {code}, {said!r}")

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.path)  # before the time-out: with one it would not wait for a place in the queue
        s.settimeout(30)
        return s

    def raw(self, data):
        """What the socket answers to these bytes."""
        with contextlib.closing(self.connect()) as s:
            with contextlib.suppress(OSError):  # hung up on before the last of it
                s.sendall(data)
            got = bytearray()
            with contextlib.suppress(ConnectionError):
                while piece := s.recv(1 << 16):
                    got += piece
            return bytes(got)


def test():
    config = lb.config([f"{lb.backend_ip(i)}:8080" for i in range(3)], 'balance = "weighted_round_robin"')
    config += f'[[service]]\nname = "more"\nlisten = ["*:81-83"]\n[[service.backend]]\nname = "b0"\naddress = "{lb.backend_ip(0)}:8080"\n'
    with tempfile.TemporaryDirectory(prefix="tern-ctl-") as folder:
        control = f"{folder}/control"
        with lb.over_veth(config, "--control", control, "--syn-cookies", "always", "--time-wait", "1s", tag="ctl") as b:
            world = echo.World(b.ns)
            try:
                for i in range(3):
                    world.serve(f"b{i}", lb.backend_ip(i), 8080)
                ctl = Ctl(control)
                live = world.open(lb.TERN, N)
                lib.check(None not in live, f"of {N} clients {live.count(None)} were not let in")
                shows(ctl, world)
                mistakes(ctl)
                commands(ctl, world, live)
                hostile(ctl, world)
            finally:
                world.end()
            b.finish()


def shows(ctl, world):
    def keys(rows, *wanted):
        lib.check(rows and set(wanted) <= set(rows[0]), f"{wanted} are not all in {rows[:1]}")
        return rows

    rows = keys(ctl.well("show", "services"), "service", "state", "listen", "balance", "backends", "connections", "limit", "accepted")
    lib.check([(r["service"], r["connections"], r["accepted"], r["backends"]) for r in rows] ==
              [("web", N, N, "3/3"), ("more", 0, 0, "1/1")], f"{rows}")
    rows = keys(ctl.well("show", "backends"), "backend", "state", "address", "weight", "of_weight", "backup", "connections", "connected", "why")
    lib.check([r["backend"] for r in rows] == ["web/b0", "web/b1", "web/b2", "more/b0"], f"{rows}")
    lib.check([r["connections"] for r in ctl.well("show", "backends", "web")] == [N // 3] * 3, f"{rows}")
    rows = keys(ctl.well("show", "connections"), "client", "to", "service", "backend", "from", "state", "quiet_ms", "core")
    lib.check(len(rows) == N and {r["state"] for r in rows} == {"open"}, f"{rows}")
    lib.check(len(ctl.well("show", "connections", 7)) == 7, "more rows than were asked for")
    lib.check(len(ctl.well("show", "connections", "web", 4_294_967_295)) == N, "not all rows")
    lib.check(ctl.well("show", "connections", "more") == [], "connections of a service that has none")
    lib.check(ctl.run("show", "connections", "0")[0] == 0, "none is a number")
    rows = keys(ctl.well("show", "sockets", "limit=5"), "state", "local", "peer")
    lib.check(len(rows) == 5, f"{rows}")
    rows = keys(ctl.well("show", "cores"), "core", "busy", "state", "pairs", "connections", "most", "time_wait", "rx", "tx", "accepted")
    lib.check([(r["pairs"], r["connections"], r["accepted"]) for r in rows] == [(N, 2 * N, N)], f"{rows}")
    shared_ports(ctl, world)
    rows = keys(ctl.well("show", "memory"), "for", "records", "bytes_each", "bytes")
    packets = [r for r in rows if r["for"] == "core 0 packets"]
    lib.check(len(packets) == 1 and 0 <= packets[0]["used"] <= packets[0]["records"], f"{packets}")
    rows = keys(ctl.well("show", "cookies"), "core", "mode", "epoch", "sent", "valid", "invalid")
    lib.check(rows[0]["mode"] == "always" and rows[0]["valid"] >= N, f"{rows}")
    help = ctl.run("help")[1]
    program_help = ctl.run("--help")[1]
    for words in ("show services", "show connections [SERVICE] [MOST]", "backend maintain SERVICE/NAME", "cookie rotate", "drain node", "reload"):
        lib.check(words in help and words in program_help, f"{words} is not in help:\n{help}")
    case("every show, as text and as JSON")


def shared_ports(ctl, world):
    """Ports are the backend's address's: web/b0 and more/b0 have one, and what either uses the other cannot have."""
    def ports(*service):
        rows = ctl.well("show", "ports", *service)
        lib.check(all(r["free"] == 64_512 - r["open"] - r["time_wait"] for r in rows), f"{rows}")
        return [(r["address"], r["backend"], r["from"], r["open"]) for r in rows]

    def row(i, names, n):
        return f"{lb.backend_ip(i)}:8080", names, lb.TERN, n
    third = N // 3
    all_three = [row(0, "web/b0,more/b0", third), row(1, "web/b1", third), row(2, "web/b2", third)]
    lib.check(ports() == all_three, f"{ports()}")
    lib.check(ports("web") == all_three and ports("more") == all_three[:1], f"{ports('web')} {ports('more')}")
    five = world.open(lb.TERN, 5, port=82)
    lib.check(ports("more") == [row(0, "web/b0,more/b0", third + 5)] and ports("web")[1:] == all_three[1:], f"{ports()}")
    for c in five:
        world.loop.call_soon_threadsafe(c[2].close)
        world.clients.remove(c)
    lib.wait_until(lambda: ports() == all_three, "the ports of five who left")
    case("show ports: a backend that two services share is one row, with what both have open")


def mistakes(ctl):
    no_service = "there is no service '%s'; tern ctl show services lists them"
    address = "10.99.9.13:9"
    for words, says in [
            (["shwo", "backends"], "'shwo backends' is no command; did you mean 'show backends'.*; 'help' lists them"),
            (["show"], "'show' is no command.*"), (["show", "all"], "'show all' is no command.*"),
            (["backend"], "'backend' is no command.*"), (["drain"], "'drain' is no command.*"), (["cookie"], "'cookie' is no command.*"),
            (["x" * 4000], "'x+' is no command; 'help' lists them"), (["\x01\x7f"], "'\x01\x7f' is no command; 'help' lists them"),
            (["show", "services", "web"], "write: show services.*"), (["reload", "now"], "write: reload.*"),
            (["show", "backends", "web", "b0"], r"write: show backends \[SERVICE\]"),
            (["show", "backends", "nobody"], no_service % "nobody"), (["show", "ports", "nobody"], no_service % "nobody"),
            (["show", "connections", "nobody"], no_service % "nobody"), (["show", "connections", HUGE], no_service % HUGE),
            (["show", "connections", -1], no_service % "-1"), (["show", "sockets", "state=HAPPY"], ".*HAPPY.*"),
            (["show", "sockets", f"limit={HUGE}"], f".*{HUGE}.*"),
            (["backend", "drain"], "write: backend drain SERVICE/NAME"),
            (["backend", "drain", "web"], "'web' names no backend; write SERVICE/BACKEND, such as web/one"),
            (["backend", "drain", "web/"], "'web/' names no backend.*"), (["backend", "drain", "/b0"], "'/b0' names no backend.*"),
            (["backend", "drain", "web/bo"], "there is no backend 'web/bo'; did you mean 'web/b0'.*; tern ctl show backends lists them"),
            (["backend", "maintain", "nobody/b0"], "there is no backend 'nobody/b0'.*"),
            (["backend", "ready", "web/b0/b1"], "there is no backend 'web/b0/b1'.*"),
            (["backend", "remove", "web/nobody"], "there is no backend 'web/nobody'.*"),
            (["backend", "weight", "web/b0"], "write: backend weight SERVICE/NAME N"),
            (["backend", "weight", "web/b0", 1001], "1001 is too large; give 0 to 1000"),
            (["backend", "weight", "web/b0", 4_294_967_295], "4294967295 is too large; give 0 to 1000"),
            (["backend", "weight", "web/b0", 4_294_967_296], "4294967296 is too large; give 0 to 1000"),
            (["backend", "weight", "web/b0", HUGE], f"{HUGE} is too large; give 0 to 1000"), (["backend", "weight", "web/b0", -1], "'-1' is not .*"),
            (["backend", "weight", "web/b0", "1e3"], "'1e3' is not .*"), (["backend", "weight", "web/nobody", 1], "there is no backend.*"),
            (["backend", "add", "web/new"], "write: backend add .*"),
            (["backend", "add", "new", address], "'new' names no backend; write SERVICE/BACKEND, such as web/four"),
            (["backend", "add", "nobody/new", address], no_service % "nobody"),
            (["backend", "add", "web/b0", address], "web/b0 is there already"),
            (["backend", "add", "web/new", f"{lb.backend_ip(1)}:8080"], "10.99.9.12:8080 is already web/b1; give it more weight"),
            (["backend", "add", "web/" + "n" * 65, address], "'n+' cannot name a backend; use up to 64 letters.*"),
            (["backend", "add", "web/n\u00e4me", address], ".* cannot name a backend; .*"),
            (["backend", "add", "web/new", "10.99.9.13"], "'10.99.9.13' is not .*"),
            (["backend", "add", "web/new", "10.99.9.13:0"], "10.99.9.13:0 is no address to connect to"),
            (["backend", "add", "web/new", "0.0.0.0:80"], "0.0.0.0:80 is no address to connect to"),
            (["backend", "add", "web/new", "[::]:80"], r"\[::\]:80 is no address to connect to"),
            (["backend", "add", "web/new", "10.99.9.13:65536"], "'10.99.9.13:65536' is not .*"),
            (["backend", "add", "web/new", "example.org:80"], "'example.org:80' is not .*"),
            (["backend", "add", "web/new", address, "weight=1001"], "weight: 1001 is too large; give 0 to 1000"),
            (["backend", "add", "web/new", address, f"weight={HUGE}"], f"weight: {HUGE} is too large; give 0 to 1000"),
            (["backend", "add", "web/new", address, "max_connections=-1"], "max_connections: '-1' is not a whole number, 0 or more"),
            (["backend", "add", "web/new", address, "max_connections=100000001"], "max_connections: 100000001 is too large; give 0 to 100000000"),
            (["backend", "add", "web/new", address, "weight="], "weight: '' is not .*"),
            (["backend", "add", "web/new", address, "weight"], "'weight' is none of: .*"),
            (["backend", "add", "web/new", address, "color=red"], "'color=red' is none of: .*"),
            (["connections", "kill"], "write: connections kill .*"), (["connections", "kill", "nobody"], "'nobody' names no backend.*"),
            (["connections", "kill", "web/nobody"], "there is no backend 'web/nobody'.*"),
            (["connections", "kill", "10.0.0.0/33"], ".*'10.0.0.0/33'.*"), (["connections", "kill", "10.0.0.1:99999"], ".*'10.0.0.1:99999'.*"),
            (["cookie", "rotate", "now"], "write: cookie rotate.*"), (["drain", "nodes"], "'drain nodes' is no command; did you mean 'drain node'.*")]:
        ctl.wrong(words, says)
    # What `tern ctl` itself does not send.
    for words, says in [(["show backends"], "'show backends' is no word"), ([""], "'' is no word"), (["y" * 5000], "5000 bytes long; 4096"),
                        (["a"] * 17, "")]:
        code, said = ctl.run(*words)
        lib.check(code != 0 and says in said and said.count("\n") <= 3, f"ctl {words}: exit {code}, {said!r}")
    r = subprocess.run([sys.argv[1], "ctl", "--socket", f"{ctl.path}-not", "show", "cores"], capture_output=True, text=True, timeout=20)
    lib.check(r.returncode == 2 and "nobody answers" in r.stderr, f"{r}")
    lib.check([r["connections"] for r in ctl.well("show", "backends", "web")] == [N // 3] * 3 and
              {r["state"] for r in ctl.well("show", "backends")} == {"up"}, "a mistake changed something")
    case("every mistake is one line that says what is wrong, and changes nothing")


def commands(ctl, world, live):
    """What test_lb_ops does not show: maintain, kinds of kill, a new cookie key."""
    def spread(n):
        return {c[0] if c else "failed" for c in world.open(lb.TERN, n)}

    ctl.well("backend", "maintain", "web/b1")
    lib.check({r["backend"]: r["state"] for r in ctl.well("show", "backends", "web")}["web/b1"] == "maintain", "not in maintenance")
    lib.check(spread(12) == {"b0", "b2"}, "a backend in maintenance got a new connection")
    ctl.well("backend", "ready", "web/b1")
    lib.check(spread(12) == {"b0", "b1", "b2"}, "ready does not undo maintain")
    lib.check(world.alive(live) == N, "maintenance took a connection")
    case("maintain: nothing new, what is open goes on, ready undoes it")

    def killed(what):
        code, said = ctl.run("connections", "kill", what)
        lib.check(code == 0 and said.endswith(" connections reset\n"), said)
        return int(said.split()[0])

    client, port = live[0][2].get_extra_info("sockname")
    lib.check(killed(f"{client}:{port}") == 1 and world.alive(live[:1]) == 0 and world.alive(live[1:]) == N - 1, "one by its port")
    other = world.open(lb.TERN, 3, port=82)
    lib.check(killed("more") == 3 and world.alive(other) == 0 and world.alive(live[1:]) == N - 1, "those of a service")
    lib.check(killed("10.98.0.0/16") == 0 and killed(f"{lb.CLIENT}:1") == 0, "those who are not there")
    left = sum(r["connections"] for r in ctl.well("show", "services"))
    lib.check(killed(f"{lb.CLIENT}/32") == left and world.alive(live[1:]) == 0, f"{left} of one client")
    live[:] = world.open(lb.TERN, N)
    lib.check(killed("all") == N and world.alive(live) == 0, "all")
    case("connections kill: by client and port, by service, by prefix, all")

    def valid():
        return ctl.well("show", "cookies")[0]["valid"]
    live[:] = world.open(lb.TERN, N // 2)
    before = valid()
    ctl.well("cookie", "rotate")
    live += world.open(lb.TERN, N // 2)
    lib.check(None not in live and valid() == before + N // 2 and world.alive(live) == N, "a new key cost connections")
    case("cookie rotate: connections of the old key and the new")


class Pulse(threading.Thread):
    """Says something to every live connection, again and again; how long the slowest round of all of them took."""
    def __init__(self, world, clients):
        super().__init__(daemon=True)
        self.world, self.clients, self.over = world, clients, threading.Event()
        self.rounds, self.slowest, self.lost = 0, 0.0, 0

    def run(self):
        while not self.over.is_set():
            begin = time.monotonic()
            self.lost = max(self.lost, len(self.clients) - self.world.alive(self.clients))
            self.slowest = max(self.slowest, time.monotonic() - begin)
            self.rounds += 1


def hostile(ctl, world):
    live = world.open(lb.TERN, N)
    pulse = Pulse(world, live)
    pulse.start()
    error = b"error: a request is one line of 4096 bytes at most\n"
    lib.check(ctl.raw(b"x" * 1_000_000) in (error, b""), "a megabyte without a newline")
    lib.check(ctl.raw(b"x" * 5000) == error, "5,000 bytes without a newline")
    lib.check(ctl.raw(b"\0\xff\xfe\n").startswith(b"error: "), "bytes that are no text")
    lib.check(ctl.raw(b"json \xff\xfe\n").startswith(b'{"ok":false'), "bytes that are no text, as JSON")
    lib.check(ctl.raw(b"\n").startswith(b"error: ") and ctl.raw(b"json\n").startswith(b'{"ok":false'), "an empty line")
    lib.check(b"web/b0" in ctl.raw(b"show backends\nshow cores\n"), "two lines: the first is answered")
    for _ in range(50):
        with contextlib.closing(ctl.connect()) as s:
            s.sendall(b"show backen")  # leaves in the middle of a word
        with contextlib.closing(ctl.connect()) as s:
            s.sendall(b"json show connections\n")  # leaves before the answer
    with contextlib.ExitStack() as stack:
        for i in range(1000):  # most of them stay until they are hung up on
            s = stack.enter_context(contextlib.closing(ctl.connect()))
            if i % 10 == 0:
                s.sendall(b"json show memory\n")  # and never reads
            if i % 250 == 100:
                ctl.well("show", "backends")
        ctl.well("show", "cores")
        seen = pulse.rounds
        lib.wait_until(lambda: pulse.rounds > seen + 1, "connections go on", 30)
    pulse.over.set()
    pulse.join(90)
    lib.check(pulse.lost == 0 and not pulse.is_alive(), f"{pulse.lost} connections were lost meanwhile")
    lib.check(world.alive(live) == N, "a client of the control socket cost connections")
    print(f"{pulse.rounds} rounds of {N} connections meanwhile, the slowest took {pulse.slowest * 1000:.0f} ms")
    case("who says nothing, too much, half of it or leaves disturbs nobody")


if __name__ == "__main__":
    lib.main(test, limit=115)
