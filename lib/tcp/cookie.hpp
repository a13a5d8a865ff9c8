// SYN cookies: a handshake that costs no memory until it is proved.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/aes.hpp"
#include "base/seq.hpp"
#include "base/siphash.hpp"
#include "tcp/tuple.hpp"

namespace tern::tcp {

// What a cookie carries of the handshake. Our own window scale is a setting, so it needs no bits.
struct CookieFacts {
  std::uint16_t peer_mss = 536; // rounded down to one of eight
  std::uint8_t snd_scale = 0;
  bool scaled = false;
  bool sack = false;
  bool ecn = false;
  constexpr bool operator==(const CookieFacts&) const = default;
};

struct Cookie {
  Seq iss;
  std::uint8_t ts_bits; // more of the hash: for the low 6 bits of TSval, where there is one
};

// The cookie is our initial sequence number:
//
//    31 30 29                21 20                              0
//   +-----+--------------------+--------------------------------+
//   |epoch| MSS, scale, SACK,  | hash                           |
//   | mod4| ECN, under a mask  |                                |
//   +-----+--------------------+--------------------------------+
//
// AES-128 of tuple, the peer's ISN and whether timestamps were agreed, under the key of the epoch,
// gives the hash (21 bits), the mask (9), so that an outsider cannot guess the options' bits either, and what
// goes into the timestamp (6). The options are not in the hash: who has the cookie for his tuple may claim
// other options than he sent, which gains him nothing that his SYN could not have asked for.
//
// What a forger can do: one ACK in 4/3 × 2^21 (2.8 million) passes, 2.9 a second at 8 million forged ACKs a
// second. The timestamp's 6 bits make that one in 179 million for ACKs that carry the option; a forger who
// leaves it out, and so claims a connection without timestamps, faces the 21 bits alone.
class CookieJar {
 public:
  static constexpr std::uint32_t epoch_seconds = 64;
  static constexpr unsigned hash_bits = 21;
  static constexpr unsigned timestamp_bits = 6;
  static constexpr std::uint32_t timestamp_mask = (1U << timestamp_bits) - 1;

  // Jars with equal masters accept each other's cookies, if their clocks differ by less than an epoch. The
  // epoch is wall clock seconds / 64.
  CookieJar(SipKey master, std::uint32_t epoch);

  // To be called at least once an epoch; costs a compare when nothing changed.
  void turn_to(std::uint32_t epoch) {
    if (epoch != epoch_) rekey(epoch);
  }
  [[nodiscard]] std::uint32_t epoch() const { return epoch_; }
  // Another master, from the next epoch on: cookies that are out stay good, and machines that are told within
  // one epoch turn together.
  void rotate(SipKey master);

  template <std::size_t N>
  [[nodiscard]] Cookie make(const TupleWords<N>& t, Seq irs, const CookieFacts& facts,
                            bool timestamps) const {
    const std::uint32_t slot = epoch_ & 3;
    const std::uint64_t h = hash(slot, t, irs, timestamps);
    const std::uint32_t middle = (pack(facts) ^ static_cast<std::uint32_t>(h >> hash_bits)) & facts_mask;
    return {Seq{slot << 30 | middle << hash_bits | (static_cast<std::uint32_t>(h) & hash_mask)},
            ts_bits_of(h)};
  }

  // `ts_bits`: the low bits of TSecr, if the ACK carries timestamps. No value if it is not our cookie of the
  // epoch before, the present or the next.
  template <std::size_t N>
  [[nodiscard]] std::optional<CookieFacts> check(const TupleWords<N>& t, Seq irs, Seq iss,
                                                 std::optional<std::uint8_t> ts_bits) const {
    const std::uint32_t slot = iss.raw() >> 30;
    if (((slot - epoch_) & 3) == 2) return std::nullopt; // two epochs away
    const std::uint64_t h = hash(slot, t, irs, ts_bits.has_value());
    // Not in constant time: what a forger could learn from timing is drowned by the network and expires with
    // the epoch.
    if (((static_cast<std::uint32_t>(h) ^ iss.raw()) & hash_mask) != 0) return std::nullopt;
    if (ts_bits && *ts_bits != ts_bits_of(h)) return std::nullopt;
    return unpack((iss.raw() >> hash_bits ^ static_cast<std::uint32_t>(h >> hash_bits)) & facts_mask);
  }

