#!/usr/bin/env python3
"""scripts/bench: its --help names every key, and what programs report becomes bench.json, medians and all."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts/bench"
KEYS = ("flow_lookup_ratio_1m flow_lookup_ratio_10m flow_churn_ratio timer_ratio timer_ns timer_burst_us cookie_cycles "
        "syn_flood_mpps life_cycles_1k life_cycles_1m life_instructions bytes_per_connection").split()
failed = False


def case(name, good, seen):
    global failed
    print(f"{'ok' if good else 'not ok'} - {name}")
    if not good:
        print(seen)
        failed = True


def program(folder, name, benchmarks):
    """A stand-in for bench-<name>: reports these benchmarks where --benchmark_out says."""
    at = pathlib.Path(folder) / f"bench/{name}/bench-{name}"
    at.parent.mkdir(parents=True)
    at.write_text(f"""#!/usr/bin/env python3
import sys
out = [a.split("=", 1)[1] for a in sys.argv if a.startswith("--benchmark_out=")][0]
open(out, "w").write({json.dumps({"benchmarks": benchmarks})!r})
""")
    at.chmod(0o755)


def rows(name, counter, values):
    each = [{"name": name, "run_name": name, "run_type": "iteration", counter: v} for v in values]
    return each + [{"name": name + "_mean", "run_name": name, "run_type": "aggregate", counter: 1e9}]


def main():
    help_ = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True)
    case("--help names every key", help_.returncode == 0 and all(k in help_.stdout for k in KEYS), help_)

    with tempfile.TemporaryDirectory() as d:
        bad = dict(rows("timer_ns", "timer_ns", [1])[0], error_occurred=True)
        program(d, "flow", rows("flow_lookup_ratio_1m/1000000/iterations:3000", "flow_lookup_ratio_1m", [3, 1, 2, 9, 2.5]) +
                rows("timer_burst/200/iterations:1", "timer_burst_us", [50, 60, 70]) +
                rows("timer_burst/1024/iterations:1", "timer_burst_us", [80, 20, 90]) + [bad])
        program(d, "tcp", rows("cookie_cycles<Tuple4>/0", "cycles", [84.123456]) + rows("cookie_cycles<Tuple6>/0", "cycles", [124]))
        ran = subprocess.run([SCRIPT, "--build-dir", d, "--out", d], capture_output=True, text=True)
        written = json.loads((pathlib.Path(d) / "bench.json").read_text())
        case("bench.json has these keys and no others, flat", list(written) == KEYS, written)
        case("a figure is the median, aggregates aside", written["flow_lookup_ratio_1m"] == 2.5, written)
        case("of several benchmarks the worst", written["timer_burst_us"] == 80, written)
        case("a benchmark with an error gives no figure", written["timer_ns"] is None, written)
        case("four digits say enough", written["cookie_cycles"] == 84.12, written)
        case("what was not measured ends with 1", ran.returncode == 1, ran)
        case("raw output lies beside it", (pathlib.Path(d) / "bench-raw/flow.json").exists(), os.listdir(d))
        none = subprocess.run([SCRIPT, "--build-dir", d + "/nothing", "--out", d], capture_output=True, text=True)
        case("no benchmarks: one line and a cure", none.returncode == 1 and "cure:" in none.stderr, none)
    sys.exit(1 if failed else 0)


main()
