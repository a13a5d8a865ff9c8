"""What the tests of the program from outside share: cases told one by one, commands run to their end."""
import subprocess
import sys

_failed = False


def case(name, good, seen):
    """Says how it went, and what was seen where that was not well."""
    global _failed
    print(f"{'ok' if good else 'not ok'} - {name}", flush=True)
    if not good:
        print(seen, flush=True)
        _failed = True


def run(*words):
    """Exit code, stdout and stderr, each by itself."""
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL)


def finish():
    """Ends the test as its cases went."""
    sys.exit(1 if _failed else 0)
