#!/usr/bin/env python3
"""port/lb_churn.py for 15 s: everything at once, as scripts/test-long has it for ten minutes.

usage: test_lb_churn.py <path of tern>
"""
# limit: 120
import lb_churn
import lib

lib.main(lambda: lb_churn.churn(15), limit=115)