  // The newest TSval not ahead of the clock whose low bits are the hash's: at most 63 ms behind, so the
  // peer's PAWS and RTT see a clock that runs on.
  [[nodiscard]] static std::uint32_t timestamp_with(std::uint32_t clock, std::uint8_t ts_bits) {
    return clock - ((clock - ts_bits) & timestamp_mask);
  }

  // For tests and for stating what is rounded: the eight MSS values.
  static constexpr std::array<std::uint16_t, 8> mss_table{88, 536, 1220, 1300, 1380, 1440, 1460, 8940};

 private:
  static constexpr std::uint32_t hash_mask = (1U << hash_bits) - 1;
  static constexpr std::uint32_t facts_mask = 0x1ff;
  static constexpr std::uint32_t no_scale = 15;

  template <std::size_t N>
  [[nodiscard]] std::uint64_t hash(std::uint32_t slot, const TupleWords<N>& t, Seq irs,
                                   bool timestamps) const {
    const EpochKey& k = keys_[slot];
    AesBlock b = k.start[N == 1 ? 0 : 1][timestamps ? 1 : 0];
    const std::uint64_t last = t.ports | static_cast<std::uint64_t>(irs.raw()) << 32;
    if constexpr (N == 1)
      b.low ^= t.addresses[0];
    else
      b = chained(k.aes, b, t);
    b.high ^= last;
    return k.aes.encrypt(b).low;
  }
  static std::uint8_t ts_bits_of(std::uint64_t h) { return static_cast<std::uint8_t>(h >> 58); }
  static std::uint32_t pack(const CookieFacts& f) {
    // How many of the table are not more than the MSS: no branch, no cache line.
    std::uint32_t index = 0;
    for (std::size_t i = 1; i < mss_table.size(); ++i) index += f.peer_mss >= mss_table[i] ? 1U : 0U;
    const std::uint32_t scale = f.scaled ? f.snd_scale & 15U : no_scale;
    return index | scale << 3 | static_cast<std::uint32_t>(f.sack) << 7 |
           static_cast<std::uint32_t>(f.ecn) << 8;
  }
  static CookieFacts unpack(std::uint32_t v) {
    const std::uint32_t scale = v >> 3 & 15;
    return {.peer_mss = mss_table[v & 7],
            .snd_scale = static_cast<std::uint8_t>(scale == no_scale ? 0 : scale),
            .scaled = scale != no_scale,
            .sack = (v >> 7 & 1) != 0,
            .ecn = (v >> 8 & 1) != 0};
  }
  void rekey(std::uint32_t epoch);

  // Blocks are chained (CBC). The first says of which family, and whether with timestamps: it is the same for all of its
  // kind, so it stands here encrypted; and no message begins as one of another length does.
  struct EpochKey {
    explicit EpochKey(SipKey key);
    Aes128 aes;
    std::array<std::array<AesBlock, 2>, 2> start;
  };
  std::array<EpochKey, 4> keys_; // by epoch mod 4; the one two epochs away is never read
  [[nodiscard]] SipKey master_of(std::uint32_t epoch) const {
    return static_cast<std::int32_t>(epoch - since_) >= 0 ? master_ : before_;
  }

  std::uint32_t epoch_;
  std::uint32_t since_; // the first epoch of master_
  SipKey master_;
  SipKey before_;
};

// The independent keys that one secret gives: a key file's, or one drawn at start.
struct Secrets {
  SipKey cookie;
  SipKey isn; // and timestamp offsets
};
[[nodiscard]] Secrets derive_secrets(SipKey master);

} // namespace tern::tcp
