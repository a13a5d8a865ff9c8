// The splice of one core: a client's connection ends here, a backend's begins here, and the text of each is
// handed to the other as it lies in its packets. A handler of `Core` (runtime/handler.hpp).
//
//   client ──▶ [ receive | unread ] ──lend──▶ [ send queue ] ──▶ backend
//                  ▲                                │ acknowledged
//                  └────────── window reopens ◀─────┘
//
// A byte keeps its sender's window down until the other end has acknowledged it, so what a pair holds is
// bounded by the two receive buffers, whoever is slow.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "app/lb/choose/credits.hpp"
#include "app/lb/choose/loads.hpp"
#include "app/lb/path/backends.hpp"
#include "app/lb/path/counters.hpp"
#include "app/lb/path/dials.hpp"
#include "app/lb/path/pair.hpp"
#include "app/lb/path/plan.hpp"
#include "app/lb/path/prober.hpp"
#include "app/lb/path/shedding.hpp"
#include "app/lb/path/standing.hpp"
#include "base/pool.hpp"
#include "flow/arena.hpp"
#include "runtime/core_handle.hpp"

namespace tern::app::lb {

// What the cores of a load balancer share.
struct Shared {
  Shared(unsigned cores, std::uint32_t source_records, SipKey key)
      : bank(cores), service_bank(cores, most_services), loads(cores), sources(source_records, key) {}
  Backends backends;
  CreditBank bank;         // of backends
  CreditBank service_bank; // of services
  LoadBoard loads;
  SourceTable sources;
  std::atomic<std::uint32_t> shedding{0}; // cores that reset pairs for want of packets
  std::atomic<std::uint64_t> shed{0};     // pairs that they reset
};

class Splice {
 public:
  // Room for so many pairs. One core of all checks the backends. Throws ArenaError.
  Splice(Shared& shared, std::shared_ptr<const Plan> plan, std::uint32_t pairs, bool checks,
         const std::string& who);
  Splice(const Splice&) = delete;
  Splice& operator=(const Splice&) = delete;

  // ---- Handler
  void on_start(CoreHandle& core);
  void on_accept(Connection c);
  void on_connected(Connection c);
  void on_data(Connection c, Payload& p);
  void on_writable(Connection c);
  void on_returned(Connection c, std::uint32_t bytes);
  void on_peer_closed(Connection c);
  bool on_end_unread(Connection c);
  void on_closed(Connection c, CloseReason why);
  void on_tick(Instant now);
  [[nodiscard]] static Duration tick_every() { return Duration::ms(4); } // at rest: nothing of it is urgent
  void on_drain();                                                       // no more checks

  // ---- On this core's thread alone: by CoreHandle::post.
  // Live pairs keep their backend; the numbers of the services and slots that they name mean the same.
  void publish(std::shared_ptr<const Plan> plan);
  // Resets every pair of this backend, or all of them.
  void kill(Slot slot);
  void kill_all();

