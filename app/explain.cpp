// tern explain STORY: the engine plays it in a simulated network, and the ladder is drawn.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "app/command.hpp"
#include "base/file.hpp"
#include "io/eal.hpp"
#include "runtime/settings/error.hpp"
#include "sim/story.hpp"

namespace tern::app {
namespace {

std::string list() {
  std::string s;
  for (const sim::Story& story : sim::stories()) s += fmt::format("  {:<20}{}\n", story.name, story.title);
  return s;
}

int explain(const std::string& name) {
  if (name.empty()) {
    say(fmt::format("tern explain STORY, where STORY is one of\n{}or all\n", list()));
    return 0;
  }
  if (name != "all" && sim::find_story(name) == nullptr) {
    fmt::print(stderr, "tern: there is no story '{}'; there are\n{}", name, list());
    return settings::exit_config;
  }
  // Packets need no huge pages here, and no port is opened.
  const io::Eal eal{{.memory_mb = 64, .huge_pages = io::HugePages::never}};
  rte_mempool* const pool =
      rte_pktmbuf_pool_create("explain", 1023, 0, 0, 2048 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
  if (pool == nullptr) {
    fmt::print(stderr, "tern: no memory for packets\n");
    return 1;
  }
  bool first = true;
  for (const sim::Story& story : sim::stories()) {
    if (name != "all" && story.name != name) continue;
    say((first ? "" : "\n") + sim::tell(story, PacketPool{pool}));
    first = false;
  }
  rte_mempool_free(pool);
  return 0;
}

} // namespace

Run declare_explain(CLI::App& app) {
  const auto name = std::make_shared<std::string>();
  app.add_option("story", *name, "which one; none lists them, 'all' tells them all");
  return [name] { return explain(*name); };
}

} // namespace tern::app
