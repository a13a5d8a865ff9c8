// A transfer without end, for tests of how much gets through.
#pragma once

#include "party.hpp"
#include "sim/engine_host.hpp"

namespace tern::campaign {

// Sends from memory without end, counts what arrives.
class Pump final : public sim::App {
 public:
  void established(sim::EngineHost& h, sim::ConnId id) override { writable(h, id); }
  void writable(sim::EngineHost& h, sim::ConnId id) override {
    if (!sends) return;
    while (h.send_static(id, pattern(0, 0, pattern_most)) == pattern_most) {
    }
  }
  void data(sim::EngineHost& h, sim::ConnId id, Packet text) override {
    received += text.length();
    if (reads_a_second == 0) return h.release_received(id, text.length());
    // A reader that falls behind: text is taken off the buffer at its pace.
    const Instant from = std::max(done_, net->now());
    done_ = from + Duration::us(static_cast<std::int64_t>(text.length() * 1'000'000ULL / reads_a_second));
    net->at(done_, [&h, id, n = text.length()] { h.release_received(id, n); });
  }
  bool sends = false;
  std::uint64_t reads_a_second = 0; // 0: all at once
  sim::Network* net = nullptr;      // whose clock a slow reader goes by
  std::uint64_t received = 0;

 private:
  Instant done_;
};

} // namespace tern::campaign