  // Pairs whose client's connection, or, once that is gone, backend's has the number `from` or a higher one; `f(Pair&)`
  // for at most `most` of them, of so many connections that are looked at: a table of millions that is nearly empty is
  // walked in steps. The number to go on from; none when there are no more.
  template <class F>
  [[nodiscard]] std::optional<std::uint32_t> each_pair(std::uint32_t from, std::uint32_t most,
                                                       std::uint32_t looks, F&& f);
  template <class F>
  [[nodiscard]] std::optional<std::uint32_t> each_pair(std::uint32_t from, std::uint32_t most, F&& f) {
    return each_pair(from, most, 16'384, std::forward<F>(f));
  }
  // Resets one pair, as kill() does many.
  void kill(Pair& p);
  // What the backend that has a slot has seen on this core.
  struct SlotCounts {
    std::uint32_t serial = 0xffff'ffff; // which backend that is
    std::uint64_t tried = 0;
    std::uint64_t connected = 0;
    std::uint64_t failed = 0;
  };
  [[nodiscard]] const SlotCounts& slot_counts(Slot s) const { return slot_counts_[s]; }
  [[nodiscard]] std::uint64_t accepted(std::uint16_t service) const { return of_service_[service].accepted; }
  [[nodiscard]] const Plan& plan() const { return *plan_; }

  [[nodiscard]] const LbCounters& counters() const { return counters_; }
  [[nodiscard]] std::uint32_t pairs() const { return pairs_.used(); }
  [[nodiscard]] const CreditPurse& purse() const { return purse_; } // of backends
  [[nodiscard]] std::uint32_t open_of_service(std::uint16_t s) const { return service_purse_.open(s); }

 private:
  using Timer = MemberTimer<Pair, &Pair::hook, &Pair::due>;
  using Wheel = TimerWheel<Timer>;

  [[nodiscard]] std::uint64_t word_of(const Pair& p, Side s) const;
  [[nodiscard]] Pair& pair_of(std::uint64_t word) const;
  // The pair that is counted by this one of its two records; or none.
  [[nodiscard]] Pair* pair_told_by(const ConnectionRecord& r) const;
  [[nodiscard]] const Plan::Service& service_of(const Pair& p) const { return plan_->services[p.service]; }
  void count(Count c, std::uint64_t n = 1) { counters_.add(c, n); }

  [[nodiscard]] Count admit(Connection c, std::uint16_t service, SourceTicket& ticket);
  [[nodiscard]] Slot choose(Pair& p, const Plan::Service& s);
  void open_backend(Pair& p);
  void backend_failed(Pair& p, CloseReason why);
  [[nodiscard]] Count why_none(const Plan::Service& s) const;

  void pass_on(Pair& p, Side from, Payload& payload);
  void pass_unread(Pair& p, Side from);
  void pass_end(Pair& p, Side from);

  void end(Pair& p, Count why);
  void part(Pair& p, Side left);
  void finish(Pair& p, Side left);
  void said_to_nobody(Pair& p, Payload& payload);
  void reset(Pair& p, Count why);
  void give_back_credit(Pair& p);
  void leave_service(std::uint16_t service);
  void set_full(std::uint16_t service, bool full);
  void settle();
  void free(Pair& p);

  void arm(Pair& p, Duration in);
  [[nodiscard]] Duration still_for(const Pair& p) const;
  void watch(Pair& p);
  void watch_parting(Pair& p);
  void fire(Pair& p);
  void watch_anew();
  void shed(Instant now);
  [[nodiscard]] Duration standing(const Pair& p);

  Shared& shared_;
  std::shared_ptr<const Plan> plan_;
  CoreHandle* core_ = nullptr;
  CreditPurse purse_;
  CreditPurse service_purse_;
  Dials dials_;
  std::vector<std::uint32_t> turns_; // by service
  std::vector<SlotCounts> slot_counts_;
  std::vector<std::uint32_t> others_; // by slot: connections on other cores, for least_connections
  struct OfService {
    std::uint32_t serial = 0xffff'ffff;
    std::uint64_t accepted = 0;
  };
  std::vector<OfService> of_service_;
  std::vector<std::uint16_t> full_; // services that have as many connections as they may
  bool by_load_ = false;            // some service is balanced by least_connections
  LbCounters counters_;
  ArenaPiece pair_memory_;
  ArenaPiece wheel_memory_;
  ArenaPiece standing_memory_;
  Pool<Pair> pairs_;
  std::optional<Wheel> wheel_;
  std::optional<Prober> prober_;
  Shedding shedding_;
  std::span<Standing> standing_;   // by pair
  std::uint32_t next_to_shed_ = 0; // by record, as below
  std::uint32_t shed_in_round_ = 0;
  std::optional<std::uint32_t>
      next_to_watch_; // whose patience a new plan may have changed; none: all were looked at
  Slot next_to_settle_ = 0;
  Slot next_to_weigh_ = 0;
  std::uint16_t next_service_ = 0;
};

template <class F>
std::optional<std::uint32_t> Splice::each_pair(std::uint32_t from, std::uint32_t most, std::uint32_t looks,
                                               F&& f) {
  Shard& shard = core_->shard();
  for (std::uint32_t i = from; i < shard.connections.fresh(); ++i) {
    if (most == 0 || i - from == looks) return i;
    Pair* const p = pair_told_by(shard.connections.at(i));
    if (p == nullptr) continue;
    f(*p);
    --most;
  }
  return std::nullopt;
}

} // namespace tern::app::lb
