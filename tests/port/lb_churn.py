#!/usr/bin/env python3
"""`tern lb` for as long as it is told to, while everything happens at once: clients come and go without pause, others stay, and an
operator drains, weighs, adds, removes, kills and reloads; a backend dies and comes back. Nobody is lost but those who were killed
or were on the backend that died; memory does not grow; in the end every connection stands in one counter.

usage: lb_churn.py <path of tern> [seconds, 600 unless told]
"""
import asyncio
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

import echo
import lb
import lib

STAY = 200  # connections that live through all of it
COMERS = 20  # clients that come and go, at once
MORTAL = "b3"


class Churn:
    def __init__(self, b, world, control, seconds):
        self.b, self.world, self.control = b, world, control
        self.end = time.monotonic() + seconds
        self.random = random.Random(7)
        self.done = 0
        self.wrong = []
        self.dying = False  # the mortal one is dead, or as good as dead: who meets it may be reset
        self.settled = 0.0  # and who began before this time may have met it
        self.died_under = 0
        self.deeds = {}

    def ctl(self, *words):
        r = subprocess.run([sys.argv[1], "ctl", "--socket", self.control, *map(str, words)], capture_output=True, text=True, timeout=60)
        lib.check(r.returncode == 0, f"ctl {words}: exit {r.returncode}\n{r.stdout}{r.stderr}")
        return r.stdout

    def rows(self, *what):
        return json.loads(self.ctl("--json", "show", *what))["rows"]

    # ---- Clients that come and go
    async def comer(self, i):
        while time.monotonic() < self.end:
            name, writer, began = None, None, time.monotonic()
            word = os.urandom(self.random.choice((1, 64, 3000, 40_000)))
            try:
                s = self.world.socket(lb.TERN)
                await asyncio.wait_for(self.world.loop.sock_connect(s, (lb.TERN, 80)), 20)
                reader, writer = await asyncio.open_connection(sock=s)
                name = (await asyncio.wait_for(reader.readline(), 20)).decode().strip()
                lib.check(name, "the end before the greeting")
                writer.write(word)
                lib.check(await asyncio.wait_for(reader.readexactly(len(word)), 20) == word, "other bytes came back")
                writer.close()
                self.done += 1
            except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, lib.Failed) as e:
                if name == MORTAL or (not name and (self.dying or began < self.settled)):
                    self.died_under += 1
                else:
                    self.wrong.append(f"a client of {name or 'nobody yet'}: {type(e).__name__} {e}, {len(word)} bytes; {self.of(s)}")
                # The socket is the transport's once there is one: closed beneath it, its number would be another's.
                writer.transport.abort() if writer else s.close()
            await asyncio.sleep(self.random.random() * 0.05)

    def of(self, s):
        """What the balancer and the kernel know of this client's connections."""
        with contextlib.suppress(OSError, lib.Failed):
            port = s.getsockname()[1]
            rows = [r for r in self.rows("connections", 100_000) if r["client"].endswith(f":{port}")]
            ends = [f":{port}"] + [":" + r["from"].split(":")[-1] for r in rows]
            ours = re.compile("(" + "|".join(ends) + r")\b")
            sockets = [line for line in self.ctl("show", "sockets", "info", "limit=100000").splitlines() if ours.search(line)]
            kernel = self.b.ns.run("ss", "-tanoi").splitlines()
            kernel = [" ".join((a + b).split()) for a, b in zip(kernel, kernel[1:]) if ours.search(a)]
            return "\n".join([f"{rows}", *sockets, *kernel])
        return "gone"

    # ---- The operator
    def config(self, extra=""):
        def backend(name, i, more=""):
            return f'[[service.backend]]\nname = "{name}"\naddress = "{lb.backend_ip(i)}:{8080 + (name == MORTAL)}"\n{more}\n'
        health = '[service.health]\ncheck = "tcp"\ninterval = "200ms"\ntimeout = "200ms"\nrise = 1\nfall = 1\n'
        return (f'[[service]]\nname = "web"\nlisten = ["*:80"]\nbalance = "{self.random.choice(("maglev", "round_robin", "least_connections"))}"\n'
                f'{extra}\n{health}' + "".join(backend(f"b{i}", i, f"weight = {self.random.randint(1, 9)}") for i in range(3)) +
                (backend(MORTAL, 0) if self.random.random() < 0.8 else ""))

    def drain(self):
        name = self.random.choice(("b0", "b1", "b2"))
        self.ctl("backend", self.random.choice(("drain", "maintain")), f"web/{name}")
        time.sleep(0.2)
        self.ctl("backend", "ready", f"web/{name}")

    def weigh(self):
        self.ctl("backend", "weight", f"web/b{self.random.randint(0, 2)}", self.random.randint(1, 100))

    def add_and_remove(self):
        name = f"x{self.random.randint(0, 999)}"
        self.ctl("backend", "add", f"web/{name}", f"{lb.backend_ip(2)}:8082", f"weight={self.random.randint(1, 5)}")
        time.sleep(0.3)
        self.ctl("backend", "remove", f"web/{name}")

    def reload(self):
        self.b.path.write_text(self.config())
        self.ctl("reload")

    def reload_by_signal(self):
        self.b.path.write_text(self.config('slow_start = "1s"\nsend_proxy = "none"'))
        n = self.b.program.output().count("reloaded by SIGHUP")
        self.b.program.process.send_signal(signal.SIGHUP)
        lib.wait_until(lambda: self.b.program.output().count("reloaded by SIGHUP") > n, "the reload by SIGHUP", 20)

    def bad_file(self):
        self.b.path.write_text(self.config() + "[nonsense\n")
        r = subprocess.run([sys.argv[1], "ctl", "--socket", self.control, "reload"], capture_output=True, text=True, timeout=60)
        lib.check(r.returncode == 1 and "nothing changed" in r.stderr, f"{r}")

    def kill(self):
        """Three of those who stay, by their ports; others take their place."""
        for _ in range(3):
            victim = self.stay.pop(self.random.randrange(len(self.stay)))
            client, port = victim[2].get_extra_info("sockname")
            lib.check(self.ctl("connections", "kill", f"{client}:{port}").startswith("1 "), "not one connection of a client's port")
            lib.check(self.world.alive([victim]) == 0, "a connection that was killed lives")
            victim[2].close()
            self.world.clients.remove(victim)
            self.killed += 1
        self.fill()

    def die(self):
        if f"web/{MORTAL}" not in {r["backend"] for r in self.rows("backends") if r["state"] == "up"}:
            return
        self.dying = True
        lost = [c for c in self.stay if c[0] == MORTAL]
        downs = self.b.program.output().count(f"backend web/{MORTAL} is down")
        self.world.die(MORTAL)
        lib.wait_until(lambda: self.b.program.output().count(f"backend web/{MORTAL} is down") > downs, "it is seen to be down", 20)
        self.stay = [c for c in self.stay if c[0] != MORTAL]
        for c in lost:
            c[2].close()
            self.world.clients.remove(c)
        ups = self.b.program.output().count(f"backend web/{MORTAL} is up")
        self.world.serve(MORTAL, lb.backend_ip(0), 8081)
        lib.wait_until(lambda: self.b.program.output().count(f"backend web/{MORTAL} is up") > ups, "it is seen to be up", 20)
        self.settled = time.monotonic() + 1
        self.dying = False
        self.fill()

    def fill(self):
        new = self.world.open(lb.TERN, STAY - len(self.stay), patience=20)
        lib.check(None not in new or self.dying, f"{new.count(None)} of {len(new)} who stay were not let in")
        self.stay += [c for c in new if c]

    def look(self):
        for what in ("services", "backends", "connections", "sockets", "cores", "ports", "memory", "cookies"):
            self.ctl("show", what)

    def rss(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.b.program.process.pid}/status").read_text())[1])

    def used(self):
        return next(r["used"] for r in self.rows("memory") if r["for"] == "core 0 packets")

    def operate(self, seconds):
        self.stay, self.killed = [], 0
        self.fill()
        comers = [asyncio.run_coroutine_threadsafe(self.comer(i), self.world.loop) for i in range(COMERS)]
        deeds = [self.drain, self.weigh, self.add_and_remove, self.reload, self.reload_by_signal, self.bad_file, self.kill, self.die, self.look]
        begin, warm, told = time.monotonic(), None, 0
        while time.monotonic() < self.end or len(self.deeds) < len(deeds):
            deed = deeds.pop(0)  # each in its turn first; then as it comes
            self.deeds[deed.__name__] = self.deeds.get(deed.__name__, 0) + 1
            deed()
            deeds.insert(self.random.randint(4, len(deeds)), deed)
            alive = self.world.alive(self.stay)
            lib.check(alive == len(self.stay) and not self.wrong,
                      f"after {deed.__name__}: {alive} of {len(self.stay)} who stay are alive; {self.wrong[:5]}")
            passed = time.monotonic() - begin
            if warm is None and passed > seconds / 3:
                warm = self.rss()
            if passed > told + 30:
                told = passed
                print(f"   {passed:.0f} s: {self.done} came and went, {sum(self.deeds.values())} deeds, {self.rss()} KiB, {self.used()} packets", flush=True)
        for c in comers:
            c.result(60)
        lib.check(not self.wrong, f"{self.wrong[:5]}")
        return warm


