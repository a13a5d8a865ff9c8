// The keyed hash of the flow table.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "base/siphash.hpp"
#include "flow/flow_key.hpp"

namespace tern {

// Computed once per packet and kept by the caller. The upper 32 bits choose the bucket, the lower 15 are the
// tag.
struct FlowHash {
  std::uint64_t value = 0;
  constexpr bool operator==(const FlowHash&) const = default;
};

// NH (Black, Halevi, Krawczyk, Krovetz, Rogaway: UMAC, 1999) over the key's 32-bit words, then two keyed
// folded multiplications. NH is a sum of products of (word + secret): two different keys of one family give
// the same sum with a chance of at most 2^-32 over the secrets, whoever chose them, so long as he chose
// without seeing hashes. The folds make of that sum, which is regular where the keys are (ports in a row),
// bits that look drawn at random.
//
// Its limits: this is not a pseudo-random function. Whoever could read hashes, or measure which keys share a
// bucket well enough, could solve for the secrets; so hashes never leave the process and secrets come from
// the kernel at each start. SipHash, which has no such limit, costs ten times as much, on every packet.
class FlowHasher {
 public:
  explicit FlowHasher(SipKey seed) {
    for (std::size_t i = 0; i < secret_.size(); ++i) {
      Sip24 s{seed};
      secret_[i] = s.finish(i, 0);
    }
    secret_[fold_a] |= 1; // never zero
    secret_[fold_b] |= 1;
  }

  [[nodiscard]] FlowHash operator()(const FlowKey4& key) const {
    std::uint32_t w[3];
    std::memcpy(w, &key, sizeof w);
    return of(w[0], w[1], w[2]);
  }
  // The same for who has the key's words in hand, as they lie: a key that was just put together of smaller
  // fields would have these loads wait for its stores.
  [[nodiscard]] FlowHash of(std::uint32_t remote, std::uint32_t local, std::uint32_t ports) const {
    return mix(product(remote, local, four) + product(ports, 0, four + 1));
  }
  [[nodiscard]] FlowHash operator()(const FlowKey6& key) const {
    std::uint32_t w[10] = {};
    std::memcpy(w, &key, sizeof key);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < 5; ++i) sum += product(w[2 * i], w[2 * i + 1], six + i);
    return mix(sum);
  }

 private:
  // Each secret of NH is two of 32 bits.
  [[nodiscard]] std::uint64_t product(std::uint32_t a, std::uint32_t b, std::size_t i) const {
    const auto low = static_cast<std::uint32_t>(secret_[i]);
    const auto high = static_cast<std::uint32_t>(secret_[i] >> 32);
    return std::uint64_t{a + low} * (b + high);
  }
  [[nodiscard]] static std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide p = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(p) ^ static_cast<std::uint64_t>(p >> 64);
  }
  [[nodiscard]] FlowHash mix(std::uint64_t sum) const {
    return {fold(fold(sum ^ secret_[mask_a], secret_[fold_a]) ^ secret_[mask_b], secret_[fold_b])};
  }

  static constexpr std::size_t four = 0, six = 2, mask_a = 7, fold_a = 8, mask_b = 9, fold_b = 10;
  std::array<std::uint64_t, 11> secret_;
};

} // namespace tern
