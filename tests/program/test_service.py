#!/usr/bin/env python3
"""config/tern-lb.service: systemd takes it as it stands, what it runs is what `tern` knows, and it waits for a drain.

usage: test_service.py <path of tern>
"""
import pathlib
import re
import shutil
import sys
import tempfile

from lib import case, finish, run

TERN = str(pathlib.Path(sys.argv[1]).resolve())
UNIT = pathlib.Path(__file__).resolve().parents[2] / "config/tern-lb.service"
LEAST = '[lb]\ncontrol = "{0}/socket"\n[ports]\nport = "net_null0"\nip = ["10.0.0.2/24"]\n[[service]]\nname = "web"\n' \
        'listen = ["*:80"]\n[[service.backend]]\naddress = "10.0.0.11:80"\n'


def sections(text):
    """A list of (section, key, value); each line must be one of these, a heading, a comment or empty."""
    found, section = [], ""
    for line in text.splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading[1]
        elif setting := re.fullmatch(r"(\w+)=(\S.*)", line):
            found.append((section, *setting.groups()))
        elif line and not line.startswith("#"):
            raise SystemExit(f"{UNIT}: '{line}' is no line of a unit")
    return found


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m|min)", text).groups()
    return int(number) * (1 if unit == "s" else 60)


text = UNIT.read_text()
settings = sections(text)
of = {key: value for section, key, value in settings if section == "Service"}
case("each setting stands once, in its section", len({(s, k) for s, k, _ in settings}) == len(settings) and
     {s for s, _, _ in settings} == {"Unit", "Service", "Install"}, settings)

with tempfile.TemporaryDirectory(prefix="tern-service-") as folder:
    config = pathlib.Path(folder) / "lb.toml"
    config.write_text(LEAST.format(folder))
    here = text.replace("/usr/local/bin/tern", TERN).replace("/etc/tern/lb.toml", str(config))
    if shutil.which("systemd-analyze"):  # elsewhere what stands above and below has to do
        copy = pathlib.Path(folder) / UNIT.name
        copy.write_text(here)
        r = run("systemd-analyze", "verify", copy)
        said = [line for line in r.stderr.splitlines() if UNIT.name in line]  # not of the machine's other units
        case("systemd-analyze verify", r.returncode == 0 and not said, r)
    commands = {k: v.split() for _, k, v in sections(here) if k.startswith("Exec")}
    r = run(*commands["ExecStart"], "--check")
    case("ExecStart takes the configuration", (r.returncode, r.stdout) == (0, "ok: 1 service, 1 backend\n"), r)
    config.write_text(LEAST.format(folder) + "wieght = 5\n")
    r = run(*commands["ExecStart"])
    case("and refuses a wrong one", r.returncode == 2 and "weight" in r.stderr, r)
    r = run(*commands["ExecReload"])
    case("ExecReload is a command, and says when nobody hears it", r.returncode == 2 and "nobody answers" in r.stderr, r)
    default = re.search(r"--socket TEXT=(\S+)", run(TERN, "ctl", "--help").stdout)[1]
    case("the socket is where the example has it", default in commands["ExecReload"] and
         f'control = "{default}"' in (UNIT.parent / "lb.toml").read_text(), commands)

drain = re.search(r"--drain \S+=(\w+)", run(TERN, "lb", "--help").stdout)[1]
case("a stop is SIGTERM, and has more time than the drain", of["KillSignal"] == "SIGTERM" and seconds(of["TimeoutStopSec"]) > seconds(drain) + 5,
     (of, drain))
unit = {key: value for section, key, value in settings if section == "Unit"}
case("memory may be locked; what is not there yet may come: it is tried for ever", of["LimitMEMLOCK"] == "infinity" and
     of["Restart"] == "on-failure" and unit["StartLimitIntervalSec"] == "0", (unit, of))
finish()
