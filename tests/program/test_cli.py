#!/usr/bin/env python3
"""The program's face: versions, help, exit codes, and that every mistake is one line that says what to do.

usage: test_cli.py <path of tern>
"""
import json
import pathlib
import re
import sys
import tempfile

from lib import case, finish, run

TERN = sys.argv[1]


def mistake(name, arguments, line):
    r = run(TERN, *arguments)
    case(name, (r.returncode, r.stdout) == (2, "") and re.fullmatch(line + "\n", r.stderr), r)


r = run(TERN, "--version")
case("version", r.returncode == 0 and re.fullmatch(r"tern \d+\.\d+\.\d+\n", r.stdout), r)
r = run(TERN, "--help")
case("help lists the commands", r.returncode == 0 and "doctor" in r.stdout, r)
r = run(TERN, "doctor", "--help")
case("a command has help", r.returncode == 0 and "--json" in r.stdout, r)
r = run(TERN, "doctor")
case("doctor finds DPDK", r.returncode == 0 and re.search(r"^ok +DPDK +DPDK \d", r.stdout, re.M), r)
r = run(TERN, "doctor", "--json")
case("doctor speaks JSON", r.returncode == 0 and json.loads(r.stdout)["findings"], r)
mistake("no command", [], r"tern: a command is missing; 'tern --help' lists them")
mistake("mistyped command", ["docter"], r"docter: no such command; did you mean 'doctor'\?; 'tern --help' lists them")
mistake("mistyped command with options", ["docter", "--json"], r"docter: no such command; did you mean 'doctor'\?; .*")
mistake("mistyped option", ["doctor", "--jsno"], r"--jsno: no such option; did you mean '--json'\?; 'tern doctor --help' lists them")
mistake("word too many", ["doctor", "please"], r"please: not expected here; options start with --, and 'tern doctor --help' lists them")
mistake("report of nothing", ["report"], r"tern report: no file given; name one that --json wrote, or several to compare")
mistake("report of too many", ["report", *["r.json"] * 9], r"tern report: 9 files; 8 at most fit side by side")
mistake("ctl of nothing", ["ctl"], r"tern ctl: no command given; 'tern ctl --help' lists them")

r = run(TERN, "bench", "--help")
case("bench's help tells no default that the load decides", r"--max-connections N " in r.stdout and r.stdout.count("(default: what the load wants)") == 2 and
     "CPUs: the first half the clients'" in r.stdout, r)

# What --print-config prints is a file of the same settings: nobody's wish becomes one by it.
lb = str(pathlib.Path(__file__).resolve().parents[2] / "config/lb.toml")
for command, words, set_there in (("bench", ["--cps", "5k"], {"cps"}), ("client", ["--target", "10.0.0.2:80-81"], {"target"}),
                                  ("server", ["--mode", "echo", "--listen", "7"], {"mode", "listen"}), ("connect", ["--mtu", "1400"], {"mtu"}),
                                  ("lb", ["--config", lb], None)):
    first = run(TERN, command, *words, "--print-config")
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as printed:
        printed.write(first.stdout)
        printed.flush()
        again = run(TERN, command, "--config", printed.name, "--print-config")
    case(f"{command} reads back what --print-config prints", first.returncode == again.returncode == 0 and again.stdout == first.stdout,
         (first, again))
    live = set(re.findall(r"^(\w+) = ", first.stdout, re.M))
    case(f"{command} --print-config: what nobody set is a comment", set_there in (live, None) and "\n# rto_min = " in first.stdout, first.stdout)
    every = re.sub(r"^# (\w+ = )", r"\1", first.stdout, flags=re.M)
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as printed:
        printed.write(every)
        printed.flush()
        all_set = run(TERN, command, "--config", printed.name, "--print-config")
    case(f"{command} --print-config: its comments are settings, too", (all_set.returncode, re.sub(r"^#.*\n", "", all_set.stdout, flags=re.M)) ==
         (0, re.sub(r"^#.*\n", "", every, flags=re.M)), all_set)

config = str(pathlib.Path(__file__).resolve().parents[2] / "config/lb.toml")
r = run(TERN, "lb", "--check", "--config", config)
case("lb --check takes config/lb.toml", (r.returncode, r.stdout) == (0, "ok: 1 service, 3 backends\n"), r)
r = run("sh", "-c", 'exec "$0" "$@" >/dev/full', TERN, "lb", "--check", "--config", config)
case("what cannot be said is told with its cause", (r.returncode, r.stderr) ==
     (1, "tern: standard output could not be written: No space left on device\n"), r)
with tempfile.NamedTemporaryFile("w", suffix=".toml") as bad:
    bad.write(pathlib.Path(config).read_text().replace("[[service.backend]]\naddress", "[[service.backend]]\naddres", 1))
    bad.flush()
    line = next(n for n, l in enumerate(open(bad.name), 1) if l.startswith("addres "))
    mistake("lb --check names line and column", ["lb", "--check", "--config", bad.name],
            rf"{bad.name}:{line}:1: 'addres' is not known here; did you mean 'address'\?; known are: .*")
# By a port that there is not, it is seen that nobody looked for it before.
for why, path in (("is too long for a socket's path", "/tmp/" + "x" * 200), ("No such file or directory", "/nowhere/socket")):
    mistake(f"lb: a control path that is of no use is told before DPDK starts: {why}",
            ["lb", "--config", config, "--port", "net_nothing0", "--huge-pages", "off", "--control", path], rf".*{path}: {why}; .*")
mistake("lb without services", ["lb", "--check"], r"--config: no service; write \[\[service\]\] .*")
finish()
