#!/usr/bin/env python3
"""scripts/runner.py itself: what it counts, that a hang ends, that CI takes no skip, that Ctrl-C leaves nothing behind."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from lib import case, finish

RUNNER = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts/runner.py"


def tree(folder, tests):
    """A tree with a runner and these tests: name -> shell text."""
    root = pathlib.Path(folder)
    for part in ("scripts", "tests/install", "build"):
        (root / part).mkdir(parents=True)
    shutil.copy(RUNNER, root / "scripts")
    for name, text in tests.items():
        (root / "tests/install" / f"test_{name}.sh").write_text(text)
    return [sys.executable, str(root / "scripts/runner.py"), "--build", str(root / "build"), "--suites", "install"]


def run(tests, ci="false", more=()):
    with tempfile.TemporaryDirectory() as folder:
        r = subprocess.run([*tree(folder, tests), *more], capture_output=True, text=True, timeout=60,
                           env={**os.environ, "CI": ci}, stdin=subprocess.DEVNULL)
    return r.returncode, r.stdout.splitlines()[-1], r.stdout


def counts(name, tests, code, last, **how):
    seen = run(tests, **how)
    case(name, seen[:2] == (code, last), seen)
    return seen[2]


counts("a pass counts", {"a": "exit 0"}, 0, "1 passed, 0 failed")
counts("a failure counts", {"a": "exit 1", "b": "exit 0"}, 1, "1 passed, 1 failed")
counts("death by a signal is a failure", {"a": "kill -SEGV $$"}, 1, "0 passed, 1 failed")
counts("cases count one by one", {"a": "echo 'ok - x'; echo 'ok - y'; echo 'not ok - z'; exit 1"}, 1, "2 passed, 1 failed")
counts("a case that failed fails, whatever the exit code", {"a": "echo 'not ok - z'"}, 1, "0 passed, 1 failed")
counts("an exit code that failed fails, whatever the cases", {"a": "echo 'ok - x'; exit 3"}, 1, "1 passed, 1 failed")
said = counts("what a case said that failed is shown, however much follows",
              {"a": "echo '[ RUN      ] A.B'; echo 'the cause'; echo '[  FAILED  ] A.B (1 ms)'; seq 100; exit 1"}, 1,
              "0 passed, 1 failed")
case("and not the rest", "the cause" in said and "77" not in said, said)
said = counts("how a crash ends is shown", {"a": "seq 100; echo '[ RUN      ] A.B'; echo 'the cause'; kill -SEGV $$"}, 1,
              "0 passed, 1 failed")
case("with its cause", "the cause" in said, said)
said = counts("a skip is counted", {"a": "echo no wire; exit 77"}, 0, "0 passed, 0 failed, 1 skipped")
case("a skip says why", "no wire" in said, said)
counts("in CI a skip is a failure", {"a": "echo no wire; exit 77"}, 1, "0 passed, 1 failed", ci="true")
said = counts("a hang ends and fails", {"a": "# limit: 1\nsleep 50 & sleep 50"}, 1, "0 passed, 1 failed")
case("a hang is told", "hung" in said, said)
counts("the whole run has a limit", {"a": "sleep 50"}, 1, "0 passed, 1 failed", more=("--limit", "1"))
counts("no test is a failure", {}, 1, "0 passed, 1 failed")
counts("a pattern that fits nothing is a failure", {"a": "exit 0"}, 1, "0 passed, 1 failed", more=("zzz",))

with tempfile.TemporaryDirectory() as folder:
    note = pathlib.Path(folder) / "pid"
    command = tree(pathlib.Path(folder) / "tree", {"a": f"echo $$ > {note}.new; mv {note}.new {note}; sleep 50"})
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    waited = time.monotonic() + 20
    while not note.exists() and time.monotonic() < waited:
        time.sleep(0.05)
    pid = int(note.read_text())
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    gone = not pathlib.Path(f"/proc/{pid}").exists()
    case("Ctrl-C ends the test that runs, and exits 130", process.returncode == 130 and gone, (process.returncode, said))
finish()
