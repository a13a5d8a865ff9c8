// What `tern bench` asks of its user.
#pragma once

#include <string>
#include <vector>

#include "app/bench/attack.hpp"
#include "app/client/search.hpp"
#include "app/client/settings.hpp"
#include "app/measure/reports.hpp"
#include "io/impair.hpp"
#include "net/interface.hpp"
#include "runtime/shard.hpp"

namespace tern::app {

struct BenchSettings {
  BenchSettings();
  LoadSettings load;
  SearchSettings search;
  OutputSettings output;
  NodeSettings node;
  std::vector<TargetRange> targets;
  std::vector<AttackSetting> attacks;
  std::string impair;
};

void declare(settings::Schema&, BenchSettings&);
// What follows from the settings, and what they contradict; throws ConfigError before anything starts.
[[nodiscard]] BenchSettings completed(const settings::Schema&, const BenchSettings&);
// With all that follows from them written out, for the report.
[[nodiscard]] BenchSettings in_full(const settings::Schema&, const BenchSettings&);
// Its options that such a run makes nothing of.
[[nodiscard]] std::vector<const char*> unused_options(const BenchSettings&);
[[nodiscard]] io::Impairment impairment_of(const settings::Schema&, const BenchSettings&);

// The CPUs of each end's cores, as many on either.
struct BenchCores {
  std::vector<unsigned> clients;
  std::vector<unsigned> servers;
  bool shared = false; // one CPU for several of them
};
[[nodiscard]] BenchCores cores_of(const settings::Schema&, const BenchSettings&);

// The records of each core of one end: one end's cores are given copies.
[[nodiscard]] ShardSettings bench_shard(const settings::Schema&, const BenchSettings&,
                                        const net::Interface& self, bool server, std::uint32_t cores);

} // namespace tern::app
