// A handler that calls an echo server: opens connections, sends a pattern on each, and checks what comes
// back, byte for byte.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "runtime/core_handle.hpp"

namespace tern::test {

struct CallPlan {
  Endpoint to;
  std::uint32_t count = 100;  // connections, over all cores
  std::uint32_t at_once = 16; // on each core
  std::uint32_t bytes = 1000; // each way on each
};

struct CallTotals { // read by another thread
  std::atomic<std::uint32_t> opened{0};
  std::atomic<std::uint32_t> good{0};
  std::atomic<std::uint32_t> bad{0};
};

class Caller {
 public:
  // `records`: how many connections the core may have.
  Caller(const CallPlan& plan, CallTotals& totals, std::uint32_t records)
      : plan_(plan), totals_(totals), calls_(records) {}

  void on_start(CoreHandle& core) { core_ = &core; }
  void on_tick(Instant) {
    while (live_ < (met_ ? plan_.at_once : 1) && totals_.opened.load() < plan_.count) {
      Connecting made = core_->connect(plan_.to);
      if (!made) return;
      calls_[made.connection.index()] = {};
      ++live_;
      if (totals_.opened.fetch_add(1) >= plan_.count) { // another core was quicker
        calls_[made.connection.index()].surplus = true;
        made.connection.abort();
      }
    }
  }
  void on_connected(Connection c) {
    met_ = true; // until then only one asks the way
    push(c);
  }
  void on_writable(Connection c) { push(c); }
  void on_data(Connection c, Payload& p) {
    Call& call = calls_[c.index()];
    while (!p.empty()) {
      const auto piece = p.front();
      for (const std::byte b : piece) call.wrong = call.wrong || b != pattern(call.got++);
      p.drop(static_cast<std::uint32_t>(piece.size()));
    }
    if (call.got >= plan_.bytes) c.close();
  }
  void on_closed(Connection c, CloseReason why) {
    const Call& call = calls_[c.index()];
    --live_;
    if (call.surplus) return;
    const bool good = why == CloseReason::Done && call.got == plan_.bytes && !call.wrong;
    (good ? totals_.good : totals_.bad).fetch_add(1);
  }

 private:
  struct Call {
    std::uint32_t sent = 0;
    std::uint32_t got = 0;
    bool wrong = false;
    bool surplus = false;
  };
  static std::byte pattern(std::uint32_t i) { return static_cast<std::byte>(i * 131 + (i >> 8)); }
  void push(Connection c) {
    Call& call = calls_[c.index()];
    std::byte block[8192];
    while (call.sent < plan_.bytes) {
      const std::uint32_t n = std::min<std::uint32_t>(sizeof block, plan_.bytes - call.sent);
      for (std::uint32_t i = 0; i < n; ++i) block[i] = pattern(call.sent + i);
      const std::uint32_t taken = c.send(std::span<const std::byte>{block, n});
      call.sent += taken;
      if (taken < n) return;
    }
  }

  const CallPlan& plan_;
  CallTotals& totals_;
  std::vector<Call> calls_; // by the connection's index
  CoreHandle* core_ = nullptr;
  std::uint32_t live_ = 0;
  bool met_ = false;
};

} // namespace tern::test
