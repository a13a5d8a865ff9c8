#!/usr/bin/env python3
"""scripts/bench-peers in its shortest form: wrk on tern server and nginx, and through tern lb and HAProxy; none failed.

usage: test_bench_peers.py <path of tern>
"""
# limit: 180
import os
import pathlib
import sys

script = pathlib.Path(__file__).resolve().parents[2] / "scripts/bench-peers"
os.execv(sys.executable, [sys.executable, str(script), "--seconds", "1", "--rounds", "1", "--tern", os.path.abspath(sys.argv[1])])
