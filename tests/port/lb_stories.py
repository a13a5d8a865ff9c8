"""Life stories of a proxied connection: what a client and a backend do, and what each sees. Played through `tern lb` and
through HAProxy, whose end must be the same. A story gets the client's socket and a way to accept the backend's."""
import errno
import socket
import struct
import time

import lib

SHORT, LONG = 0.3, 8


def text(n, seed=1):
    out = bytearray()
    while len(out) < n:
        seed = seed * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        out += seed.to_bytes(8, "little")
    return bytes(out[:n])


def see(s, seconds=LONG):
    """What comes until the end, and which end: "fin", "rst", or "open" when nothing more comes."""
    s.settimeout(seconds)
    got = bytearray()
    try:
        while piece := s.recv(1 << 16):
            got += piece
        return bytes(got), "fin"
    except (TimeoutError, socket.timeout):
        return bytes(got), "open"
    except ConnectionError:
        return bytes(got), "rst"


def exactly(s, n, seconds=LONG):
    s.settimeout(seconds)
    got = bytearray()
    while len(got) < n:
        piece = s.recv(n - len(got))
        lib.check(piece, f"the end after {len(got)} of {n} bytes")
        got += piece
    return bytes(got)


def unread(s, said):
    """All of it has come, and stays where it is."""
    s.settimeout(LONG)  # or the kernel would not wait for the first byte
    lib.wait_until(lambda: s.recv(len(said), socket.MSG_PEEK) == said, f"{said} comes", LONG)


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def met(client, accept):
    """Both ends, after a first exchange: so both are connected whatever the proxy waits for."""
    client.sendall(b"hello")
    backend = accept()
    lib.check(exactly(backend, 5) == b"hello", "the first word came otherwise")
    return backend


# ---- The stories: each returns what was seen, to be compared.

def client_closes_first(c, accept):
    b = met(c, accept)
    b.sendall(b"world")
    seen = [exactly(c, 5)]
    c.close()
    seen.append(see(b))
    b.close()
    return seen


def backend_closes_first(c, accept):
    b = met(c, accept)
    b.sendall(b"world")
    b.close()
    return [see(c)]


def client_half_closes(c, accept):
    b = met(c, accept)
    c.shutdown(socket.SHUT_WR)
    seen = [see(b)]
    time.sleep(SHORT)
    b.sendall(b"a late answer")
    b.close()
    return seen + [see(c)]


def backend_half_closes(c, accept):
    b = met(c, accept)
    b.sendall(b"all I have")
    b.shutdown(socket.SHUT_WR)
    seen = [see(c)]
    time.sleep(SHORT)
    c.sendall(b"but I go on")
    c.close()
    return seen + [see(b)]


def client_half_closes_then_a_megabyte_comes(c, accept):
    b = met(c, accept)
    c.shutdown(socket.SHUT_WR)
    seen = [see(b)]
    task = lib_thread(lambda: (b.sendall(text(1_000_000)), b.close()))  # more than all buffers on its way may hold
    seen.append(see(c))
    task()
    return seen


def backend_half_closes_then_a_megabyte_goes(c, accept):
    b = met(c, accept)
    b.shutdown(socket.SHUT_WR)
    seen = [see(c)]
    task = lib_thread(lambda: see(b))
    c.sendall(text(1_000_000, 3))
    c.close()
    return seen + [task()]


def both_half_close_at_once(c, accept):
    b = met(c, accept)
    c.shutdown(socket.SHUT_WR)
    b.shutdown(socket.SHUT_WR)
    return [see(b), see(c)]


def client_resets(c, accept):
    b = met(c, accept)
    reset(c)
    return [see(b)]


def backend_resets(c, accept):
    b = met(c, accept)
    reset(b)
    return [see(c)]


def backend_answers_then_resets(c, accept):
    b = met(c, accept)
    b.sendall(b"the last words")
    got = exactly(c, 14)
    reset(b)
    rest, end = see(c)
    return [(got + rest, end)]


