// What a core lends the engine: settings, counters, and where records and packets come from. No clock: `now`
// is an argument.
#pragma once

#include "base/pool.hpp"
#include "packet/packet.hpp"
#include "tcp/counters.hpp"
#include "tcp/settings.hpp"

namespace tern::tcp {

class Recovery;
struct TxLogBlock;
class Reassembly;
struct ReassemblyRange;
class SendQueue;
struct PieceBlock;

// Side records: what only a long or lossy connection needs. Any pool may be empty; the engine then does
// without, counted.
struct SidePools {
  Pool<Recovery>* recovery = nullptr;
  Pool<TxLogBlock>* tx_log = nullptr;
  Pool<Reassembly>* reassembly = nullptr;
  Pool<ReassemblyRange>* ranges = nullptr;
  Pool<SendQueue>* send_queues = nullptr;
  Pool<PieceBlock>* pieces = nullptr;
};

struct Env {
  const Settings& settings;
  TcpCounters& counters;
  PacketPool packets; // for segments on their way out
  SidePools side;

  void count(Counter c, std::uint64_t n = 1) const { counters.add(c, n); }
};

} // namespace tern::tcp
