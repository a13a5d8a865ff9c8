// What a core lends the engine: settings, counters, and where records and packets come from. No clock: `now`
// is an argument.
#pragma once

#include "base/pool.hpp"
#include "packet/packet.hpp"
#include "tcp/counters.hpp"
#include "tcp/settings.hpp"
#include "wire/tcp.hpp"

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

// How many packets are left of the pool, by its reserve (runtime/packet_watch.hpp). Control segments may take
// the last one; text stops before, the longer it would be kept the earlier:
//
//   low       below the reserve    what comes out of order is not kept, nor what comes for a user who does not
//                                  read, or who passed on more than a little that is not acknowledged
//   critical  below half of it     users' text is not copied into packets; text is taken only for connections
//                                  that hold no packet
//   dire      below three eighths  and of these only for who was given some since packets became scarce: he let
//                                  go of it
//   last      below a quarter      no text in; out of the queues, which hold packets until it is acknowledged, a
//                                  little
enum class Scarcity : std::uint8_t { none, low, critical, dire, last };

struct Env {
  const Settings& settings;
  TcpCounters& counters;
  PacketPool packets; // for segments on their way out
  SidePools side;
  Scarcity scarcity = Scarcity::none;
  // Segments with text that may leave yet at the last; who looks at what is left allows some now and then.
  mutable std::uint32_t text_at_last = 0;

  void count(Counter c, std::uint64_t n = 1) const { counters.add(c, n); }
};

// Options that were passed over cost one pass over 40 bytes, whatever they are; that they came is counted.
inline void count_odd_options(const Env& env, const wire::TcpOptions& o) {
  using O = wire::TcpOptions;
  if ((o.has & O::odd_bits) == 0) [[likely]]
    return;
  if ((o.has & O::unknown_bit) != 0) env.count(Counter::options_unknown);
  if ((o.has & O::misfit_bit) != 0) env.count(Counter::options_misfit);
  if ((o.has & O::repeated_bit) != 0) env.count(Counter::options_repeated);
}

} // namespace tern::tcp
