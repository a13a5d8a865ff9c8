// Google Benchmark's main, with DPDK's EAL up first: the references (rte_timer, rte_hash) need it.
#include <benchmark/benchmark.h>
#include <rte_eal.h>
#include <rte_errno.h>

#include <array>
#include <cstdio>
#include <string>

#include "support/cpus.hpp"

int main(int argc, char** argv) {
  // Without huge pages, shared files or devices; its memory (MiB) is only touched as it is used.
  std::array<std::string, 9> words{argv[0],
                                   "--no-huge",
                                   "--no-shconf",
                                   "--no-pci",
                                   "--no-telemetry",
                                   "-m",
                                   "4096",
                                   tern::test::main_lcore_anywhere(),
                                   "--log-level=error"};
  std::array<char*, words.size()> args{};
  for (std::size_t i = 0; i < words.size(); ++i) args[i] = words[i].data();
  if (rte_eal_init(static_cast<int>(args.size()), args.data()) < 0) {
    std::fprintf(stderr, "bench-flow: EAL: %s\n", rte_strerror(rte_errno));
    return 1;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
