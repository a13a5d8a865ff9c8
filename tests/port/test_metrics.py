#!/usr/bin/env python3
"""GET /metrics of `tern lb` and `tern server`, read by Prometheus's own parser: the figures move, and are those of `tern ctl show`;
the dashboard asks for nothing else; who asks in pieces, too much, nonsense or nothing, or does not read, disturbs nobody.

usage: test_metrics.py <path of tern>
"""
# limit: 120
import collections
import contextlib
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

import echo
import lb
import lib
import server

AT = ("127.0.0.1", 9464)
URL = f"http://{AT[0]}:{AT[1]}/metrics"
N = 40
DASHBOARD = pathlib.Path(__file__).resolve().parents[2] / "config/grafana-dashboard.json"


def parser():
    """Debian's package is for Debian's python, and does with any."""
    sys.path.append("/usr/lib/python3/dist-packages")
    try:
        from prometheus_client import parser
    except ImportError:
        raise lib.Skipped("needs prometheus_client: apt-get install python3-prometheus-client")
    return parser


def case(text):
    print(f"ok - {text}", flush=True)


class Page:
    """A scrape, as Prometheus sees it."""
    def __init__(self, text):
        self.samples = collections.defaultdict(list)
        self.kinds = {}
        for family in parser().text_string_to_metric_families(text):
            lib.check(family.name not in self.kinds, f"{family.name} comes twice")
            lib.check(family.documentation and family.type in ("counter", "gauge"), f"{family}")
            self.kinds[family.name] = family.type
            for s in family.samples:
                lib.check(s.name == family.name + ("_total" if family.type == "counter" else ""), f"{s} in {family.name}")
                self.samples[s.name].append(s)
        every = [(s.name, tuple(sorted(s.labels.items()))) for all in self.samples.values() for s in all]
        lib.check(len(every) == len(set(every)), "a sample comes twice")

    def sum(self, name, **labels):
        lib.check(name in self.samples, f"no {name}")
        return sum(s.value for s in self.samples[name] if labels.items() <= s.labels.items())


def scrape(ns):
    head, text, _ = server.curl(ns, URL)
    lib.check(head.startswith("HTTP/1.1 200 ") and "Content-Type: text/plain; version=0.0.4" in head, head)
    return Page(text.decode())


def tern(*words):
    return subprocess.run([sys.argv[1], *map(str, words)], capture_output=True, text=True, timeout=30)


def rows(control, *words):
    r = tern("ctl", "--socket", control, "--json", *words)
    lib.check(r.returncode == 0, f"{words}: {r}")
    return json.loads(r.stdout)["rows"]


# ---- tern lb
def agrees(ns, control):
    """Each figure that tern ctl shows too is the same there; nothing moves meanwhile but the clock."""
    page = scrape(ns)
    for s in rows(control, "show", "services"):
        said = {"service": s["service"]}
        up, all = map(int, s["backends"].split("/"))
        seen = [page.sum(f"tern_lb_service_{n}", **said)
                for n in ("connections", "accepted_total", "backends", "backends_serving", "connections_max")]
        lib.check(seen == [s["connections"], s["accepted"], all, up, s["limit"] or 0], f"{seen} {s}")
    for b in rows(control, "show", "backends"):
        service, name = b["backend"].split("/")
        said = {"service": service, "backend": name}
        seen = [page.sum(f"tern_lb_backend_{n}", **said) for n in ("connections", "connected_total", "failed_total", "weight")]
        lib.check(seen == [b["connections"], b["connected"], b["failed"], b["weight"]], f"{seen} {b}")
        lib.check(page.sum("tern_lb_backend_state", **said) == 1 == page.sum("tern_lb_backend_state", state=b["state"], **said), f"{b}")
        lib.check(page.sum("tern_lb_backend_info", address=b["address"], **said) == 1, f"{b}")
    for c in rows(control, "show", "cores"):
        said = {"core": str(c["core"])}
        seen = [page.sum(f"tern_{n}", **said) for n in ("connections", "connections_max", "time_wait")]
        lib.check(seen == [c["connections"], c["most"], c["time_wait"]], f"{seen} {c}")
        for name in [n for n in c if f"tern_lb_{n}_total" in page.samples]:
            lib.check(page.sum(f"tern_lb_{name}_total", **said) == c[name], f"{name}: {c}")
    pieces = {r["for"]: r["bytes"] for r in rows(control, "show", "memory") if not r["for"].endswith(" packets")}
    seen = {s.labels["piece"]: s.value for s in page.samples["tern_memory_bytes"] if not s.labels["piece"].endswith(" packets")}
    lib.check(seen == pieces, f"{seen}\n{pieces}")
    return page


