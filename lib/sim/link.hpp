// One direction of a link: what it does to a packet is decided when the packet is given to it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>

#include "base/time.hpp"
#include "sim/frame.hpp"
#include "sim/random.hpp"

namespace tern::sim {

// Losses in bursts: a chain of two states (Gilbert 1960, Elliott 1963).
struct Gilbert {
  double good_to_bad = 0; // chance per packet
  double bad_to_good = 1;
  double loss_in_bad = 1;
};

struct LinkSettings {
  Duration delay = Duration::ms(1);
  Duration jitter{};                  // even over [0, jitter], order kept
  std::uint64_t bits_per_second = 0;  // 0: no limit
  std::uint32_t queue_packets = 1000; // waiting for the line; more are dropped from the tail
  std::uint32_t mark_packets = 0;     // queue beyond which ECT becomes CE; 0: never
  double loss = 0;                    // chance per packet, each on its own
  Gilbert burst;                      // and in bursts
  double reorder = 0;                 // chance to be held back by up to `reorder_by`, passed by those behind
  Duration reorder_by = Duration::ms(5); //
  double duplicate = 0;                  // chance of a second copy, up to `reorder_by` later
  double corrupt = 0;                    // chance of a damaged copy: up to 15 neighbouring bits
  std::uint16_t mtu = 1500;
  bool icmp = true; // say so when a packet does not fit; otherwise a black hole (RFC 2923 §2.1)
};

enum class Drop : std::uint8_t { none, too_big, queue_full, loss, burst_loss, script, no_route };
[[nodiscard]] const char* name_of(Drop);

// What a script may do with one packet instead of chance.
struct Fate {
  enum class Kind : std::uint8_t { chance, pass, drop, hold, twice } kind = Kind::chance;
  Duration by{}; // hold: how much later; twice: how much later the second copy
};
using Script = std::function<Fate(Bytes frame, Instant now)>;

class Link {
 public:
  Link(LinkSettings s, Random random) : settings_(s), random_(random) {}

  struct Plan {
    Drop drop = Drop::none;
    int copies = 0;
    Instant arrive[2];
    bool corrupt[2] = {false, false};
    bool mark = false;
  };
  // What becomes of a packet of `length` bytes that is handed to the link now.
  [[nodiscard]] Plan plan(std::size_t length, const Fate& fate, Instant now);
  // Damages a copy. The flipped bits lie within 15 neighbours, which the Internet checksum always sees; wider
  // damage it may miss, and then no TCP could know.
  void damage(Frame& frame);
  // The line carries nothing for a while; packets wait in the queue.
  void pause(Duration d, Instant now);

  [[nodiscard]] LinkSettings& settings() { return settings_; }
  [[nodiscard]] const LinkSettings& settings() const { return settings_; }
  [[nodiscard]] std::uint64_t carried_bytes() const { return carried_; }

  Script script; // asked first, if set

 private:
  [[nodiscard]] Drop lost();
  [[nodiscard]] Instant arrival(Instant departure, bool may_reorder);

  LinkSettings settings_;
  Random random_;
  std::deque<Instant> departures_; // of packets still in the queue
  Instant busy_until_;
  Instant last_arrival_;
  std::uint64_t carried_ = 0;
  bool bad_ = false;
};

} // namespace tern::sim
