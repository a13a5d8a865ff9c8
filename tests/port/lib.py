"""What the peer tests share: namespaces that go away whatever happens, programs ended by their own pid, waits with an end.

A test is a plain program: it exits 0 when it passed, 1 when it failed, 77 when this machine cannot run it (and says why).
"""
import collections
import contextlib
import ctypes
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SKIP = 77


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def main(test, limit=110):
    """Runs `test()` within `limit` seconds and exits as the rules above say."""
    def too_long(*_):
        raise Failed(f"took longer than {limit} s")
    def ended(*_):
        raise Failed("was told to stop")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1 << 16), hard))  # a login has 1,024, fewer than some tests open
    signal.signal(signal.SIGALRM, too_long)
    signal.signal(signal.SIGTERM, ended)  # so that namespaces are removed all the same
    signal.alarm(limit)
    try:
        test()
    except Skipped as why:
        print(f"skipped: {why}")
        sys.exit(SKIP)
    except (Failed, subprocess.SubprocessError, OSError) as why:
        print(f"FAILED: {why}")
        sys.exit(1)
    print("passed")
    sys.exit(0)


def check(condition, what):
    if not condition:
        raise Failed(what)


def need(*programs, root=True):
    """Skips the test unless the programs are there, and root if it is needed."""
    if root and os.geteuid() != 0:
        raise Skipped("needs root (or sudo) for network namespaces")
    for p in programs:
        if shutil.which(p) is None:
            raise Skipped(f"needs {p}: apt-get install the package that has it")


def run(*words, timeout=10, ok=True):
    """Runs a command to its end; its output, both streams. A failure is an error unless `ok` is False."""
    r = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       timeout=timeout)
    if ok and r.returncode != 0:
        raise Failed(f"{' '.join(map(str, words))}: exit {r.returncode}\n{r.stdout}")
    return r.stdout if ok else r


def ended_well(r, report):
    """A run that wrote this report ended with 0; or with 1 if it was a search that held no rate, as on a busy machine it may."""
    try:
        search = json.load(open(report))["summary"].get("search")
    except ValueError:
        search = None
    want = 1 if search and search["found_cps"] == 0 else 0
    check(r.returncode == want, f"{r.args}: exit {r.returncode}, not {want}\n{r.stdout}")


def wait_until(condition, what, seconds=10, step=0.05):
    """Calls `condition` until it gives something true, and gives that back."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(step)


class Namespace:
    def __init__(self, name):
        self.name = name

    def command(self, *words):
        return ["ip", "netns", "exec", self.name, *[str(w) for w in words]]

    def run(self, *words, **options):
        return run(*self.command(*words), **options)

    def ip(self, *words, **options):
        return run("ip", "-n", self.name, *words, **options)

    def write(self, sysctl, value):
        self.run("sysctl", "-q", "-w", f"{sysctl}={value}")


@contextlib.contextmanager
def namespace(tag):
    """A network namespace of our own, removed at the end."""
    name = f"tern-{tag}-{os.getpid()}"
    run("ip", "netns", "add", name)
    ns = Namespace(name)
    try:
        ns.ip("link", "set", "lo", "up")
        # New namespaces may inherit another congestion control than the one a test is about.
        ns.run("sysctl", "-q", "-w", "net.ipv4.tcp_congestion_control=cubic", ok=False)
        yield ns
    finally:
        run("ip", "netns", "del", name, ok=False)


@contextlib.contextmanager
def veth(tern_side, kernel_side, tern_name="tern0", kernel_name="peer0", kernel_addresses=(), mtu=1500):
    """A veth pair: one end for an AF_PACKET or AF_XDP port, the other with the kernel's addresses. Every offload that would hand
    AF_PACKET partial checksums or 64 KB frames is off; Tern's end has no address and no IPv6, or the kernel would answer too."""
    run("ip", "link", "add", tern_name, "netns", tern_side.name, "type", "veth",
        "peer", "name", kernel_name, "netns", kernel_side.name)
    bare(tern_side, tern_name, mtu)
    no_offloads(tern_side, tern_name)
    no_offloads(kernel_side, kernel_name)
    kernel_side.ip("link", "set", kernel_name, "mtu", mtu)
    give_addresses(kernel_side, kernel_name, kernel_addresses)
    yield  # the namespaces' end is the pair's end


def bare(ns, device, mtu=1500):
    """A device that only Tern speaks on: up, no address, no IPv6."""
    ns.write(f"net.ipv6.conf.{device}.disable_ipv6", 1)
    ns.ip("link", "set", device, "mtu", mtu, "up")


def no_offloads(ns, device):
    ns.run("ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off", "gro", "off", ok=False)