def dashboard(page):
    """Every name in every query is one that is there, and every panel has one."""
    board = json.loads(DASHBOARD.read_text())
    lib.check(board["title"] and board["schemaVersion"] >= 36 and board["uid"], "no dashboard")
    ids = [p["id"] for p in board["panels"]]
    lib.check(len(ids) == len(set(ids)), "an id comes twice")
    said = set()
    for panel in board["panels"]:
        if panel["type"] == "row":
            continue
        lib.check(panel["targets"], f"{panel['title']} asks for nothing")
        for t in panel["targets"]:
            names = re.findall(r"\b[a-z]\w*(?=\{)", t["expr"])
            lib.check(names and "$instance" in t["expr"] and t["expr"].count("(") == t["expr"].count(")"), t["expr"])
            said.update(names)
            for name in names:
                counts = name.endswith("_total")
                lib.check(counts == bool(re.search(rf"(rate|increase)\({name}\{{", t["expr"])), f"{t['expr']}: a counter is asked for its rate")
    for v in board["templating"]["list"]:
        if v["type"] == "query":
            said.update(re.findall(r"label_values\((\w+)", v["query"]["query"]))
    missing = {n for n in said if n not in page.samples}
    lib.check(not missing and len(said) > 60, f"the dashboard asks for {sorted(missing)}, which nothing exposes")
    drawn = " ".join(p["title"] for p in board["panels"])
    for wanted in ("New connections", "How they ended", "What is remembered", "Load", "Packets", "Drops", "State"):
        lib.check(wanted in drawn, f"no panel '{wanted}'")


def balancer(folder):
    control = f"{folder}/control"
    above = f'[lb]\ncontrol = "{control}"\nmetrics = "{AT[0]}:{AT[1]}"\n'
    services = lb.config([f"{lb.backend_ip(i)}:8080" for i in range(3)], 'balance = "round_robin"\nmax_connections = 5000')
    with lb.over_veth(above + services, "--time-wait", "2s", tag="met") as b:
        world = echo.World(b.ns)
        try:
            for i in range(2):  # nobody listens at the third
                world.serve(f"b{i}", lb.backend_ip(i), 8080)
            first = agrees(b.far, control)
            lib.check(first.sum("tern_lb_accepted_total") == 0 and re.fullmatch(r"\d+\.\d+\.\d+", first.samples["tern_build_info"][0].labels["version"]),
                      "at the start")
            live = world.open(lb.TERN, N)
            lib.check(None not in live, f"of {N} clients {live.count(None)} were not let in")
            page = agrees(b.far, control)
            seen = {n: page.sum(f"tern_{n}") for n in ("lb_accepted_total", "lb_service_connections", "lb_backend_connections", "connections")}
            lib.check(seen == {"lb_accepted_total": N, "lb_service_connections": N, "lb_backend_connections": N, "connections": 2 * N}, f"{seen}")
            refused = page.sum("tern_lb_connect_refused_total")
            lib.check(refused > 0 and page.sum("tern_lb_backend_failed_total", backend="b2") == refused, f"{refused} refused")
            lib.check(page.sum("tern_lb_backend_up", backend="b2") == 0 and page.sum("tern_lb_backend_changes_total", backend="b2") == 1, "b2 is not down")
            lib.check(page.sum("tern_core_rx_packets_total") > first.sum("tern_core_rx_packets_total") + 3 * N, "packets")
            lib.check(page.sum("tern_tcp_handshake_done_total") >= N, "handshakes")
            lib.check(0 < page.sum("tern_core_busy_seconds_total") < 60 and page.sum("tern_cores_answer") == 1, "load")
            lib.check(page.sum("tern_packets_free") > 1000 and page.sum("tern_packets_used") < 1000, "packets of the pool")
            kinds = collections.Counter(page.kinds.values())
            case(f"figures move and are those of tern ctl show: {kinds['counter']} counters, {kinds['gauge']} gauges")

            lib.check(tern("ctl", "--socket", control, "backend", "drain", "web/b1").returncode == 0, "drain")
            world.close_all()
            lib.wait_until(lambda: scrape(b.far).sum("tern_connections") == 0, "all have ended")
            lib.wait_until(lambda: scrape(b.far).sum("tern_time_wait") == 0, "TIME-WAIT ends", 20)
            page = agrees(b.far, control)
            ended = sum(page.sum(n) for n in page.samples if n.startswith("tern_lb_ended_"))
            lib.check(ended == N and page.sum("tern_lb_backend_state", backend="b1", state="drain") == 1, f"{ended} ended")
            case("what has ended is told by its cause; a drained backend is")

            dashboard(page)
            case("the dashboard asks for what is there")

            starts(b, folder)
            reload(b, control)
            hostile(b, world)
        finally:
            world.end()
        with stalled(b.far):
            b.finish()
        case("a stop waits for no scrape")
    lib.check(b.count("connect_refused") == refused, f"{refused} were refused, {b.counters}")


