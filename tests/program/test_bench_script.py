#!/usr/bin/env python3
"""scripts/bench: its --help names every key, and what programs report becomes bench.json, medians and all."""
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import tempfile

from lib import case, finish, run

SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts/bench"
KEYS = ("flow_lookup_ratio_1m flow_lookup_ratio_10m flow_churn_ratio timer_ratio timer_ns timer_burst_us cookie_cycles "
        "syn_flood_mpps life_cycles_1k life_cycles_1m life_instructions bytes_per_connection").split()


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


def stage(name):
    """Of which stage scripts/bench takes this function to be."""
    loader = importlib.machinery.SourceFileLoader("bench", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench", loader))
    loader.exec_module(module)
    return [l for l in module.stages_of({name: 10.0}, 10.0).splitlines() if "%" in l][0].split("%  ")[1]


def main():
    core = "tern::Core<tern::io::MemoryPort, tern::(anonymous namespace)::Client>::"
    for name, of in ((f"void {core}send<tern::FlowKey4>(tern::Packet, bool)", "IP and Ethernet, to the port"),
                     (f"{core}receive(unsigned short)", "receive: classify, verify, parse, name, look up, free"),
                     ("tern::tcp::time_wait_arrives(tern::tcp::Env const&)", "end: output list, TIME-WAIT, records back"),
                     ("tern::FlowTable::insert(tern::FlowHash)", "flow table: insert, replace, erase"),
                     ("qsort", "the rest: libc, DPDK")):
        case(f"a function's stage: {of}", stage(name) == of, stage(name))
    help_ = run(SCRIPT, "--help")
    case("--help names every key", help_.returncode == 0 and all(k in help_.stdout for k in KEYS), help_)

    with tempfile.TemporaryDirectory() as d:
        bad = dict(rows("timer_ns", "timer_ns", [1])[0], error_occurred=True)
        program(d, "flow", rows("flow_lookup_ratio_1m/1000000/iterations:3000", "flow_lookup_ratio_1m", [3, 1, 2, 9, 2.5]) +
                rows("timer_burst/200/iterations:1", "timer_burst_us", [50, 60, 70]) +
                rows("timer_burst/1024/iterations:1", "timer_burst_us", [80, 20, 90]) + [bad] +
                [dict(r, lateness_ms=7) for r in rows("timer_burst/200/iterations:1", "timer_burst_us", [60])])
        program(d, "tcp", rows("cookie_cycles<Tuple4>/0", "cycles", [84.123456]) + rows("cookie_cycles<Tuple6>/0", "cycles", [124]))
        ran = run(SCRIPT, "--build-dir", d, "--out", d)
        written = json.loads((pathlib.Path(d) / "bench.json").read_text())
        case("bench.json has these keys and no others, flat", list(written) == KEYS, written)
        case("a figure is the median, aggregates aside", written["flow_lookup_ratio_1m"] == 2.5, written)
        case("of several benchmarks the worst", written["timer_burst_us"] == 80, written)
        case("a benchmark with an error gives no figure", written["timer_ns"] is None, written)
        case("four digits say enough", written["cookie_cycles"] == 84.12, written)
        line = [l for l in ran.stdout.splitlines() if l.startswith("timer_burst_us")]
        case("the goal stands beside the figure", len(line) == 1 and "80.0  goal <= 100, reached" in line[0], ran.stdout)
        case("a figure that misses it says so", "2.5  goal >= 2, reached" in ran.stdout and "not measured  goal >= 5 " in ran.stdout, ran.stdout)
        case("lateness and time to drain are told", "lateness_ms 7 (timer_burst/200/iterations:1)" in ran.stdout, ran.stdout)
        case("what was not measured ends with 1", ran.returncode == 1, ran)
        case("raw output lies beside it", (pathlib.Path(d) / "bench-raw/flow.json").exists(), os.listdir(d))
        none = run(SCRIPT, "--build-dir", d + "/nothing", "--out", d)
        case("no benchmarks: one line and a cure", none.returncode == 1 and "cure:" in none.stderr, none)
    finish()


main()
