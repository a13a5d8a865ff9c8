// What `tern bench` asks of its user.
#pragma once

#include <string>

#include "app/client/search.hpp"
#include "app/client/settings.hpp"
#include "io/impair.hpp"
#include "runtime/shard.hpp"

namespace tern::app {

struct BenchSettings {
  BenchSettings();
  LoadSettings load;
  SearchSettings search;
  OutputSettings output;
  NodeSettings node;
  std::string impair;
};

void declare(settings::Schema&, BenchSettings&);
// What the settings contradict; throws ConfigError before anything starts.
void check(const settings::Schema&, const BenchSettings&);
[[nodiscard]] io::Impairment impairment_of(const settings::Schema&, const BenchSettings&);

// One end's records.
[[nodiscard]] ShardSettings bench_shard(const settings::Schema&, const BenchSettings&, bool server);

} // namespace tern::app
