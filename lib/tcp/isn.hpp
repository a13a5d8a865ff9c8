// Where sequence numbers and timestamps begin (RFC 6528, RFC 7323 §7.1).
#pragma once

#include <array>
#include <cstdint>

#include "base/seq.hpp"
#include "base/siphash.hpp"
#include "base/time.hpp"
#include "tcp/tuple.hpp"

namespace tern::tcp {

struct Origins {
  Seq iss;
  std::uint32_t ts_offset;
};

// ISN = M + F(tuple, key), M a clock of 4 µs; F is SipHash-2-4. An outsider learns nothing of F from his own
// connections, and two incarnations of one tuple still run upwards, so old duplicates are told from new
// segments.
//
// The timestamp offset is keyed by the pair of addresses alone: all connections between two hosts share one
// clock, so RFC 7323's PAWS and RFC 6191's TIME-WAIT test hold across incarnations whatever the ports, and
// the uptime is not told. Both are finishes of one SipHash state that has taken in the addresses: 2 or 8
// rounds are shared, and the rest of the two chains of dependent additions overlaps in the processor.
// Messages of different length never collide.
class IsnSource {
 public:
  explicit IsnSource(SipKey key) : start_(key) {}

  template <std::size_t N>
  [[nodiscard]] Origins both(const TupleWords<N>& t, Instant now) const {
    Sip24 s = start_;
    for (const std::uint64_t w : t.addresses) s.word(w);
    const std::uint32_t offset = offset_from(s, t);
    return {iss_from(s.finish(t.ports, N * 8 + 4), now), offset};
  }
  template <std::size_t N>
  [[nodiscard]] Seq iss(const TupleWords<N>& t, Instant now) const {
    Sip24 s = start_;
    for (const std::uint64_t w : t.addresses) s.word(w);
    return iss_from(s.finish(t.ports, N * 8 + 4), now);
  }
  template <std::size_t N>
  [[nodiscard]] std::uint32_t ts_offset(const TupleWords<N>& t) const {
    Sip24 s = start_;
    for (const std::uint64_t w : t.addresses) s.word(w);
    return offset_from(s, t);
  }

 private:
  // Two hosts that have one connection have more: what was last computed for an IPv4 pair is kept. `pair` has
  // taken in the addresses.
  struct Kept {
    std::uint64_t addresses = 0;
    std::uint32_t offset = 0;
    bool filled = false;
  };
  template <std::size_t N>
  [[nodiscard]] std::uint32_t offset_from(Sip24 pair, const TupleWords<N>& t) const {
    if constexpr (N == 1) {
      Kept& k = kept_[t.addresses[0] * 0x9e3779b97f4a7c15 >> 58];
      if (k.addresses != t.addresses[0] || !k.filled)
        k = {t.addresses[0], static_cast<std::uint32_t>(pair.finish(0, N * 8)), true};
      return k.offset;
    } else {
      return static_cast<std::uint32_t>(pair.finish(0, N * 8));
    }
  }
  static Seq iss_from(std::uint64_t hash, Instant now) {
    // A shift, not a division: 4.096 µs where the RFC says "approximately 4".
    return Seq{static_cast<std::uint32_t>(hash) + static_cast<std::uint32_t>(now.since_origin_ns() >> 12)};
  }
  Sip24 start_;
  mutable std::array<Kept, 64> kept_; // a source of a core's own: nobody else reads
};

} // namespace tern::tcp
