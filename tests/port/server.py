"""`tern server` with the Linux kernel on the other side of net_tap or of a veth pair: what its tests share."""
import contextlib
import ctypes
import hashlib
import os
import re
import signal
import socket
import struct
import sys
import tempfile

import lib

TERN, KERNEL = "10.99.8.2", "10.99.8.1"
TERN6, KERNEL6 = "fd00:7e12:8::2", "fd00:7e12:8::1"
CLONE_NEWNET = 0x40000000


class Server:
    """A `tern server` that is ready; `ns` is where its peers live, `device` what they reach it by."""
    def __init__(self, program, ns, device):
        self.program = program
        self.ns = ns
        self.device = device

    def finish(self, seconds=10):
        """SIGINT as a person gives it; exit 0 and every packet given back. Gives the counters."""
        self.program.process.send_signal(signal.SIGINT)
        try:
            code = self.program.process.wait(seconds)
        except Exception:
            raise lib.Failed(f"did not end within {seconds} s of SIGINT:\n{self.program.output()}")
        out = self.program.output()
        lib.check(code == 0, f"exit {code} after SIGINT:\n{out}")
        lib.check("packets not given back: 0\n" in out, f"packets are missing:\n{out}")
        return {name: int(n) for name, n in re.findall(r"^  (\w+) +(\d+)$", out, re.M)}


@contextlib.contextmanager
def over_tap(*options, tag="server", tern=None):
    """The kernel's side of net_tap is the peer: it has the kernel's address, Tern has the other. `tern`: if the test's first
    argument is another program."""
    lib.need("ip", "sysctl", "ethtool")
    if not os.path.exists("/dev/net/tun"):
        raise lib.Skipped("needs /dev/net/tun: modprobe tun")
    with lib.namespace(tag) as ns, \
         lib.program(ns, tern or sys.argv[1], "server", "--port", "net_tap0,iface=tern0", "--ip", f"{TERN}/24",
                     *options) as program:
        program.wait_for("ready")
        ns.write("net.ipv6.conf.tern0.disable_ipv6", 1)
        lib.no_offloads(ns, "tern0")  # whole checksums: what a capture shows is what is checked
        lib.give_addresses(ns, "tern0", [f"{KERNEL}/24"])
        yield Server(program, ns, "tern0")


@contextlib.contextmanager
def over_veth(*options, tag="veth"):
    """Tern on one end of a veth pair through AF_PACKET, the kernel's addresses on the other."""
    lib.need("ip", "sysctl", "ethtool")
    with lib.namespace(tag + "t") as far, lib.namespace(tag + "k") as near, \
         lib.veth(far, near, kernel_addresses=[f"{KERNEL}/24", f"{KERNEL6}/64"]):
        with lib.program(far, sys.argv[1], "server", "--port", "net_af_packet0,iface=tern0", "--ip", f"{TERN}/24",
                         "--ip", f"{TERN6}/64", *options) as tern:
            tern.wait_for("ready")
            yield Server(tern, near, "peer0")


@contextlib.contextmanager
def inside(ns):
    """This thread, and those that it starts, in the namespace: its sockets are made there."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{ns.name}") as there:
        lib.check(setns(there.fileno(), CLONE_NEWNET) == 0, f"setns: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            setns(home.fileno(), CLONE_NEWNET)


def connect(port=80, seconds=5, before=None, to=TERN):
    """A socket of the kernel's connected to Tern; every call on it ends within `seconds`."""
    s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
    s.settimeout(seconds)
    if before:
        before(s)
    try:
        s.connect((to, port))
    except BaseException:
        s.close()
        raise
    return s


def reset_on_close(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_all(s):
    """Until the peer's FIN."""
    got = bytearray()
    while piece := s.recv(1 << 16):
        got += piece
    return bytes(got)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def body(size):
    """What `--mode http --response-size` sends."""
    return b"x" * (size - 1) + b"\n" if size else b""


def curl(ns, *words, timeout=20):
    """curl's answer: (headers as text, body, what -w gave as words). Fails if curl does."""
    with tempfile.TemporaryDirectory(prefix="tern-curl-") as folder:
        head, data = f"{folder}/head", f"{folder}/body"
        out = ns.run("curl", "-sS", "--max-time", timeout - 2, "-D", head, "-o", data,
                     "-w", "%{http_code} %{http_version} %{num_connects} %{size_download}\n", *words, timeout=timeout)
        with open(head) as h, open(data, "rb") as b:
            return h.read(), b.read(), out.split()
