#!/usr/bin/env python3
"""schema_test.py SAMPLE-REPORT: what the writer writes is what config/report.schema.json says, and the check can fail."""
import copy
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import check_report  # noqa: E402


def spoiled(report):
    """(what, report with one thing wrong)"""
    def change(what, edit):
        r = copy.deepcopy(report)
        edit(r)
        return what, r
    yield change("a field too many", lambda r: r["summary"].update(surprise=1))
    yield change("a field missing", lambda r: r["summary"]["latency_us"]["connect"].pop("p999"))
    yield change("text for a number", lambda r: r["summary"].update(cps="fast"))
    yield change("no number at all", lambda r: r["summary"].update(cps=None))
    yield change("a truth for a number", lambda r: r["summary"]["connections"].update(completed=True))
    yield change("negative", lambda r: r["intervals"][0].update(live=-1))
    yield change("a share beyond one", lambda r: r["summary"]["cores"][0].update(busy=1.01))
    yield change("an unknown role", lambda r: r["intervals"][0]["cores"][0].update(role="judge"))
    yield change("another schema", lambda r: r.update(schema=2))
    yield change("a local time", lambda r: r.update(started="yesterday"))
    yield change("a connection lost", lambda r: r["summary"]["connections"].update(unfinished=99))
    yield change("a total that is no sum", lambda r: r["intervals"][0]["failed"].update(total=7))
    yield change("drops of no reason", lambda r: r["intervals"][0].update(drops=1))
    yield change("a client core without latencies", lambda r: r["summary"]["cores"][0].pop("latency_us"))
    yield change("a server core's latencies", lambda r: r["summary"]["cores"][1].update(latency_us=r["summary"]["latency_us"]))
    yield change("a core's latencies of an interval",
                 lambda r: r["intervals"][0]["cores"][0].update(latency_us=r["intervals"][0]["latency_us"]))
    yield change("a core's latencies that do not add up", lambda r: r["summary"]["cores"][0]["latency_us"]["close"].update(count=7))
    yield change("no cycles of a core", lambda r: r["intervals"][0]["cores"][0].pop("cycles_per_connection"))
    yield change("a bar lost", lambda r: r["summary"]["histogram"]["response"].pop())
    yield change("a setting that is no text", lambda r: r["config"].update(cps=5))


def spoiled_of_a_server(served, sample):
    """What a server cannot know may not stand in its report; what a client knows may not be missing in a client's."""
    for field in ("latency_us", "closed_loop", "histogram", "attacks", "client_limited"):
        r = copy.deepcopy(served)
        r["summary"][field] = sample["summary"][field]
        yield f"a server's {field}", r
        r = copy.deepcopy(sample)
        del r["summary"][field]
        yield f"no {field}", r
    for field in ("offered_cps", "latency_us", "attack_open"):
        r = copy.deepcopy(served)
        r["intervals"][3][field] = sample["intervals"][3][field]
        yield f"a server's {field} of an interval", r
        r = copy.deepcopy(sample)
        del r["intervals"][3][field]
        yield f"no {field} of an interval", r
    for where in (lambda r: r["summary"]["connections"], lambda r: r["intervals"][0]):
        r = copy.deepcopy(served)
        where(r)["failed"]["refused"] = 0
        yield "a server's connections refused", r
        r = copy.deepcopy(served)
        where(r)["failed"]["unreachable"] = 0
        yield "a server's targets unreachable", r
        r = copy.deepcopy(sample)
        where(r)["failed"]["aborted"] = 0
        yield "a client's connections aborted by the server", r
    r = copy.deepcopy(served)
    r["summary"]["cycles_per_connection"]["client"] = 0
    yield "the client's cycles in a server's report", r
    for told, by in ((served, "server"), (sample, "client")):
        for field in ("requests", "requests_per_second"):
            r = copy.deepcopy(told)
            del r["summary"][field]
            yield f"no {field} of a {by}", r
    r = copy.deepcopy(served)
    del r["summary"]["accepted_per_second"]
    yield "a server that does not tell what it accepted", r
    r = copy.deepcopy(sample)
    r["summary"]["accepted_per_second"] = 1
    yield "what a client accepted", r


def main(sample_report):
    bad = 0
    with tempfile.TemporaryDirectory(prefix="tern-schema-") as d:
        subprocess.run([sample_report, d], check=True)
        files = sorted(pathlib.Path(d).glob("*.json"))
        assert len(files) == 5, files
        for path in files:
            for line in check_report.problems(json.loads(path.read_text())):
                print(f"{path.name}: {line}")
                bad = 1
        sample, served = (json.loads((pathlib.Path(d) / f"{name}.json").read_text()) for name in ("sample", "server"))
        for what, report in [*spoiled(sample), *spoiled_of_a_server(served, sample)]:
            if not check_report.problems(report):
                print(f"not seen: {what}")
                bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
