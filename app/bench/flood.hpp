// The bad clients that hold no connection: packets without a state behind them, sent from a client's core
// between its turns. Good packets go first: what finds the link full is not sent, and counted.
#pragma once

#include <rte_cycles.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "app/bench/attack.hpp"
#include "io/port.hpp"
#include "packet/packet.hpp"
#include "runtime/shard.hpp"
#include "wire/ethernet.hpp"
#include "wire/tcp.hpp"

namespace tern::app {

inline constexpr std::size_t floods = 3; // kinds: syn_flood, forged_ack, rst_spray

struct FloodPlan {
  wire::Ethernet link;                // from the clients' end to the server's
  std::vector<Endpoint> targets;      // of one family
  Prefix spoofed;                     // whose addresses SYNs and ACKs bear: nobody's
  std::array<double, floods> rates{}; // packets a second, of this core
  std::uint64_t seed = 1;
  [[nodiscard]] bool any() const { return rates[0] > 0 || rates[1] > 0 || rates[2] > 0; }
};

// Of the packets asked for, those of one core: as of the load, for who has none ends before the others do.
[[nodiscard]] std::array<double, floods> flood_rates(std::span<const AttackSetting> attacks,
                                                     const LoadPlan& core);

// Writes the packets. Seeded.
class Forger {
 public:
  explicit Forger(const FloodPlan& plan) : plan_(plan), random_(plan.seed) {}
  // Empty: the pool is out. RSTs bear the name of a connection of `victims`, if there is one.
  [[nodiscard]] Packet make(AttackKind kind, Shard& victims, const PacketPool& pool);

 private:
  struct Tuple {
    Endpoint from;
    Endpoint to;
  };
  std::uint64_t next();
  [[nodiscard]] Tuple nobody();
  [[nodiscard]] Tuple victim(Shard& shard);
  [[nodiscard]] Packet frame(const Tuple& t, const wire::Tcp& tcp, const PacketPool& pool);

  const FloodPlan& plan_;
  std::uint64_t random_;
};

template <class Port>
class Flood {
 public:
  // `most_waiting`: packets on their way at which the link counts as full.
  Flood(const FloodPlan& plan, Port& port, io::QueueId queue, std::uint32_t most_waiting, PacketPool pool,
        Counters<Bad>& counters)
      : plan_(plan),
        forger_(plan_),
        port_(port),
        queue_(queue),
        most_waiting_(most_waiting),
        pool_(pool),
        counters_(counters) {}
  Flood(const Flood&) = delete;
  Flood& operator=(const Flood&) = delete;

  // Once a turn, after it: sends what is due; the cycles that took. What a core that was away has missed is not
  // made up for.
  std::uint64_t turn(Instant now, Shard& victims) {
    const std::uint64_t start = rte_rdtsc();
    bool sent = false;
    const double since = last_ == Instant{} ? 0 : std::min((now - last_).as_seconds(), most_away);
    last_ = now;
    for (std::size_t k = 0; k < floods; ++k) {
      if (plan_.rates[k] <= 0) continue;
      owed_[k] = std::min(owed_[k] + plan_.rates[k] * since, plan_.rates[k] * most_away + 1);
      const auto n = static_cast<unsigned>(std::min(owed_[k], double{most_a_turn}));
      owed_[k] -= n;
      for (unsigned left = n; left != 0;) left -= burst(static_cast<AttackKind>(k), left, victims);
      sent = sent || n != 0;
    }
    return sent ? rte_rdtsc() - start : 0;
  }

 private:
  static constexpr double most_away = 0.005; // seconds
  static constexpr unsigned most_a_turn = 128;

  unsigned burst(AttackKind kind, unsigned left, Shard& victims) {
    const unsigned n = std::min<unsigned>(left, io::burst_size);
    std::array<rte_mbuf*, io::burst_size> out;
    std::uint16_t made = 0;
    while (made < n && port_.tx_pending(queue_) < most_waiting_) {
      Packet p = forger_.make(kind, victims, pool_);
      if (!p) break;
      out[made++] = p.release();
    }
    const std::uint16_t sent = made == 0 ? made : port_.tx_burst(queue_, out.data(), made);
    counters_.add(static_cast<Bad>(kind), sent);
    if (sent < n) counters_.add(Bad::unsent, n - sent);
    return n;
  }

  const FloodPlan plan_;
  Forger forger_;
  Port& port_;
  io::QueueId queue_;
  std::uint32_t most_waiting_;
  PacketPool pool_;
  Counters<Bad>& counters_;
  Instant last_;
  std::array<double, floods> owed_{};
};

} // namespace tern::app
