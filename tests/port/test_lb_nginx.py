"""`tern lb` before three nginx: curl and wrk as clients, 100 MB both ways, both families."""
# limit: 120
import collections
import os
import re
import tempfile

import lb
import lib
import server


def test():
    lib.need("curl", "wrk", "nginx")
    big = os.urandom(1 << 20) * 100
    addresses = [f"{lb.backend_ip(0)}:8080", f"[{lb.backend_ip(1, True)}]:8080", f"{lb.backend_ip(2)}:8080"]
    with lb.over_veth(lb.config(addresses, 'balance = "round_robin"')) as b, lb.nginx(b.ns, body=big):
        # Spread evenly over backends of both families, by clients of both.
        seen = collections.Counter()
        for i in range(12):
            host = f"[{lb.TERN6}]" if i % 2 else lb.TERN
            _, body, _ = server.curl(b.ns, f"http://{host}/")
            seen[body.decode().strip()] += 1
        lib.check(seen == {"b0": 4, "b1": 4, "b2": 4}, f"spread {dict(seen)}")

        _, body, _ = server.curl(b.ns, f"http://{lb.TERN}/big", timeout=60)
        lib.check(server.sha(body) == server.sha(big), "100 MB down arrived otherwise")
        with tempfile.NamedTemporaryFile(prefix="tern-up-") as f:
            f.write(big)
            f.flush()
            _, _, words = server.curl(b.ns, "-X", "POST", "--data-binary", f"@{f.name}", "-H", "Expect:",
                                      f"http://[{lb.TERN6}]/sink", timeout=60)
        lib.check(words[0] == "200", f"POST of 100 MB: {words}")

        out = b.ns.run("wrk", "-t1", "-c32", "-d3s", "--timeout", "20s", "--latency", f"http://{lb.TERN}/", timeout=30)
        print(out)
        lib.check("Socket errors" not in out and "Non-2xx" not in out, f"wrk saw errors:\n{out}")
        out = b.ns.run("wrk", "-t1", "-c16", "-d3s", "--timeout", "20s", "-H", "Connection: close",
                       f"http://{lb.TERN}/", timeout=30)
        print(out)
        lib.check("Socket errors" not in out or "connect 0" in out and "timeout 0" in out, f"wrk:\n{out}")
        lib.check(int(re.search(r"(\d+) requests in", out).group(1)) > 100, "hardly any new connections")
        counters = b.finish()
    print({k: v for k, v in counters.items() if not k.startswith(("rx_", "tx_", "polls"))})
    ended = sum(v for k, v in counters.items() if k.startswith("ended_"))
    # `accepted` stands twice, the balancer's and the core's: they are the same.
    lib.check(ended == counters["accepted"], f"{counters['accepted']} accepted, {ended} ended")
    lib.check(counters.get("ended_no_backend", 0) == 0, "a backend was missing")


lib.main(test, limit=120)
