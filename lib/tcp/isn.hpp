// Where sequence numbers and timestamps begin (RFC 6528, RFC 7323 §7.1).
#pragma once

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
    Sip24 pair = s;
    return {iss_from(s.finish(t.ports, N * 8 + 4), now), static_cast<std::uint32_t>(pair.finish(0, N * 8))};
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
    return static_cast<std::uint32_t>(s.finish(0, N * 8));
  }

 private:
  static Seq iss_from(std::uint64_t hash, Instant now) {
    // A shift, not a division: 4.096 µs where the RFC says "approximately 4".
    return Seq{static_cast<std::uint32_t>(hash) + static_cast<std::uint32_t>(now.since_origin_ns() >> 12)};
  }
  Sip24 start_;
};

} // namespace tern::tcp
