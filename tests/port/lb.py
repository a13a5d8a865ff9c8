"""`tern lb` between the Linux kernel's clients and backends, over a veth pair: what its tests share."""
import contextlib
import os
import pathlib
import shutil
import socket
import sys
import tempfile
import threading

import lib
import server

TERN, TERN6 = "10.99.9.2", "fd00:7e12:9::2"
CLIENT, CLIENT6 = "10.99.9.1", "fd00:7e12:9::1"


def backend_ip(i, v6=False):
    return f"fd00:7e12:9::1{i + 1}" if v6 else f"10.99.9.{11 + i}"


def config(backends, extra="", check="", backend_extra=""):
    """A service of port 80 on backends, each "IP:PORT"."""
    text = f'[[service]]\nname = "web"\nlisten = ["*:80"]\n{extra}\n'
    if check:
        text += f"[service.health]\n{check}\n"
    for i, b in enumerate(backends):
        text += f'[[service.backend]]\nname = "b{i}"\naddress = "{b}"\n{backend_extra}\n'
    return text


class Balancer(server.Server):
    def count(self, name):
        return self.counters.get(name, 0)

    def finish(self, seconds=10):
        self.counters = super().finish(seconds)
        return self.counters


@contextlib.contextmanager
def over_veth(toml, *options, tag="lb", drain="2s"):
    """Tern on one end of the pair through AF_PACKET; the kernel's addresses, clients' and backends', on the other."""
    lib.need("ip", "sysctl", "ethtool")
    near_addresses = [f"{CLIENT}/24", f"{CLIENT6}/64"]
    for i in range(3):
        near_addresses += [f"{backend_ip(i)}/24", f"{backend_ip(i, True)}/64"]
    with tempfile.TemporaryDirectory(prefix="tern-lb-") as folder, \
         lib.namespace(tag + "t") as far, lib.namespace(tag + "k") as near, \
         lib.veth(far, near, kernel_addresses=near_addresses):
        path = pathlib.Path(folder) / "lb.toml"
        path.write_text(toml)
        with lib.program(far, sys.argv[1], "lb", "--config", path, "--port", "net_af_packet0,iface=tern0",
                         "--ip", f"{TERN}/24", "--ip", f"{TERN6}/64", *(("--drain", drain) if drain else ()), *options) as tern:
            tern.wait_for("ready")
            b = Balancer(tern, near, "peer0")
            b.path = path
            b.far = far
            yield b


@contextlib.contextmanager
def nginx(ns, only=(0, 1, 2), body=None):
    """Servers on port 8080 of these backends' addresses; each says which one it is, /big what `body` is."""
    lib.need("nginx")
    with tempfile.TemporaryDirectory(prefix="tern-nginx-") as folder:
        os.chmod(folder, 0o755)
        (pathlib.Path(folder) / "big").write_bytes(body or b"")
        servers = "".join(
            f"server {{ listen {backend_ip(i)}:8080; listen [{backend_ip(i, True)}]:8080; root {folder};"
            f" location = / {{ return 200 'b{i}\\n'; }}"
            f" location = /health {{ return 204; }} client_max_body_size 200m;"
            f" location = /sink {{ return 200 'ok'; }} }}\n" for i in only)
        conf = pathlib.Path(folder) / "nginx.conf"
        conf.write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;"
            f" user root; events {{ worker_connections 4096; }}\n"
            f"http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {folder}/t1;"
            f" proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;"
            f" scgi_temp_path {folder}/t5;\n{servers}}}\n")
        with lib.program(ns, shutil.which("nginx"), "-c", conf, "-e", f"{folder}/error.log") as p:
            def up():
                with contextlib.suppress(OSError), server.inside(ns):
                    socket.create_connection((backend_ip(only[-1]), 8080), 0.5).close()
                    return True
            lib.wait_until(up, "nginx answers")
            yield p


@contextlib.contextmanager
def haproxy(ns, mode, sections, answers_at):
    """HAProxy with these sections; given when it answers at (address, port)."""
    lib.need("haproxy")
    with tempfile.TemporaryDirectory(prefix="tern-haproxy-") as folder:
        conf = pathlib.Path(folder) / "haproxy.cfg"
        conf.write_text(f"global\n  maxconn 200\n  nbthread 1\ndefaults\n  mode {mode}\n  timeout connect 2s\n"
                        f"  timeout client 30s\n  timeout server 30s\n{sections}")
        with lib.program(ns, shutil.which("haproxy"), "-f", conf, "-db") as p:
            def up():
                with contextlib.suppress(OSError), server.inside(ns):
                    server.connect(answers_at[1], 1, to=answers_at[0]).close()
                    return True
            lib.wait_until(up, "HAProxy answers")
            yield p


def wait_for_service(ns, *ports, seconds=20):
    """Until clients are let through: checks began before the backends were there, and found them down."""
    for port in ports or (80,):
        lib.wait_until(lambda: ns.run("curl", "-s", "--max-time", 2, f"http://{TERN}:{port}/", ok=False).returncode == 0,
                       f"port {port} answers", seconds, 0.2)


class Backend:
    """A listening socket in the namespace whose connections the test handles itself."""
    def __init__(self, ns, ip, port=8080):
        self.ip, self.port = ip, port
        with server.inside(ns):
            self.listener = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((ip, port))
        self.listener.listen(64)
        self.listener.settimeout(10)

    def accept(self, seconds=10):
        s, _ = self.listener.accept()
        s.settimeout(seconds)
        return s

    def close(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def in_thread(work, *args):
    """Runs `work` beside the test; join() gives its result or raises what it raised."""
    box = {}

    def body():
        try:
            box["value"] = work(*args)
        except BaseException as e:  # told by join()
            box["error"] = e
    t = threading.Thread(target=body, daemon=True)
    t.start()

    class Task:
        def join(self, seconds=60):
            t.join(seconds)
            lib.check(not t.is_alive(), f"{work.__name__} took longer than {seconds} s")
            if "error" in box:
                raise box["error"]
            return box.get("value")
    return Task()
