// Active health checks: connections like any other, from one core, to each backend in its turn.
//
//   waiting ──interval──▶ opening ──connected──▶ (tcp: passed) or asked ──status──▶ passed, failed
//                            └──────── refused, timed out, ended ────────▶ failed
//
// A backend is assumed up until its first check, which decides at once; then `rise` or `fall` in a row do.
// One that nothing checks and that clients could not reach is tried again after a while.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "app/lb/path/backends.hpp"
#include "app/lb/path/counters.hpp"
#include "app/lb/path/dials.hpp"
#include "app/lb/path/plan.hpp"
#include "runtime/core_handle.hpp"

namespace tern::app::lb {

class Prober {
 public:
  // Checks go the way that clients go: `dials` is the core's.
  Prober(Backends& backends, Dials& dials, LbCounters& counters, std::uint64_t seed);

  void start(CoreHandle& core) { core_ = &core; }
  void publish(std::shared_ptr<const Plan> plan);
  // Once a tick: looks at a few of the backends in turn. `starved`: packets are so scarce that answers are thrown away.
  void tick(Instant now, bool starved);
  // No more checks: those that are under way are reset, unheard.
  void end();

  // The user word of a check's connection.
  static constexpr std::uint64_t mark = 1ULL << 62;
  void connected(Connection c, std::uint64_t word);
  void data(Connection c, std::uint64_t word, Payload& p);
  void closed(std::uint64_t word, CloseReason why);

  // A backend that nothing checks and that went down by clients' failures is tried again after so long.
  static constexpr Duration leave_alone = Duration::seconds(10);

 private:
  static constexpr std::size_t status_line = 12; // "HTTP/1.1 200"
  struct Target {
    std::uint16_t service = Plan::none;
    Endpoint remote;
    enum class Phase : std::uint8_t { waiting, opening, asked, told } phase = Phase::waiting;
    std::uint8_t got = 0;               // of the status line
    std::uint32_t holder = 0xffff'ffff; // which backend that is, by its serial
    std::uint16_t serial = 0;
    std::uint32_t good = 0; // in a row
    std::uint32_t bad = 0;
    bool known = false; // it was checked before
    bool was_up = true; // after the last check
    bool left_alone = false;
    Connection connection;
    Instant begun; // the last check
    Instant due;   // waiting: the next check; else the end of patience with this one
    std::array<char, status_line> line{};
    std::string request{};
  };

  [[nodiscard]] Target* of(std::uint64_t word);
  void look(Slot slot, Target& t, Instant now);
  void begin(Slot slot, Target& t);
  void verdict(Slot slot, Target& t, bool passed, Because why);
  // An answer that we may have thrown away is no failure.
  void missed(Slot slot, Target& t, Because why);
  void skip(Target& t);
  [[nodiscard]] Duration spread(const CheckConfig& c);
  [[nodiscard]] const ServiceConfig& config_of(const Target& t) const {
    return plan_->services[t.service].config;
  }

  Backends& backends_;
  Dials& dials_;
  LbCounters& counters_;
  std::uint64_t random_;
  CoreHandle* core_ = nullptr;
  std::shared_ptr<const Plan> plan_;
  std::vector<Target> targets_; // by slot
  std::size_t next_ = 0;
  Instant starved_; // when packets were last that scarce
};

} // namespace tern::app::lb
