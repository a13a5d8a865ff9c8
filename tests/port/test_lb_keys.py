#!/usr/bin/env python3
"""Keys of config/lb.toml that other tests do not show: what each does to clients and backends; and which of those outside the
services a reload says must wait for a restart: all of them.

usage: test_lb_keys.py <path of tern>
"""
# limit: 120
import contextlib
import json
import pathlib
import re
import socket
import sys
import tempfile
import time

import echo
import lb
import lib
import server
from test_lb_ctl import Ctl, case

SOURCE = "10.99.9.3"  # of the legs to backends
OTHER = lb.backend_ip(2)  # the clients' side has this address too
BLACK_HOLE = "10.99.9.250:80"  # nobody answers for it
ECHO = f"{lb.backend_ip(0)}:8080"


def service(name, port, extra="", backends=(ECHO,)):
    return (f'[[service]]\nname = "{name}"\nlisten = ["*:{port}"]\nbalance = "round_robin"\n{extra}\n' +
            "".join(f'[[service.backend]]\naddress = "{b}"\n' for b in backends))


REFUSE = [f"{lb.backend_ip(i)}:99" for i in range(3)]
SERVICES = {
    "allow": service("allow", 81, f'allow = ["{lb.CLIENT}/32"]'),
    "deny": service("deny", 82, f'deny = ["{OTHER}/32"]'),
    "at_once": service("at_once", 83, "per_client = { connections = 2 }"),
    "rate": service("rate", 84, "per_client = { rate = 1, burst = 3 }"),
    "connect": service("connect", 85, 'tries = 1\ntimeouts = { connect = "300ms" }', [BLACK_HOLE]),
    "tries": service("tries", 86, "tries = 2\n[service.health]\nfall = 100", REFUSE),
    "idle": service("idle", 87, 'timeouts = { idle = "600ms" }'),
    "half": service("half", 88, 'timeouts = { half_closed = "600ms" }'),
    "web": service("web", 80),
}
HEAD = f'[lb]\nbackend_source = ["{SOURCE}"]\nclient_records = 4096\nduration = "0s"\n'


def ends(ns, port, source=lb.CLIENT, say=b"", seconds=10):
    """How a connection from this address ends that is opened, spoken on and waited for: what came, and the end."""
    with server.inside(ns), contextlib.closing(socket.socket()) as s:
        s.settimeout(seconds)
        s.bind((source, 0))
        got = b""
        try:
            s.connect((lb.TERN, port))
            if say:
                s.sendall(say)
            while piece := s.recv(1 << 16):
                got += piece
                if say and got.endswith(say):
                    return got, "served"
            return got, "fin"
        except ConnectionError:
            return got, "rst"
        except (TimeoutError, socket.timeout):
            return got, "open"


def served(ns, port, source=lb.CLIENT):
    return ends(ns, port, source, b"hello")[1]


def test():
    with tempfile.TemporaryDirectory(prefix="tern-keys-") as folder:
        control = f"{folder}/control"
        with lb.over_veth(HEAD + "".join(SERVICES.values()), "--control", control, tag="keys") as b:
            world = echo.World(b.ns)
            try:
                world.serve("b", lb.backend_ip(0), 8080)
                ctl = Ctl(control)
                lib.check(served(b.ns, 80) == "served", "the plain service")
                limits(b.ns, ctl)
                times(b, ctl)
                with lb.Backend(b.ns, lb.backend_ip(1)) as backend:
                    sources(b, ctl, backend)
                restarts(b, ctl)
            finally:
                world.end()
            b.finish()
        ending(folder)


def limits(ns, ctl):
    lib.check([served(ns, 81), served(ns, 81, OTHER)] == ["served", "rst"], "allow")
    lib.check([served(ns, 82), served(ns, 82, OTHER)] == ["served", "rst"], "deny")
    case("allow, deny")
    with server.inside(ns), contextlib.ExitStack() as stack:
        two = [stack.enter_context(contextlib.closing(server.connect(83, to=lb.TERN))) for _ in range(2)]
        for s in two:
            lib.check(s.recv(10) == b"b\n", "the first two of a client")
        lib.check([served(ns, 83), served(ns, 83, OTHER)] == ["rst", "served"], "per_client.connections")
    lib.wait_until(lambda: served(ns, 83) == "served", "a client whose connections have ended comes in again")
    begin = time.monotonic()
    burst = [served(ns, 84) for _ in range(5)]
    took = time.monotonic() - begin
    # One more for each second that it took.
    lib.check(burst[:3] == ["served"] * 3 and (took > 0.9 or burst[3:] == ["rst"] * 2), f"per_client.burst: {burst} in {took:.1f} s")
    lib.check(served(ns, 84, OTHER) == "served", "another client's rate")
    lib.wait_until(lambda: served(ns, 84) == "served", "a client comes in again after a second", 10, 0.5)
    case("per_client: connections, rate, burst")
    rows = {r["for"]: r for r in ctl.well("show", "memory")}
    lib.check(rows["clients' limits"]["records"] == 4096 and rows["clients' limits"]["bytes"] == 16 * 4096, f"{rows}")
    case("client_records")


