// tern bench: client and server in one process over an in-memory pair, one core each, or several.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/bench/pair.hpp"
#include "app/client/verdict.hpp"
#include "app/command.hpp"
#include "base/file.hpp"
#include "io/packet_memory.hpp"
#include "observe/text.hpp"

namespace tern::app {

LoadTexts bench_texts(const settings::Schema& schema, const LoadSettings& l) {
  LoadTexts t;
  if (l.payload == PayloadKind::http) {
    t.request = http_request(schema, l, "bench", false);
    t.last_request = http_request(schema, l, "bench", true);
    t.response = http_body(l.response_size);
  } else {
    t.request.assign(l.request_size, 'q');
    t.response = response_text(l.response_size);
  }
  return t;
}

namespace {

void run_over(io::MemoryPair& pair, const io::Impairment* harm, const settings::Schema& schema,
              const BenchSettings& b, rte_mempool* pool, observe::Result& result) {
  if (harm == nullptr) {
    Pair<io::MemoryPort>(schema, b, {pair.a(), pair.a()}, {pair.b(), pair.b()}, pool, result).go();
    return;
  }
  io::Impaired<io::MemoryPort> a(pair.a(), *harm, PacketPool{pool});
  io::Impairment other = *harm;
  other.seed ^= 0x9e3779b97f4a7c15;
  io::Impaired<io::MemoryPort> z(pair.b(), other, PacketPool{pool});
  Pair<io::Impaired<io::MemoryPort>>(schema, b, {a, pair.a()}, {z, pair.b()}, pool, result).go();
}

int run(const settings::Schema& schema, const BenchSettings& given) {
  BenchSettings b = completed(schema, given);
  io::Impairment harm = impairment_of(schema, b);
  catch_stop_signals();
  io::EalSettings eal_settings;
  eal_settings.huge_pages = b.node.huge_pages;
  const auto megabytes = static_cast<unsigned>(b.node.packet_memory.n >> 20);
  eal_settings.memory_mb = io::eal_megabytes_for(megabytes);
  const io::Eal eal(eal_settings);
  if (!eal.note().empty()) say(eal.note() + "\n");
  rte_mempool* pool = io::make_packet_pool("bench", megabytes, 512);
  // Half of all packets may be on their way, in both directions and all queues together.
  const auto links = static_cast<std::uint32_t>(2 * cores_of(schema, b).clients.size());
  harm.limit = std::max(harm.limit, pool->size / 2 / links);
  observe::Result result;
  settings::Schema in_force;
  BenchSettings told = in_full(schema, b);
  declare(in_force, told);
  describe_run(result, in_force, "bench", unused_options(b));
  {
    io::MemoryPair pair({.queues = static_cast<std::uint16_t>(cores_of(schema, b).clients.size()),
                         .mtu = b.node.mtu,
                         .ring_size = 4096,
                         .checksums = b.node.checksums});
    run_over(pair, b.impair.empty() ? nullptr : &harm, schema, b, pool, result);
  }
  if (const unsigned leaked = rte_mempool_in_use_count(pool); leaked != 0)
    result.summary.notes.push_back(fmt::format("{} packets were not given back: a bug of tern's", leaked));
  say(summary_text(result));
  const bool whole = !result.summary.interrupted && came_to_nothing(result.summary, b.load).empty();
  return write_reports(b.output, result) && whole ? 0 : 1;
}

} // namespace

Run declare_bench(CLI::App& app) {
  app.footer(exit_codes);
  return command_of<BenchSettings>(
      app, declare, run, [](const settings::Schema& s, const BenchSettings& given, const ArenaError& e) {
        const BenchSettings b = completed(s, given); // the bad clients, too
        fail_for_memory(s, b.node, connections_option(s, b.load, b.search.on), e);
      });
}

} // namespace tern::app
