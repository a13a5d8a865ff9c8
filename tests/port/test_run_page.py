#!/usr/bin/env python3
"""The page of a real run: a browser draws it without a complaint, and prints all of it.

usage: test_run_page.py <path of tern>
"""
# limit: 240
import pathlib
import re
import sys
import tempfile
import zlib

import lib
from client import ok
from test_report_page import browse, browser, check_page


def streams(pdf):
    """What the printed pages draw: each page's own drawing, inflated."""
    objects = {n: body for n, body in re.findall(rb"^(\d+) 0 obj\b(.*?)^endobj", pdf, re.M | re.S)}
    for body in objects.values():
        if not re.search(rb"/Type\s*/Page\b", body):
            continue
        contents = objects[re.search(rb"/Contents (\d+) 0 R", body).group(1)]
        raw = re.search(rb"stream\r?\n(.*?)\r?\nendstream", contents, re.S).group(1)
        yield zlib.decompress(raw) if b"FlateDecode" in contents else raw


def printed(chromium, home, drawn):
    """The page on paper: several sheets, none of them empty, and together no less than what the plots draw."""
    paper = pathlib.Path(home) / "run.pdf"
    browse(chromium, home, pathlib.Path(home) / "run.html", f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    pdf = paper.read_bytes()
    lib.check(pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF"), f"not a whole PDF: {len(pdf)} bytes")
    sheets = list(streams(pdf))
    lib.check(2 <= len(sheets) <= 20, f"{len(sheets)} sheets")
    shown = [len(re.findall(rb"\bTj\b|\bTJ\b", s)) for s in sheets]
    lib.check(min(shown) > 0, f"a sheet without words: {shown}")
    strokes = sum(len(re.findall(rb" (?:l|c|re)$", s, re.M)) for s in sheets)
    lib.check(strokes >= drawn, f"{strokes} strokes on paper, at least {drawn} expected")


def test():
    chromium = browser()
    with tempfile.TemporaryDirectory(prefix="tern-page-") as home:
        lib.run(sys.argv[1], "bench", "--quiet", "--idle", "adaptive", "--cps", "200", "--connections", "400", "--interval", "100ms",
                "--json", f"{home}/run.json", "--html", f"{home}/run.html", timeout=60)
        # 20 intervals, some of which a busy machine may leave out.
        curves = {"Connections completed": 10, "Latency": 4 * 5, "Busy share": 10, "Histogram: SYN": 3,
                  "Histogram: request to last": 3, "Connections open": 10}
        check_page(chromium, home, "run", curves)
        ok("the page of a run: every plot is drawn, nothing complains")
        printed(chromium, home, sum(curves.values()))
        ok("printed: every sheet has words, every plot its lines")


if __name__ == "__main__":
    lib.main(test, limit=235)