def times(b, ctl):
    def counts():
        return ctl.well("show", "cores")[0]
    before = counts()
    lib.check(ends(b.ns, 85, say=b"x") == (b"", "rst"), "a backend that is not there")
    after = counts()
    lib.check([after.get(k, 0) - before.get(k, 0) for k in ("connect_tried", "connect_timed_out", "ended_no_backend")] == [1, 1, 1],
              f"timeouts.connect, tries = 1: {before} {after}")
    before = after
    lib.check(ends(b.ns, 86, say=b"x") == (b"", "rst"), "three backends that refuse")
    after = counts()
    lib.check([after.get(k, 0) - before.get(k, 0) for k in ("connect_tried", "connect_refused", "ended_no_backend")] == [2, 2, 1],
              f"tries = 2: {before} {after}")
    case("timeouts.connect, tries")
    before = after
    lib.check(ends(b.ns, 87) == (b"b\n", "rst"), "timeouts.idle")
    with server.inside(b.ns), contextlib.closing(server.connect(88, 10, to=lb.TERN)) as s:
        lib.check(s.recv(10) == b"b\n", "the greeting")
        time.sleep(1.2)
        s.sendall(b"idle is another matter")
        lib.check(s.recv(100) == b"idle is another matter", "half_closed is not idle")
    after = counts()
    lib.check(after.get("ended_idle", 0) - before.get("ended_idle", 0) == 1, f"{before} {after}")
    case("timeouts.idle")


def sources(b, ctl, backend):
    b.path.write_text(HEAD + "".join(SERVICES.values()).replace(SERVICES["half"], "") +
                      service("half", 88, 'timeouts = { half_closed = "600ms" }', [f"{backend.ip}:8080"]))
    ctl.well("reload")
    with server.inside(b.ns), contextlib.closing(server.connect(88, 10, to=lb.TERN)) as s:
        s.sendall(b"who am I")
        s.shutdown(socket.SHUT_WR)
        with contextlib.closing(backend.accept()) as other:
            lib.check(other.getpeername()[0] == SOURCE, f"a leg to a backend came from {other.getpeername()}")
            lib.check(other.recv(100) == b"who am I" and other.recv(100) == b"", "the client's word and its end")
            try:
                rest = s.recv(100)  # the backend says nothing more
            except ConnectionResetError:
                rest = "rst"
            lib.check(rest == "rst", f"timeouts.half_closed: {rest!r}")
    rows = [r for r in ctl.well("show", "ports") if r["open"] or r["time_wait"]]
    lib.check(rows and {r["from"] for r in rows} == {SOURCE}, f"{rows}")
    case("backend_source, timeouts.half_closed")


def restarts(b, ctl):
    """Every key outside the services, from config/lb.toml, with another value than it has."""
    text = (pathlib.Path(__file__).resolve().parents[2] / "config/lb.toml").read_text()
    head = text[:text.index("[[service]]")]
    other = {"control": '"/nowhere"', "backend_source": '["10.99.9.4"]', "gateway": '["10.99.9.99"]', "vlan": "9", "service_vlan": "10",
             "route": '[{to = "10.8.0.0/16", via = "10.99.9.254"}]', "mac": '"02:00:00:00:00:77"', "cores": "[1]", "memory": '"1G"',
             "packet_memory": '"64M"', "huge_pages": '"off"', "idle": '"busy"', "checksum": '"software"', "syn_cookies": '"never"',
             "cookie_key_file": '"/nowhere"', "cc": '"newreno"', "tso": '"software"', "metrics": '"127.0.0.1:9"', "vlan_tag": '"software"'}  # a key whose values are words needs one here
    fixed = {"port", "ip", "drain", "control"}  # the test gives them on the command line, which goes over the file
    names, changed = set(), ""
    for line in head.splitlines():
        if line.startswith("["):
            changed += line + "\n"
        if m := re.match(r"(?:# )?([a-z0-9_]+) = (\S+)", line):
            name, value = m[1], m[2]
            names.add(name)
            if name in other:
                value = other[name]
            elif value in ("true", "false"):
                value = "false" if value == "true" else "true"
            elif re.fullmatch(r"\d+", value):
                value = str(int(value) + (1 if int(value) < 100 else 1000))
            elif re.fullmatch(r'"\d+(s|ms|h)"', value):
                value = value.replace('"', '"1', 1) if value != '"0s"' else '"11s"'
            if name not in fixed:
                changed += f"{name} = {value}\n"
    good = b.path.read_text()
    b.path.write_text(changed + good[good.index("[[service]]"):])
    code, said = ctl.run("reload")
    lib.check(code == 0 and "nothing changed" in said, said)
    waiting = set(re.search(r"waiting for a restart: (.*)", said)[1].replace("-", "_").split(", "))
    lib.check(waiting == names - fixed, f"not told: {names - fixed - waiting}; not asked for: {waiting - (names - fixed)}\n{said}")
    lib.check(served(b.ns, 80) == "served", "a reload of what waits for a restart did something")
    b.path.write_text(good)
    lib.check("waiting" not in ctl.run("reload")[1], "what is as it was waits for a restart")
    case(f"{len(waiting)} keys outside the services are told as waiting for a restart")


def ending(folder):
    """duration ends it; drain gives connections so long, whoever asked for the end."""
    head = '[lb]\nduration = "4s"\ndrain = "300ms"\n'
    with contextlib.ExitStack() as stack:
        b = stack.enter_context(lb.over_veth(head + SERVICES["web"], tag="dura", drain=None))
        world = echo.World(b.ns)
        try:
            world.serve("b", lb.backend_ip(0), 8080)
            with server.inside(b.ns), contextlib.closing(server.connect(80, 30, to=lb.TERN)) as s:
                lib.check(s.recv(10) == b"b\n", "the greeting")
                begin = time.monotonic()
                try:
                    rest = s.recv(10)
                except ConnectionResetError:
                    rest = "rst"
                lib.check(rest == "rst" and b.program.process.wait(20) == 0, f"duration and drain: {rest!r}")
                print(f"duration 4s and drain 300ms: reset {time.monotonic() - begin:.1f} s after the connection was there")
        finally:
            world.end()
    case("duration, drain")


if __name__ == "__main__":
    lib.main(test, limit=115)
