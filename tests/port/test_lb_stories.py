"""Twenty life stories of a connection through `tern lb` and through HAProxy (mode tcp), between the same clients and the
same backend: both ends see the same bytes and the same end, but for what DIFFERS names. And through HAProxy with `tern lb`
behind it: as through HAProxy alone, whoever of the two began it."""
# limit: 120
import contextlib

import lb
import lb_stories
import lib
import server

PORT = 9000

# Where we do otherwise: (HAProxy's, ours). HAProxy shows the other side an ordinary end when a backend resets, dies or is
# not there; a reset is carried through here, or whoever reads until the end would take a part for the whole.
DIFFERS = {
    "backend_resets": ([(b"", "fin")], [(b"", "rst")]),
    "backend_answers_then_resets": ([(b"the last words", "fin")], [(b"the last words", "rst")]),
    "backend_closes_with_text_unread": ([(b"", "fin")], [(b"", "rst")]),
    "backend_dies_in_the_middle": (None, ["rst"]),  # theirs is now one, now the other
    "client_dies_in_the_middle": (None, ["rst"]),
    "nobody_there": ([(b"", "fin")], [(b"", "rst")]),
}


def haproxy(ns):
    return lb.haproxy(ns, "tcp", f"""
listen web
  bind {lb.CLIENT}:{PORT}
  server b0 {lb.backend_ip(0)}:8080
listen nobody
  bind {lb.CLIENT}:{PORT + 1}
  retries 0
  server b0 {lb.backend_ip(0)}:8099
listen web_before_tern
  bind {lb.CLIENT}:{PORT + 2}
  server tern {lb.TERN}:80
listen nobody_before_tern
  bind {lb.CLIENT}:{PORT + 3}
  retries 0
  server tern {lb.TERN}:81
""", (lb.CLIENT, PORT + 1))


def nobody_there(connect):
    with contextlib.suppress(ConnectionError):  # it may be over already, before connect() itself returns
        with contextlib.closing(connect()) as c:
            c.sendall(b"to nobody")
            return [lb_stories.see(c)]
    return [(b"", "rst")]


def test():
    config = lb.config([f"{lb.backend_ip(0)}:8080"])
    config += f'[[service]]\nname = "nobody"\nlisten = ["*:81"]\n[[service.backend]]\naddress = "{lb.backend_ip(0)}:8099"\n'
    wrong = []
    with lb.over_veth(config) as b, lb.Backend(b.ns, lb.backend_ip(0)) as backend, haproxy(b.ns), server.inside(b.ns):
        def compare(name, theirs, ours, behind):
            print(f"{name}: {lb_stories.brief(ours)}")
            if behind != theirs and DIFFERS.get(name, theirs)[0] is not None:
                wrong.append(f"{name}: HAProxy {lb_stories.brief(theirs)}, with tern behind it {lb_stories.brief(behind)}")
            if name in DIFFERS:
                if ours != DIFFERS[name][1] or DIFFERS[name][0] not in (None, theirs):
                    wrong.append(f"{name}: HAProxy {lb_stories.brief(theirs)}, tern {lb_stories.brief(ours)}; "
                                 f"expected {DIFFERS[name]}")
            elif theirs != ours:
                wrong.append(f"{name}: HAProxy {lb_stories.brief(theirs)}, tern {lb_stories.brief(ours)}")

        for story in lb_stories.STORIES:
            seen = []
            for host, port in ((lb.CLIENT, PORT), (lb.TERN, 80), (lb.CLIENT, PORT + 2)):
                with contextlib.closing(server.connect(port, to=host)) as client:
                    seen.append(story(client, backend.accept))
            compare(story.__name__, *seen)
        compare("nobody_there", *[nobody_there(lambda: server.connect(port, to=host))
                                  for host, port in ((lb.CLIENT, PORT + 1), (lb.TERN, 81), (lb.CLIENT, PORT + 3))])
        counters = b.finish()
    ended = sum(v for k, v in counters.items() if k.startswith("ended_"))
    lib.check(ended == counters["accepted"], f"{counters['accepted']} accepted, {ended} ended")
    lib.check(not wrong, "\n".join(wrong))


lib.main(test, limit=120)
