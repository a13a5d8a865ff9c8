#!/usr/bin/env python3
"""`tern connect` against the kernel: sockets, nc and nginx on a veth pair; bulk both ways by SHA-256, half-close both ways,
refusal, RST, exit codes, mistakes.

usage: test_connect.py <path of tern>
"""
# limit: 180
import contextlib
import hashlib
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time

import lib
import server

MEGABYTES = int(os.environ.get("TERN_CONNECT_MB", "100"))


def ok(name):
    print(f"ok - {name}", flush=True)


def words(port, *options, to=None):
    v6 = to is not None and ":" in to
    ip = f"{server.TERN6}/64" if v6 else f"{server.TERN}/24"
    where = f"[{to}]:{port}" if v6 else f"{to or server.KERNEL}:{port}"
    return [sys.argv[1], "connect", "--port", "net_af_packet0,iface=tern0", "--ip", ip, *options, where]


def connect(far, *command, stdin=b"", timeout=60):
    """Runs to its end: (exit code, standard output, standard error)."""
    r = subprocess.run(far.command(*command), input=stdin, capture_output=True, timeout=timeout)
    return r.returncode, r.stdout, r.stderr.decode(errors="replace")


@contextlib.contextmanager
def listener(port, serve, to=server.KERNEL):
    """A kernel socket that serves one connection in a thread; what `serve` raises is the test's failure."""
    trouble = []
    with socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((to, port))
        s.listen()
        s.settimeout(60)
        def work():
            try:
                c, _ = s.accept()
                with c:
                    c.settimeout(60)
                    serve(c)
            except Exception as why:  # told below
                trouble.append(why)
        t = threading.Thread(target=work, daemon=True)
        t.start()
        yield
        t.join(60)
        lib.check(not trouble and not t.is_alive(), f"the kernel's side: {trouble or 'stuck'}")


def small(far):
    def upper(c):  # answers only when all has come: our half-close reaches it
        c.sendall(server.read_all(c).upper())
    for to in (server.KERNEL, server.KERNEL6):
        with listener(5000, upper, to):
            code, out, err = connect(far, *words(5000, to=to), stdin=b"a word\n")
            lib.check((code, out) == (0, b"A WORD\n"), f"exit {code}, {out!r}\n{err}")
    ok("half-close by us: the answer comes after the input's end, IPv4 and IPv6")
    heard = []
    def first(c):  # closes its direction at once, and listens on
        c.sendall(b"hello")
        c.shutdown(socket.SHUT_WR)
        heard.append(server.read_all(c))
    data = os.urandom(3_000_000)
    with listener(5001, first):
        code, out, err = connect(far, *words(5001), stdin=data)
        lib.check((code, out) == (0, b"hello"), f"exit {code}, {out!r}\n{err}")
    lib.check(heard == [data], "what was sent after the peer's FIN did not arrive")
    ok("half-close by the peer: ours goes on until the input ends")


def failures(far):
    code, out, err = connect(far, *words(5009))
    lib.check(code == 1 and out == b"" and "refused" in err, f"exit {code}: {err}")
    def resets(c):
        c.recv(1)
        server.reset_on_close(c)
    with listener(5002, resets):
        code, _, err = connect(far, *words(5002), stdin=b"x" * 100_000)
        lib.check(code == 1 and "reset" in err, f"exit {code}: {err}")
    for wrong, name in (("nowhere", "to"), ("10.0.0.1", "to")):
        code, _, err = connect(far, *words(1)[:-1], wrong)
        lib.check(code == 2 and f"--{name}" in err and len(err.strip().splitlines()) == 1, f"exit {code}: {err}")
    code, out, _ = connect(far, sys.argv[1], "connect", "--help")
    lib.check(code == 0 and b"Exit code" in out, "no help")
    ok("refused, reset: exit 1 and why; a mistake: exit 2 and one line")


