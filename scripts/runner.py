#!/usr/bin/env python3
"""Runs the tests of one build directory and counts test cases: the engine of scripts/test and .ci/run.

suites
  meson    what meson.build registers with test(); a gtest program counts once per test case
  checks   scripts/check-headers, which is too slow for `meson test`; the other checks are among meson's
  install  tests/install/test_*: a stranger's program against an installed Tern
  port     tests/port/test_*: peers and the kernel. Each runs in network, mount and process namespaces of its own, so
           that whatever it makes dies with it; its first argument is <build>/tests/port/<name> if there is such a
           program, else <build>/app/tern
A test is a program that exits 0 passed, 1 failed, 77 skipped (and says why). Lines `ok - case` and `not ok - case`
count as cases of their own. `# limit: 300` in its first ten lines gives it more than the usual seconds.
Under CI=true a skip is a failure: there, everything must run.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
SKIP = 77
GRACE = 5  # seconds between the request to stop and the end
Test = collections.namedtuple("Test", "name command env limit gtest workdir", defaults=({}, 120, False, str(ROOT)))
# passed: names; failed, skipped: name -> why
Result = collections.namedtuple("Result", "passed failed skipped seconds output")
SANDBOX = "mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && mount -t sysfs sysfs /sys && exec \"$@\""

say_lock = threading.Lock()
running = {}  # name -> (process, since)
stopping = threading.Event()


def say(text):
    with say_lock:
        print(text, flush=True)


def end(process):
    """Ends one test: its own process group, by the pid that we started."""
    for signum, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
        try:
            os.killpg(process.pid, signum)
            process.wait(patience)
        except ProcessLookupError:
            return
        except PermissionError:  # a test under sudo
            subprocess.run(["sudo", "-n", "kill", f"-{int(signum)}", "--", f"-{process.pid}"], check=False)
        except subprocess.TimeoutExpired:
            continue


def execute(test, deadline):
    """(exit code or None when it hung, output, seconds)"""
    begun = time.monotonic()
    limit = max(1.0, min(test.limit, deadline - begun))
    with tempfile.TemporaryFile(mode="w+", errors="replace") as log:
        process = subprocess.Popen(test.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                   cwd=test.workdir, env={**os.environ, **test.env}, start_new_session=True)
        running[test.name] = (process, begun)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            end(process)
            code = None
        finally:
            running.pop(test.name, None)
        log.seek(0)
        output = log.read()
    if code is None:
        output += f"\nhung: killed after {limit:.0f} s\n"
    return code, output, time.monotonic() - begun


def gtest_cases(xml_path):
    """(passed, failed, skipped) from what gtest wrote; None when it wrote nothing (it crashed or was killed)."""
    try:
        tree = xml.etree.ElementTree.parse(xml_path)
    except (OSError, xml.etree.ElementTree.ParseError):
        return None
    passed, failed, skipped = [], {}, {}
    for case in tree.iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None:
            failed[name] = "; ".join((f.get("message") or "").strip().split("\n")[0] for f in case.iter("failure"))
        elif case.get("result") in ("skipped", "suppressed") or case.get("status") == "notrun":
            skipped[name] = "skipped by the test, or disabled"
        else:
            passed.append(name)
    return passed, failed, skipped


def last_words(output):
    lines = [l for l in output.strip().splitlines() if l.strip()]
    return lines[-1][:200] if lines else "no output"


def what_failed(output, most=40):
    """The lines to show: what each failed case of a gtest said, else how the output ends."""
    shown, case = [], None
    for line in output.rstrip().splitlines():
        if line.startswith("[ RUN      ] "):
            case = []
        if case is not None:
            case.append(line)
        if line.startswith("[  FAILED  ] ") and case:
            shown += case[-most:]
        if line.startswith(("[  FAILED  ] ", "[       OK ] ", "[  SKIPPED ] ")):
            case = None
    if case is not None or not shown:  # it ended in the middle of one, or is no gtest
        shown += [l for l in output.rstrip().splitlines() if not re.match(r"(ok - |\[ +(OK|RUN) )", l)][-most:]
    return shown[:5 * most]


def run_one(test, deadline):
    if stopping.is_set():
        return Result([], {test.name: "not run: interrupted"}, {}, 0, "")
    if time.monotonic() >= deadline:
        return Result([], {test.name: "not run: the time limit of the whole run is over"}, {}, 0, "")
    with tempfile.TemporaryDirectory(prefix="tern-test-") as scratch:
        if test.gtest:
            path = os.path.join(scratch, "cases.xml")
            test = test._replace(command=[*test.command, f"--gtest_output=xml:{path}"])
        code, output, seconds = execute(test, deadline)
        cases = gtest_cases(path) if test.gtest else None
    if test.gtest:
        passed, failed, skipped = cases or ([], {}, {})
        if code != 0 and not failed:
            begun = re.findall(r"^\[ RUN      \] (\S+)", output, re.M)
            failed[f"{test.name}: {begun[-1] if begun else 'start'}"] = \
                "hung" if code is None else f"ended with {code}: {last_words(output)}"
        if code == 0 and not passed and not skipped:
            failed[test.name] = "reported no test case"
        return Result(passed, failed, skipped, seconds, output)
    if code == SKIP:
        return Result([], {}, {test.name: last_words(output)}, seconds, output)
    passed = [f"{test.name}: {c}" for c in re.findall(r"^ok - (.+)$", output, re.M)]
    failed = {f"{test.name}: {c}": "not ok" for c in re.findall(r"^not ok - (.+)$", output, re.M)}
    if code != 0 and not failed:
        failed[test.name] = last_words(output)
    if code == 0 and not failed and not passed:
        passed = [test.name]
    return Result(passed, failed, {}, seconds, output)


def limit_of(path, usual):
    with open(path, errors="replace") as f:
        head = "".join(line for _, line in zip(range(10), f))
    found = re.search(r"^# limit: (\d+)", head, re.M)
    return int(found.group(1)) if found else usual


def meson_tests(build):
    listed = json.loads(subprocess.run(["meson", "introspect", "--tests", str(build)], check=True,
                                       capture_output=True, text=True).stdout)
    for t in listed:
        yield Test(t["name"], t["cmd"], t["env"], max(300, 2 * int(t["timeout"])), t["protocol"] == "gtest",
                   t["workdir"] or str(build))


def scripts_in(folder, pattern, arguments, usual=120):
    by_suffix = {".py": [sys.executable], ".sh": ["bash"]}  # so that a mode bit forgotten loses no test
    for path in sorted((ROOT / folder).glob(pattern)):
        if path.is_file() and path.suffix in ("", *by_suffix):
            command = [*by_suffix.get(path.suffix, []), str(path), *arguments(path)]
            yield Test(f"{folder}/{path.name}", command, {}, limit_of(path, usual))


def port_tests(build):
    def program(path):
        own = build / "tests/port" / re.sub(r"^test_|\.\w+$", "", path.name)
        return [str(own if own.exists() else build / "app/tern")]
    root = [] if os.geteuid() == 0 else ["sudo", "-n", "--preserve-env=CI,TERN_BUILD,TERN_ROOT"]
    space = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", SANDBOX, "sh"]
    for t in scripts_in("tests/port", "test_*", program):
        yield t._replace(command=[*root, *space, *t.command])


def cannot_make_namespaces():
    """Why tests/port cannot run here, with the cure; empty when they can."""
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if root and shutil.which("sudo") is None:
        return "neither root nor sudo is here; run scripts/test as root"
    tried = subprocess.run([*root, "unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "sh", "-c", SANDBOX,
                            "sh", "true"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if tried.returncode == 0:
        return ""
    return (f"no namespaces ({last_words(tried.stderr)}); in a container, start it with --privileged, "
            "elsewhere run as root or with a sudo that asks no password (sudo -v before)")


def collect(suites, build):
    """(tests that may run side by side, tests that may not, tests that cannot run: name -> why)"""
    together, alone, cannot = [], [], {}
    for suite in suites:
        if suite == "meson":
            together += meson_tests(build)
        elif suite == "checks":
            together += scripts_in("scripts", "check-headers", lambda _: [str(build)], usual=900)
        elif suite == "install":
            together += scripts_in("tests/install", "test_*", lambda _: [str(build)], usual=600)
        elif suite == "port":
            why = cannot_make_namespaces()
            for t in port_tests(build):
                if why:
                    cannot[t.name] = why
                else:
                    alone.append(t)
        else:
            sys.exit(f"--suites: no such suite: {suite}; there are meson, checks, install, port")
    return together, alone, cannot


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, {}, {}

    def add(self, test, result):
        skipped = dict(result.skipped)
        failed = dict(result.failed)
        if os.environ.get("CI") == "true":
            failed.update({n: f"skipped, and CI must run everything: {w}" for n, w in skipped.items()})
            skipped = {}
        self.passed += len(result.passed)
        self.failed.update(failed)
        self.skipped.update(skipped)
        word = "FAILED " if failed else "skipped" if skipped and not result.passed else "ok     "
        count = len(result.passed) + len(failed) + len(skipped)
        say(f"   {word} {test.name} ({count} case{'s' * (count != 1)}, {result.seconds:.1f} s)")
        if failed and result.output:
            say("\n".join("      | " + l for l in what_failed(result.output)))
        for name, why in skipped.items():
            say(f"      SKIPPED {name}: {why}")


def heartbeat():
    while not stopping.wait(10):
        now = time.monotonic()
        slow = [f"{n} ({now - since:.0f} s)" for n, (_, since) in list(running.items()) if now - since > 5]
        if slow:
            say(f"   running: {', '.join(slow)}")


def interrupted(*_):
    stopping.set()
    say("\ninterrupted: ending " + (", ".join(running) or "nothing"))
    for process, _ in list(running.values()):
        end(process)
    os._exit(130)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", required=True, type=pathlib.Path)
    options.add_argument("--suites", default="meson,checks,install,port")
    options.add_argument("--limit", type=float, default=1500, help="seconds for everything")
    options.add_argument("--without", default="", help="leave out the tests whose name begins so")
    options.add_argument("patterns", nargs="*", help="only the tests whose name holds one of these")
    options = options.parse_args()
    build = options.build.resolve()
    os.environ.update(TERN_BUILD=str(build), TERN_ROOT=str(ROOT))
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    threading.Thread(target=heartbeat, daemon=True).start()

    def wanted(name):
        if options.without and name.startswith(options.without):
            return False
        return not options.patterns or any(p in name for p in options.patterns)

    begun = time.monotonic()
    deadline = begun + options.limit
    together, alone, cannot = collect(options.suites.split(","), build)
    tally = Tally()
    # The longest start first, so that the end is not spent waiting for one of them.
    together = sorted((t for t in together if wanted(t.name)), key=lambda t: -t.limit)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        futures = {pool.submit(run_one, t, deadline): t for t in together}
        for done in concurrent.futures.as_completed(futures):
            tally.add(futures[done], done.result())
    for t in (t for t in alone if wanted(t.name)):
        tally.add(t, run_one(t, deadline))
    for name, why in cannot.items():
        if wanted(name):
            tally.add(Test(name, []), Result([], {}, {name: why}, 0, ""))
    stopping.set()

    if tally.passed == 0 and not tally.failed and not tally.skipped:
        tally.failed["everything"] = "no test found" + (" with that name" if options.patterns else "")
    say(f"== {time.monotonic() - begun:.0f} s")
    for name, why in tally.failed.items():
        say(f"   FAILED {name}: {why}")
    skipped = f", {len(tally.skipped)} skipped" if tally.skipped else ""
    say(f"{tally.passed} passed, {len(tally.failed)} failed{skipped}")
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
