"""`tern client` with nginx on the kernel's stack at the other end of a veth pair: what its tests share."""
import contextlib
import json
import os
import pathlib
import sys
import tempfile

import lib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TERN, KERNEL = "10.99.9.2", "10.99.9.1"
TERN6, KERNEL6 = "fd00:7e12:9::2", "fd00:7e12:9::1"
BODY = "".join(f"line {i} of a page that is known byte for byte\n" for i in range(200))
NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  {temporary}
  keepalive_requests {requests};
  log_format each '$connection $status $body_bytes_sent';
  {log}
  server {{ listen 80 backlog=4096; listen [::]:80 backlog=4096; root {folder}/www; default_type text/plain; }}
  server {{ listen 82 backlog=4096; return 503; }}
  server {{ listen 127.0.0.1:8081; access_log off; location / {{ stub_status; }} }}
}}
"""


def ok(name):
    print(f"ok - {name}", flush=True)


@contextlib.contextmanager
def nginx(ns, log="access_log off;", body=BODY, requests=7):
    """nginx with one page; it ends a connection after so many requests."""
    with tempfile.TemporaryDirectory(prefix="tern-nginx-") as folder:
        os.chmod(folder, 0o755)
        os.mkdir(f"{folder}/www")
        pathlib.Path(f"{folder}/www/index.html").write_text(body)
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        pathlib.Path(f"{folder}/nginx.conf").write_text(
            NGINX.format(folder=folder, temporary=temporary, log=log.format(folder), requests=requests))
        with lib.program(ns, "nginx", "-p", folder, "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log") as p:
            lib.wait_until(lambda: os.path.exists(f"{folder}/pid"), "nginx", 10)
            p.folder = folder
            yield p
            p.stop()


def client(*words):
    return [sys.argv[1], "client", *map(str, words)]


def sound(path, what):
    """A report that fits its schema, of a run in which nothing failed."""
    lib.run(sys.executable, ROOT / "tests/support/check_report.py", path, timeout=20)
    r = json.loads(pathlib.Path(path).read_text())
    s = r["summary"]
    c = s["connections"]
    lib.check(c["failed"]["total"] == 0 and c["unfinished"] == 0 and c["completed"] > 0, f"{what}: {c} {s['notes']}")
    # What was due when a stalled machine came to the end: it says so, and is right.
    notes = [n for n in s["notes"] if "were due and never" not in n]
    lib.check(not notes, f"{what}: {notes}")
    return r


def checked(path, what):
    return sound(path, what)["summary"]


def over_veth(far, what, *words):
    """The report of a run of half a second, unless the words say more."""
    usual = () if {"--duration", "--find-step", "--connections"} & set(words) else ("--duration", "500ms")
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        r = far.run(*client("--port", "net_af_packet0,iface=tern0", "--ip", f"{TERN}/24", "--ip", f"{TERN6}/64", "--quiet",
                            "--json", report.name, *usual, *words), timeout=40, ok=False)
        lib.ended_well(r, report.name)
        return sound(report.name, what)