def churn(seconds):
    with tempfile.TemporaryDirectory(prefix="tern-churn-") as folder:
        control = f"{folder}/control"
        first = Churn(None, None, control, seconds)
        with lb.over_veth(first.config(), "--control", control, "--time-wait", "2s", tag="churn") as b:
            world = echo.World(b.ns)
            try:
                for i in range(3):
                    world.serve(f"b{i}", lb.backend_ip(i), 8080)
                world.serve("x", lb.backend_ip(2), 8082)
                world.serve(MORTAL, lb.backend_ip(0), 8081)
                c = Churn(b, world, control, seconds)
                c.reload()  # checks began before the backends were there
                lib.wait_until(lambda: {r["state"] for r in c.rows("backends")} == {"up"}, "every backend is up", 20, 0.2)
                warm = c.operate(seconds)
                print(f"{seconds} s: {c.done} clients came and went, {STAY} stayed; {c.deeds}; {c.died_under} were on {MORTAL} when it died")
                world.close_all()
                lib.wait_until(lambda: c.rows("cores")[0]["pairs"] == 0, "every pair has ended", 30, 0.2)
                lib.wait_until(lambda: c.rows("cores")[0]["time_wait"] == 0, "TIME-WAIT is over", 30, 0.2)
                used, grown = c.used(), c.rss() - warm
                print(f"memory: {c.rss()} KiB, {grown} more than after a third of the time; {used} packets in use")
                lib.check(used <= 64, f"{used} packets are in use, and nobody is connected")
                lib.check(grown < 8192, f"grown by {grown} KiB since a third of the time")  # a leak of 100 bytes a client would show in ten minutes
                c.ctl("drain", "node")
                lib.check(b.program.process.wait(30) == 0, "it did not end well")
            finally:
                world.end()
            out = b.program.output()
            counters = dict((name, int(n)) for name, n in reversed(re.findall(r"^  (\w+) +(\d+)$", out, re.M)))
            ended = sum(n for name, n in counters.items() if name.startswith("ended_"))
            lib.check("packets not given back: 0\n" in out and counters["accepted"] == ended, f"{counters}")
            lib.check(counters.get("ended_killed", 0) == c.killed, f"{c.killed} were killed: {counters}")
            lib.check(counters.get("ended_no_backend", 0) + counters.get("ended_no_memory", 0) + counters.get("ended_full", 0) == 0, f"{counters}")
    print(f"ok - {seconds} s of churn: nobody lost, {counters['accepted']} connections accepted, each in one counter")


if __name__ == "__main__":
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 600
    lib.main(lambda: churn(seconds), limit=seconds + 120)
