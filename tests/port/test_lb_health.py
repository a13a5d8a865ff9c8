"""`tern lb` while a backend dies and comes back under load: clients that were not on it notice nothing, it gets nothing
while it is down, and its share again when it is up."""
import collections
import re
import time

import lb
import lib
import server


def spread(ns, n=30):
    return collections.Counter(server.curl(ns, f"http://{lb.TERN}/")[1].decode().strip() for _ in range(n))


def test():
    lib.need("curl", "wrk", "nginx")
    config = lb.config([f"{lb.backend_ip(i)}:8080" for i in range(3)], 'balance = "round_robin"',
                       'check = "http"\npath = "/health"\ninterval = "500ms"\ntimeout = "500ms"\nrise = 2\nfall = 2')
    with lb.over_veth(config) as b, lb.nginx(b.ns, only=[0, 1]):
        with lb.nginx(b.ns, only=[2]) as third:
            lb.wait_for_service(b.ns)
            lib.wait_until(lambda: len(spread(b.ns, 6)) == 3, "all three are up", 15, 0.2)
            lib.check(spread(b.ns) == {"b0": 10, "b1": 10, "b2": 10}, "not even with all three")
            wrk = lb.in_thread(lambda: b.ns.run("wrk", "-t1", "-c8", "-d4s", "--timeout", "20s", "-H", "Connection: close",
                                                f"http://{lb.TERN}/", timeout=30))
            time.sleep(1)
            third.process.kill()  # master and, with it, the worker: connections there are reset, new ones refused
            out = wrk.join()
            print(out)
            errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
            if errors:
                connect, read, write, timeout = map(int, errors.groups())
                lib.check(connect == 0 and timeout == 0 and write == 0 and read <= 8,
                          f"more than what was open on the dead backend failed:\n{out}")
            lib.check("Non-2xx" not in out, out)
            lib.check(spread(b.ns, 10) == {"b0": 5, "b1": 5}, "a dead backend was tried")
        with lb.nginx(b.ns, only=[2]):
            lib.wait_until(lambda: "b2" in spread(b.ns, 3), "the third backend gets its share again", 10, 0.2)
            lib.check(spread(b.ns)["b2"] >= 9, "the third backend's share is small")
        counters = b.finish()
    print({k: v for k, v in counters.items() if k.startswith(("ended", "check", "connect"))})
    lib.check(counters["checks_failed"] >= 2 and counters["checks_passed"] >= 10, "hardly any checks")


lib.main(test)
