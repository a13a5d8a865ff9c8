#!/usr/bin/env python3
"""scripts/lb-demo in its short form: balance, a backend killed and back, one drained, a reload, all while clients run.

usage: test_lb_demo.py <path of tern>
"""
# limit: 90
import os
import pathlib
import sys

script = pathlib.Path(__file__).resolve().parents[2] / "scripts/lb-demo"
os.execv(sys.executable, [sys.executable, str(script), "--short", "--tern", os.path.abspath(sys.argv[1])])
