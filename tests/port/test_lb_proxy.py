"""The PROXY protocol that `tern lb` speaks, read by HAProxy: v1 and v2, clients of both families on a backend of IPv4,
with health checks beside; and the header comes although the client never speaks."""
import contextlib

import lb
import lib
import server


def haproxy(ns):
    return lb.haproxy(ns, "http", f"""
frontend who
  bind {lb.backend_ip(0)}:8080 accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
""", (lb.backend_ip(0), 8080))


def test():
    lib.need("curl")
    config = "".join(
        f'[[service]]\nname = "{v}"\nlisten = ["*:{port}"]\nsend_proxy = "{v}"\n'
        f'[service.health]\ncheck = "http"\ninterval = "1s"\ntimeout = "1s"\n'
        f'[[service.backend]]\naddress = "{lb.backend_ip(0)}:8080"\n'
        for v, port in (("v1", 81), ("v2", 82)))
    config += (f'[[service]]\nname = "mute"\nlisten = ["*:83"]\nsend_proxy = "v1"\n'
               f'[[service.backend]]\naddress = "{lb.backend_ip(1)}:8080"\n')
    with lb.over_veth(config) as b, haproxy(b.ns), lb.Backend(b.ns, lb.backend_ip(1)) as backend:
        lb.wait_for_service(b.ns, 81, 82)
        for port in (81, 82):
            for to, client in ((lb.TERN, lb.CLIENT), (f"[{lb.TERN6}]", lb.CLIENT6)):
                out = b.ns.run("curl", "-sS", "--max-time", 5, "--interface", client, "-w", " %{local_port}", f"http://{to}:{port}/").split()
                lib.check(out[1] == out[4], f"port {port}: the client's port came as {out}")
                lib.check(out[0] == client and out[2] == to.strip("[]") and out[3] == str(port),
                          f"port {port}, client {client}: HAProxy read {out}")
        with server.inside(b.ns), contextlib.closing(server.connect(83, to=lb.TERN)) as mute:
            with contextlib.closing(backend.accept()) as s:
                me = mute.getsockname()
                line = f"PROXY TCP4 {lb.CLIENT} {lb.TERN} {me[1]} 83\r\n".encode()
                got = s.recv(200)
                lib.check(got == line, f"the header of a client that does not speak is {got!r}, not {line!r}")
        counters = b.finish()
    lib.check(counters["checks_passed"] >= 2, f"checks: {counters}")


lib.main(test)