def client_closes_with_text_unread(c, accept):
    b = met(c, accept)
    b.sendall(b"never read")
    unread(c, b"never read")
    c.close()  # the kernel sends RST: text was lost
    return [see(b)]


def backend_closes_with_text_unread(c, accept):
    b = met(c, accept)
    c.sendall(b"never read")
    unread(b, b"never read")
    b.close()
    return [see(c)]


def client_says_nothing_and_closes(c, accept):
    b = accept()
    time.sleep(SHORT)
    c.close()
    return [see(b)]


def client_says_nothing_and_waits(c, accept):
    b = accept()
    return [see(b, 1), see(c, SHORT)]


def backend_speaks_first(c, accept):
    b = accept()
    b.sendall(b"220 ready")
    seen = [exactly(c, 9)]
    c.sendall(b"QUIT")
    seen.append(exactly(b, 4))
    b.close()
    return seen + [see(c)]


def backend_closes_at_once(c, accept):
    accept().close()
    return [see(c)]


def one_byte_writes(c, accept):
    b = met(c, accept)
    said = text(300, 5)
    for i in range(len(said)):
        c.sendall(said[i:i + 1])
        b.sendall(said[i:i + 1])
    c.shutdown(socket.SHUT_WR)
    b.shutdown(socket.SHUT_WR)
    seen = [see(b), see(c)]
    lib.check(seen[0][0] == said and seen[1][0] == said, "one byte at a time came otherwise")
    return seen


def a_megabyte_each_way_at_once(c, accept):
    b = met(c, accept)
    up, down = text(1_000_000, 7), text(1_500_000, 9)

    def send(s, what):
        s.sendall(what)
        s.shutdown(socket.SHUT_WR)
    tasks = [lib_thread(lambda: send(c, up)), lib_thread(lambda: send(b, down)),
             lib_thread(lambda: see(b)), lib_thread(lambda: see(c))]
    seen = [t() for t in tasks][2:]
    lib.check(seen == [(up, "fin"), (down, "fin")], "a megabyte each way came otherwise")
    return seen


def dies_in_the_middle(sender, reader, seed):
    """Whoever reads sees a part, then RST; which part is chance."""
    sent = text(4_000_000, seed)
    sender.settimeout(1)
    try:
        sender.sendall(sent)
    except (TimeoutError, socket.timeout):
        pass
    reset(sender)
    got, end = see(reader)
    lib.check(sent.startswith(got), "what came before the end is not what was sent")
    return [end]


def backend_dies_in_the_middle(c, accept):
    return dies_in_the_middle(met(c, accept), c, 11)


def client_dies_in_the_middle(c, accept):
    b = met(c, accept)
    return dies_in_the_middle(c, b, 13)


def slow_reader_gets_it_all(c, accept):
    b = met(c, accept)
    sent = text(600_000, 17)
    task = lib_thread(lambda: (b.sendall(sent), b.close()))
    got = bytearray()
    for _ in range(10):
        got += exactly(c, 20_000)
        time.sleep(0.05)
    rest, end = see(c)
    task()
    lib.check(bytes(got) + rest == sent, "a slow reader got something else")
    return [end]


STORIES = [client_closes_first, backend_closes_first, client_half_closes, backend_half_closes,
           client_half_closes_then_a_megabyte_comes, backend_half_closes_then_a_megabyte_goes, both_half_close_at_once,
           client_resets, backend_resets, backend_answers_then_resets, client_closes_with_text_unread,
           backend_closes_with_text_unread, client_says_nothing_and_closes, client_says_nothing_and_waits,
           backend_speaks_first, backend_closes_at_once, one_byte_writes, a_megabyte_each_way_at_once,
           backend_dies_in_the_middle, client_dies_in_the_middle, slow_reader_gets_it_all]


def lib_thread(work):
    import lb
    task = lb.in_thread(work)
    return lambda: task.join(20)


def brief(seen):
    """For people: long text as its length."""
    def one(v):
        if isinstance(v, bytes) and len(v) > 40:
            return f"{len(v)} bytes"
        return tuple(one(x) for x in v) if isinstance(v, tuple) else v
    return [one(v) for v in seen]