def give_addresses(ns, device, addresses):
    """Addresses usable at once: no wait for duplicate address detection."""
    ns.ip("link", "set", device, "up")
    for a in addresses:
        ns.ip("addr", "add", a, "dev", device, *(["nodad"] if ":" in a else []))


class Program:
    """A program that we started; ended by its pid, its output kept."""
    def __init__(self, process, log):
        self.process = process
        self.log = log

    def output(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def wait_for(self, text, seconds=20):
        """A text, or what a pattern matches."""
        def there():
            if re.search(text if isinstance(text, re.Pattern) else re.escape(text), self.output()):
                return True
            if self.process.poll() is not None:
                raise Failed(f"ended early with {self.process.returncode}:\n{self.output()}")
            return False
        try:
            wait_until(there, f"waiting for {text!r}", seconds)
        except Failed as e:
            raise Failed(f"{e}; its output ends:\n{self.output()[-2000:]}") from None

    def stop(self, seconds=10):
        """SIGTERM, then the exit code; killed, and a failure, if it does not end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"did not end within {seconds} s of SIGTERM:\n{self.output()}")


def _die_with_us():
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs us under nohup means us
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nothing of ours outlives us


@contextlib.contextmanager
def program(ns, *words):
    with tempfile.NamedTemporaryFile(prefix="tern-test-", suffix=".log") as log:
        command = ns.command(*words) if ns else [str(w) for w in words]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                   preexec_fn=_die_with_us)
        p = Program(process, log)
        try:
            yield p
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


@contextlib.contextmanager
def capture(ns, device, path):
    """Records what passes a device, until the end of the block."""
    # Immediate: else frames of the last second stay in the kernel's block and are lost. -U: written as it comes;
    # -s 0: whole frames; -B: room for a burst, in KiB.
    with program(ns, "tcpdump", "-i", device, "--immediate-mode", "-U", "-s", "0", "-B", "16384", "-w", path) as p:
        p.wait_for("listening on")
        yield
        time.sleep(0.2)
        # What passed before this mark, and was not lost, stands before it in the file.
        mark = os.urandom(32)
        def written():
            send_mark(ns, device, mark)
            return mark in pathlib.Path(path).read_bytes()
        wait_until(written, "the capture is written", 20, 0.1)
        p.stop()


def send_mark(ns, device, mark):
    """A frame of a protocol that is for experiments leaves the device: Tern counts drop_ether_type."""
    import server
    with server.inside(ns), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((device, 0))
        s.send(b"\xff" * 6 + b"\x02" + bytes(5) + b"\x88\xb5" + mark + bytes(32))


def once(rows):
    """Of (who, flags, bytes, seq, ack), who of two: (who, flags, bytes), but for what a stalled machine adds: a frame sent again
    as it was; an ACK of nothing new for each that the other side sent again; the RST of who was closed by the ACK before."""
    out, seen, acked, again, needless = [], set(), {}, collections.Counter(), []
    for who, flags, n, seq, ack in rows:
        takes_numbers = n > 0 or "S" in flags or "F" in flags
        if takes_numbers and (who, flags, n, seq, ack) in seen:
            again[who] += 1
            continue
        if flags == "A" and not takes_numbers and acked.get(who) == ack and again.total() > again[who]:
            other = next(w for w in again if w != who and again[w])
            again[other] -= 1
            needless.append((other, ack))
            continue
        if flags == "R" and (who, seq) in needless:
            needless.remove((who, seq))
            continue
        seen.add((who, flags, n, seq, ack))
        acked[who] = ack
        out.append((who, flags, n))
    return out


def tshark(path, display_filter):
    """Frames of a capture that match, one line each; checksums are verified."""
    return run("tshark", "--disable-protocol", "http", "-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
               "-Y", display_filter, timeout=60, ok=False).stdout.strip().splitlines()


def tshark_clean(path, allow_retransmissions=False):
    """No malformed frame, no bad checksum, no unexpected retransmission."""
    lines = lambda f: [l for l in tshark(path, f) if not l.startswith("Running as user")]
    # The kernel writes 0xffff where a sum is 0x0000 (CSUM_MANGLED_0), for TCP too: one segment of 65,536, and none of ours:
    # a sum over an address is never 0.
    bad = lines("!(tcp.checksum == 0xffff) && (_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0"
                " || icmp.checksum.status == 0 || icmpv6.checksum.status == 0 || arp.duplicate-address-detected)")
    check(not bad, "tshark finds bad frames:\n" + "\n".join(bad[:10]))
    if not allow_retransmissions:
        again = lines("tcp.analysis.retransmission || tcp.analysis.fast_retransmission")
        check(not again, "tshark finds retransmissions:\n" + "\n".join(again[:10]))
