#!/usr/bin/env python3
"""A browser draws the report page: every plot is there with finite coordinates, nothing is fetched, nothing complains.

usage: test_report_page.py <path of the report_page program>
"""
# limit: 240
import html.parser
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

import lib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import check_report  # noqa: E402

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr", "--v=0"]
PLOTS = 9


class Page(html.parser.HTMLParser):
    """Plots by label, each with what it draws; the embedded report; whatever would be fetched."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.plots, self.fetched, self.script, self.inside, self.text = {}, [], "", None, []

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        self.fetched += [v for k, v in a.items() if k in ("src", "href", "srcset", "data") and v]
        if tag == "svg":
            self.inside = self.plots.setdefault(a["aria-label"], {"path": [], "rect": [], "words": [], "classes": set()})
        elif self.inside is not None and tag in ("path", "rect"):
            numbers = a.get("d") or " ".join(a.get(k, "nan") for k in ("x", "y", "width", "height"))
            self.inside[tag].append(numbers)
            self.inside["classes"].update((a.get("class") or "").split())
        if tag == "script":
            lib.check(a.get("type") == "application/json", f"a script that runs: {a}")
            self.text = []

    def handle_endtag(self, tag):
        if tag == "svg":
            self.inside = None
        if tag == "script":
            self.script = "".join(self.text)

    def handle_data(self, data):
        self.text.append(data)
        if self.inside is not None:
            self.inside["words"].append(data.strip())


def browser():
    lib.need(root=False)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise lib.Skipped("needs chromium: apt-get install chromium")
    return chromium


def browse(chromium, home, page, *what, dark=False):
    """The browser's output for a page, and its complaints."""
    with tempfile.TemporaryDirectory(prefix="profile-", dir=home) as profile:
        r = lib.run(chromium, *FLAGS, f"--user-data-dir={profile}", f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                    *what, page.as_uri(), timeout=90, ok=False)
    lib.check(r.returncode == 0, f"{chromium} failed on {page.name}:\n{r.stdout[-2000:]}")
    # The browser's own pages complain too, of a slow network on a busy machine: those are not ours.
    complaints = [line for line in r.stdout.splitlines() if "CONSOLE" in line and "source: chrome://" not in line]
    lib.check(not complaints, f"{page.name}: {complaints}")
    return r.stdout


def check_page(chromium, home, name, curves):
    page = pathlib.Path(home) / f"{name}.html"
    dom = browse(chromium, home, page, "--dump-dom")
    parsed = Page()
    parsed.feed(dom[dom.index("<!DOCTYPE html>"):])
    lib.check(len(parsed.plots) == PLOTS, f"{name}: {len(parsed.plots)} plots: {list(parsed.plots)}")
    lib.check(not parsed.fetched, f"{name} fetches {parsed.fetched}")
    for label, plot in parsed.plots.items():
        bad = [d for d in plot["path"] + plot["rect"] if re.search(r"nan|inf|-\d{5}|\d{6}", d)]
        lib.check(not bad, f"{name}, {label}: no coordinates: {bad[:3]}")
    report = json.loads(parsed.script)
    on_disk = json.loads((pathlib.Path(home) / f"{name}.json").read_text())
    lib.check(report == on_disk, f"{name}: the embedded report is not the JSON file")
    lib.check(not check_report.problems(report), f"{name}: {check_report.problems(report)}")
    for label, least in curves.items():
        plot = next((p for known, p in parsed.plots.items() if known.startswith(label)), None)
        lib.check(plot is not None, f"{name}: no plot {label}")
        drawn = sum(d.count("L") for d in plot["path"]) + len(plot["rect"])
        lib.check(drawn >= least, f"{name}, {label}: {drawn} points and bars, at least {least} expected")
        titled = [w for w in plot["words"] if w]
        lib.check(len(titled) >= 5, f"{name}, {label}: axes without words: {titled}")
    return dom


def ink(png):
    """Size of a screenshot: a page that drew nothing compresses to almost nothing."""
    return pathlib.Path(png).stat().st_size


def test():
    chromium = browser()
    with tempfile.TemporaryDirectory(prefix="tern-page-") as home:
        lib.run(os.path.abspath(sys.argv[1]), home, timeout=60)
        dom = check_page(chromium, home, "sample", {
            "Connections completed": 59 + 60, "Service time": 59 * 4 + 60, "Failed connections": 9, "Busy share": 2 * 59,
            "Histogram: SYN": 30, "Histogram: request to first": 30, "Histogram: request to last": 30, "Histogram: FIN": 30,
            "Connections open": 2 * 59})
        lib.check("&lt;b&gt;a note&lt;/b&gt;" in dom, "the note's markup was not escaped")
        check_page(chromium, home, "wide", {"Connections completed": 200, "Busy share": 32 * 100})
        check_page(chromium, home, "calm", {"Connections completed": 4})
        check_page(chromium, home, "empty", {})
        shots = []
        for dark in (False, True):
            shots.append(pathlib.Path(home) / f"shot-{dark}.png")
            browse(chromium, home, pathlib.Path(home) / "sample.html", f"--screenshot={shots[-1]}", "--window-size=1280,2400",
                   dark=dark)
            lib.check(ink(shots[-1]) > 60_000, f"the page drew next to nothing: {ink(shots[-1])} bytes")
        lib.check(shots[0].read_bytes() != shots[1].read_bytes(), "light and dark are the same")


if __name__ == "__main__":
    lib.main(test, limit=235)