def programs(far, near):
    body = random.Random(3).randbytes(2_000_000)
    with tempfile.TemporaryDirectory(prefix="tern-nginx-") as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        (folder / "file").write_bytes(body)
        (folder / "conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/log; events {{}}\n"
            f"http {{ access_log off; server {{ listen {server.KERNEL}:8080; root {folder}; }} }}\n")
        with lib.program(near, "nginx", "-p", folder, "-c", folder / "conf", "-e", folder / "log") as nginx:
            lib.wait_until(lambda: near.run("ss", "-Hltn", "sport = :8080").strip(), "nginx listens")
            # nginx takes a half-close for a client that has gone: the input stays open until the answer is here.
            p = subprocess.Popen(far.command(*words(8080)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
            try:
                p.stdin.write(b"GET /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                p.stdin.flush()
                out = bytearray()
                while len(out) < len(body) or len(out.partition(b"\r\n\r\n")[2]) < len(body):
                    piece = os.read(p.stdout.fileno(), 1 << 16)
                    lib.check(piece, f"ended after {len(out)} bytes")
                    out += piece
                p.stdin.close()
                code, err = p.wait(20), p.stderr.read()
            finally:
                if p.poll() is None:
                    p.kill()
                    p.wait()
            out = bytes(out)
            head, _, got = out.partition(b"\r\n\r\n")
            lib.check(code == 0 and head.startswith(b"HTTP/1.1 200") and server.sha(got) == server.sha(body),
                      f"exit {code}, {head!r}, {len(got)} bytes\n{err}")
            nginx.stop()
    ok("nginx: 2 MB by SHA-256")
    with tempfile.NamedTemporaryFile() as heard:
        p = subprocess.Popen(near.command("nc", "-d", "-l", server.KERNEL, "5005"), stdin=subprocess.DEVNULL, stdout=heard)
        try:
            lib.wait_until(lambda: near.run("ss", "-Hltn", "sport = :5005").strip(), "nc listens")
            code, _, err = connect(far, *words(5005), stdin=body)
            lib.check(code == 0, f"exit {code}: {err}")
            lib.wait_until(lambda: os.path.getsize(heard.name) == len(body), "nc has written all")
            lib.check(server.sha(pathlib.Path(heard.name).read_bytes()) == server.sha(body), "nc heard other bytes")
        finally:
            p.kill()
            p.wait()
    ok("nc: 2 MB by SHA-256")


def bulk(far):
    """Each direction by itself, so that a figure means something; it is printed, not judged."""
    block = random.Random(4).randbytes(1 << 20)
    want = hashlib.sha256()
    for _ in range(MEGABYTES):
        want.update(block)
    def sends(c):
        for _ in range(MEGABYTES):
            c.sendall(block)
    heard = hashlib.sha256()
    def hears(c):
        while piece := c.recv(1 << 18):
            heard.update(piece)
    for name, serve, feeds in (("from the kernel", sends, False), ("to the kernel", hears, True)):
        begun = time.monotonic()
        with listener(5003, serve):
            p = subprocess.Popen(far.command(*words(5003)), stdin=subprocess.PIPE if feeds else subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            try:
                if feeds:
                    for _ in range(MEGABYTES):
                        p.stdin.write(block)
                    p.stdin.close()
                got = hashlib.sha256()
                while piece := p.stdout.read(1 << 18):
                    got.update(piece)
                code, err = p.wait(60), p.stderr.read().decode(errors="replace")
            finally:
                if p.poll() is None:
                    p.kill()
                    p.wait()
            lib.check(code == 0, f"{name}: exit {code}\n{err}")
        digest = (heard if feeds else got).hexdigest()
        lib.check(digest == want.hexdigest(), f"{name}: not the same {MEGABYTES} MB")
        seconds = time.monotonic() - begun
        print(f"   {name}: {MEGABYTES} MB in {seconds:.1f} s, {8.388608 * MEGABYTES / seconds:.0f} Mb/s", flush=True)
        ok(f"{MEGABYTES} MB {name} by SHA-256")


def test():
    lib.need("ip", "sysctl", "ethtool", "nginx", "nc", "ss")
    with lib.namespace("cot") as far, lib.namespace("cok") as near, \
         lib.veth(far, near, kernel_addresses=[f"{server.KERNEL}/24", f"{server.KERNEL6}/64"]), server.inside(near):
        small(far)
        failures(far)
        programs(far, near)
        bulk(far)


if __name__ == "__main__":
    lib.main(test, limit=180)
