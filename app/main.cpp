#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <vector>

#include "app/command.hpp"
#include "base/file.hpp"
#include "runtime/settings/cli.hpp"
#include "runtime/settings/error.hpp"

namespace tern::app {
namespace {

// Built for a newer machine than this one, the program would die of an illegal instruction, saying nothing.
bool machine_is_new_enough() {
#ifdef __AVX2__
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2")) {
    std::fputs(
        "tern: this program was built for x86-64-v3 (AVX2, BMI2), which this machine is not; "
        "build it anew with: ISA=native scripts/build release\n",
        stderr);
    return false;
  }
#endif
  return true;
}

// A disk that is full is told; a reader that has seen enough (| head) is not.
bool output_was_written() {
  const int why = std::fflush(stdout) == 0 ? why_unsaid() : errno;
  const bool whole = why == 0 && std::ferror(stdout) == 0;
  pollfd reader{.fd = STDOUT_FILENO, .events = 0, .revents = 0};
  if (whole || (::poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR) != 0)) return true;
  std::fprintf(stderr, "tern: standard output could not be written: %s\n",
               why != 0 ? std::strerror(why) : "some of it is missing");
  return false;
}

int run(int argc, char** argv) {
  CLI::App app("Tern: a kernel-bypass TCP endpoint on DPDK", "tern");
  app.set_version_flag("--version", "tern " TERN_VERSION);
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, Run>> runs;
  for (const Command& c : commands()) {
    CLI::App* const sub = app.add_subcommand(c.name, c.help);
    runs.emplace_back(sub, c.declare(*sub));
  }
  if (const auto done = settings::parse(app, argc, argv)) return *done;
  for (const auto& [sub, body] : runs)
    if (sub->parsed()) return body();
  return settings::exit_config; // not reached: one command is required
}

} // namespace
} // namespace tern::app

int main(int argc, char** argv) {
  if (!tern::app::machine_is_new_enough()) return 1;
  std::signal(SIGXFSZ, SIG_IGN); // a file beyond `ulimit -f` then is one that could not be written
  const int status = tern::settings::run_guarded([&] { return tern::app::run(argc, argv); });
  return status != 0 || tern::app::output_was_written() ? status : 1;
}
