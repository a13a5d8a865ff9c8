// Where sequence numbers and timestamps begin (RFC 6528, RFC 7323 §7.1).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/aes.hpp"
#include "base/seq.hpp"
#include "base/siphash.hpp"
#include "base/time.hpp"
#include "tcp/tuple.hpp"

namespace tern::tcp {

struct Origins {
  Seq iss;
  std::uint32_t ts_offset;
};

// ISN = M + F(tuple, key), M a clock of 4 µs; F is AES-128. An outsider learns nothing of F from his own
// connections, and two incarnations of one tuple still run upwards, so old duplicates are told from new
// segments.
//
// The timestamp offset is keyed by the pair of addresses alone: all connections between two hosts share one
// clock, so RFC 7323's PAWS and RFC 6191's TIME-WAIT test hold across incarnations whatever the ports, and
// the uptime is not told.
//
// An IPv4 tuple is one block, with what it is for; an IPv6 tuple is four, chained (CBC), the first of them the
// same for all. No message begins as another of another length does, so what one gives tells nothing of another's.
class IsnSource {
 public:
  explicit IsnSource(SipKey key) : aes_({key.k0, key.k1}), six_(aes_.encrypt({0, tag_six << 32})) {}

  template <std::size_t N>
  [[nodiscard]] Origins both(const TupleWords<N>& t, Instant now) const {
    const AesBlock a = taken_in(t);
    return {iss_from(a, t, now), offset_from(a)};
  }
  template <std::size_t N>
  [[nodiscard]] Seq iss(const TupleWords<N>& t, Instant now) const {
    return iss_from(taken_in(t), t, now);
  }
  template <std::size_t N>
  [[nodiscard]] std::uint32_t ts_offset(const TupleWords<N>& t) const {
    return offset_from(taken_in(t));
  }

 private:
  static constexpr std::uint64_t tag_iss = 1;
  static constexpr std::uint64_t tag_offset = 2;
  static constexpr std::uint64_t tag_six = 6;

  // What the last block is added to.
  [[nodiscard]] AesBlock taken_in(const TupleWords<1>& t) const { return {t.addresses[0], 0}; }
  [[nodiscard]] AesBlock taken_in(const TupleWords<4>& t) const { return chained(aes_, six_, t); }
  [[nodiscard]] std::uint32_t last(const AesBlock& a, std::uint64_t word) const {
    return static_cast<std::uint32_t>(aes_.encrypt(a ^ AesBlock{0, word}).low);
  }
  [[nodiscard]] std::uint32_t offset_from(const AesBlock& a) const { return last(a, tag_offset << 32); }
  template <std::size_t N>
  [[nodiscard]] Seq iss_from(const AesBlock& a, const TupleWords<N>& t, Instant now) const {
    // A shift, not a division: 4.096 µs where the RFC says "approximately 4".
    return Seq{last(a, tag_iss << 32 | t.ports) + static_cast<std::uint32_t>(now.since_origin_ns() >> 12)};
  }

  Aes128 aes_;
  AesBlock six_;
};

} // namespace tern::tcp
