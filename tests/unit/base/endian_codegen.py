#!/usr/bin/env python3
"""Byte order costs one instruction: fails unless each function of endian_codegen.cpp is a movbe, or a mov and a swap."""
import re
import subprocess
import sys

*compiler, source = sys.argv[1:]
asm = subprocess.run(compiler + ['-S', '-o', '-', source], check=True, capture_output=True, text=True).stdout
functions, name = {}, None
for line in asm.splitlines():
    if m := re.match(r'([a-z_]+(?:16|32|64)(?:_host)?):', line):
        name = m[1]
        functions[name] = []
    elif name and (m := re.match(r'\s+([a-z]\w*)', line)):
        functions[name].append(m[1])
        if m[1].startswith('ret'):
            name = None

swaps = ('bswap', 'rol', 'ror', 'rorx', 'xchg')
bad = 0
for name, body in sorted(functions.items()):
    body = [i for i in body if not i.startswith(('ret', 'endbr'))]
    one = len(body) == 1 and body[0].startswith('movbe')
    two = len(body) == 2 and any(i.startswith('mov') for i in body) and any(i.startswith(swaps) for i in body)
    print(f'{"ok " if one or two else "BAD"} {name}: {" ".join(body)}')
    bad += not (one or two)
sys.exit(bad != 0 or len(functions) != 5)
