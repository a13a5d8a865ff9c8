#!/usr/bin/env python3
# limit: 600
"""A stranger's program, built in a folder of its own against an installed Tern, by nothing but pkg-config.

usage: test_stranger.py <build directory>
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(sys.argv[1]).resolve()
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# Until there is runtime/tern.hpp: an address, and a setting.
PLAIN = """
#include <cstdio>
#include <base/ip.hpp>
#include <packet/packet.hpp>
#include <runtime/settings/schema.hpp>
int main() {
  const auto at = tern::Endpoint::parse("[2001:db8::1]:80");
  std::printf("%s %d\\n", at ? at->to_string().c_str() : "none", tern::settings::Value<tern::Duration>::parse("5s")->as_ms() == 5000);
}
"""

ECHO = """
#include <runtime/tern.hpp>
struct Echo {
  void on_data(tern::Connection c, tern::Payload& p) { c.send(p); }
  void on_peer_closed(tern::Connection c) { c.close(); }
};
int main(int argc, char** argv) { return tern::run<Echo>(argc, argv); }
"""


def run(what, command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, stdin=subprocess.DEVNULL, **more)
    if done.returncode != 0:
        print(f"not ok - {what}\n{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
        sys.exit(1)
    return done.stdout


def main():
    # The archive is not part of the default build; the install wants it, and the program.
    run("what is installed builds", ["ninja", "-C", str(BUILD), "lib/libtern.a", "app/tern"])
    with tempfile.TemporaryDirectory(prefix="tern-stranger-") as folder:
        stage = pathlib.Path(folder) / "stage"
        # --destdir keeps it off this machine; tern.pc is then told where it really stands.
        run("installs", ["meson", "install", "-C", str(BUILD), "--no-rebuild", "--destdir", str(stage)])
        where = next(stage.rglob("tern.pc"), None)
        if where is None:
            print("not ok - tern.pc is installed")
            sys.exit(1)
        print("ok - installs")
        prefix = str(where.parent).split("/lib/")[0]
        for pc in where.parent.glob("tern*.pc"):
            pc.write_text(re.sub(r"^prefix=.*", f"prefix={prefix}", pc.read_text(), flags=re.M))
        env = {**os.environ, "PKG_CONFIG_PATH": str(where.parent)}
        flags = run("pkg-config knows tern", ["pkg-config", "tern", "--cflags", "--libs"], env=env).split()
        built_for = [f for f in flags if f.startswith("-march=")]
        right = len(built_for) > 0 and built_for[-1] != "-march=corei7"
        print(f"{'ok' if right else 'not ok'} - the last -march is Tern's: {' '.join(built_for)}")
        echo = (ROOT / "lib/runtime/tern.hpp").exists()
        source = pathlib.Path(folder) / "stranger.cpp"
        source.write_text(ECHO if echo else PLAIN)
        program = str(source.with_suffix(""))
        compiler = os.environ.get("CXX", "g++").split()
        run("a stranger's program builds", [*compiler, "-O1", str(source), "-o", program, *flags])
        if echo:
            said = run("the echo server starts", [program, "--help"])
            good = "--" in said
        else:
            said = run("a stranger's program runs", [program])
            good = said == "[2001:db8::1]:80 1\n"
        print(f"{'ok' if good else 'not ok'} - a stranger's {'10-line echo' if echo else 'program'} builds and runs")
        if not good:
            print(said)
    sys.exit(0 if right and good else 1)


main()