def starts(b, folder):
    path = pathlib.Path(folder) / "other.toml"
    path.write_text('[ports]\nport = "net_null0"\nip = ["10.99.9.2/24"]\n' + lb.config(["10.99.9.11:80"]))
    def run(*words):
        r = b.far.run(sys.argv[1], "lb", "--config", path, *words, ok=False)
        return r.returncode, r.stdout.strip().splitlines()[-1]
    lib.check(run("--metrics", f"{AT[0]}:{AT[1]}") == (2, f"metrics: cannot listen on {AT[0]}:{AT[1]}: Address already in use; give another port with --metrics"), "in use")
    code, line = run("--metrics", "192.0.2.7:9464")
    lib.check(code == 2 and "192.0.2.7:9464: Cannot assign requested address; give an address that `ip address` lists" in line, line)
    for wrong in ("9464", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", "localhost:9464"):
        code, line = run("--metrics", wrong)
        lib.check(code == 2 and f"--metrics: '{wrong}' is not an address and a port to listen on" in line, line)
    lib.check(run("--check", "--metrics", f"{AT[0]}:{AT[1]}") == (0, "ok: 1 service, 1 backend"), "--check")
    r = b.far.run(sys.argv[1], "server", "--port", "net_null0", "--ip", "10.99.9.2/24", "--metrics", f"{AT[0]}:{AT[1]}", ok=False)
    lib.check(r.returncode == 2 and "Address already in use" in r.stdout, r.stdout)
    case("an address that is in use, another's or none: one line, exit 2; --check takes it")


def reload(b, control):
    was = b.path.read_text()
    b.path.write_text(was.replace(f":{AT[1]}", ":9465"))
    r = tern("ctl", "--socket", control, "reload")
    lib.check("changed, and waiting for a restart: metrics" in r.stdout, f"{r}")
    b.path.write_text(was)
    scrape(b.far)
    case("a reload that changes metrics says that it waits for a restart")


# ---- Who is no Prometheus
def connect(ns):
    with server.inside(ns):
        s = socket.socket()
    s.settimeout(20)
    s.connect(AT)
    return s


def told(ns, data):
    with contextlib.closing(connect(ns)) as s:
        s.sendall(data)
        return server.read_all(s)


@contextlib.contextmanager
def stalled(ns):
    """Some who say nothing, half of it, or ask and do not read."""
    with contextlib.ExitStack() as stack:
        for said in (b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n\r\n") * 8:
            stack.enter_context(contextlib.closing(s := connect(ns)))
            s.sendall(said)
        yield


def hostile(b, world):
    live = world.open(lb.TERN, N)
    whole = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    with contextlib.closing(connect(b.far)) as s:
        for i in range(len(whole)):
            s.sendall(whole[i:i + 1])
            time.sleep(0.01)
        lib.check(b"\ntern_build_info{" in server.read_all(s), "in pieces")
    lib.check(told(b.far, whole.replace(b"x", b"x" * 6000)).startswith(b"HTTP/1.1 200 "), "6 KB of headers")
    lib.check(told(b.far, whole.replace(b"x", b"x" * 200_000)).startswith(b"HTTP/1.1 431 "), "200 KB of headers")
    for said, status in [(b"GET / HTTP/1.1\r\n\r\n", 404), (b"GET /metricsx HTTP/1.1\r\n\r\n", 404), (b"DELETE /metrics HTTP/1.1\r\n\r\n", 405),
                         (b"\x16\x03\x01\x02\x00\x01", 400), (b"\0" * 5000, 400), (b"hello\r\n\r\n", 400), (b"PRI * HTTP/2.0\r\n\r\n", 505)]:
        answer = told(b.far, said)
        lib.check(answer.startswith(b"HTTP/1.1 %d " % status) and b"Connection: close\r\n" in answer, f"{said}: {answer}")
    lib.check(b"\r\nAllow: GET, HEAD\r\n" in told(b.far, b"POST /metrics HTTP/1.1\r\n\r\na=b"), "405 says what is allowed")
    head = told(b.far, b"HEAD /metrics HTTP/1.1\r\n\r\n")
    lib.check(head.startswith(b"HTTP/1.1 200 ") and head.endswith(b"\r\n\r\n") and b"Content-Length: " in head, head)
    case("in pieces, too long, garbage, other paths and methods: each is told so")

    for _ in range(50):
        with contextlib.closing(connect(b.far)) as s:
            s.sendall(whole)  # and leaves
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(contextlib.closing(connect(b.far))) for _ in range(300)]
        begin = time.monotonic()
        scrape(b.far)
        lib.check(time.monotonic() - begin < 15, "many who say nothing keep a scrape waiting")
        lib.check(all(server.read_all(s) == b"" for s in many), "who says nothing is hung up on")
    with stalled(b.far):
        for _ in range(5):
            scrape(b.far)
        lib.check(None not in live and world.alive(live) == N, "a scraper cost connections")
    case("who says nothing, leaves or does not read disturbs nobody")
    world.close_all()


# ---- tern server
def serves():
    with server.over_tap("--mode", "http", "--metrics", f"{AT[0]}:{AT[1]}", "--cores", "0,1", tag="mets") as s:
        for _ in range(5):
            server.curl(s.ns, f"http://{server.TERN}/", f"http://{server.TERN}/")
        page = scrape(s.ns)
        seen = [page.sum(f"tern_{n}_total") for n in ("server_requests", "core_accepted", "tcp_handshake_done")]
        lib.check(seen == [10, 5, 5], f"{seen}")
        lib.check({x.labels["core"] for x in page.samples["tern_core_accepted_total"]} == {"0", "1"}, "a row for each core")
        lib.check(not any(n.startswith("tern_lb_") for n in page.samples), "a server is no balancer")
        # Handshakes that stay half: their SYN-ACKs do not arrive.
        s.ns.run("iptables", "-I", "INPUT", "-p", "tcp", "--sport", "80", "--tcp-flags", "SYN,ACK", "SYN,ACK", "-j", "DROP")
        with contextlib.ExitStack() as stack:
            with server.inside(s.ns):
                half = [stack.enter_context(contextlib.closing(socket.socket())) for _ in range(3)]
            for h in half:
                h.setblocking(False)
                h.connect_ex((server.TERN, 80))
            lib.wait_until(lambda: scrape(s.ns).sum("tern_syn_received") == 3, "three handshakes are under way")
        with stalled(s.ns):
            counters = s.finish()
        lib.check(counters["accepted"] == 5, f"{counters}")
    case("tern server: two cores, its requests; a stop waits for no scrape")


def test():
    lib.need("curl", "iptables")
    parser()
    with tempfile.TemporaryDirectory(prefix="tern-metrics-") as folder:
        balancer(folder)
    serves()


if __name__ == "__main__":
    lib.main(test, limit=115)
