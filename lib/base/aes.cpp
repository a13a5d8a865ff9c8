#include "base/aes.hpp"

#include <bit>

namespace tern {
namespace {

using Bytes = std::array<std::uint8_t, 16>; // a column of four after the other

// In the field of 2^8 elements, modulo x^8 + x^4 + x^3 + x + 1.
constexpr std::uint8_t doubled(std::uint8_t v) {
  return static_cast<std::uint8_t>(v << 1 ^ (v >> 7) * 0x1b);
}

// Each element's inverse, bits mixed: p runs through all but 0 as powers of 3, q through their inverses.
constexpr std::array<std::uint8_t, 256> make_sbox() {
  std::array<std::uint8_t, 256> sbox{};
  std::uint8_t p = 1;
  std::uint8_t q = 1;
  do {
    p = static_cast<std::uint8_t>(p ^ doubled(p));
    q = static_cast<std::uint8_t>(q ^ q << 1);
    q = static_cast<std::uint8_t>(q ^ q << 2);
    q = static_cast<std::uint8_t>(q ^ q << 4);
    q = static_cast<std::uint8_t>(q ^ (q >> 7) * 0x09);
    sbox[p] = static_cast<std::uint8_t>(q ^ std::rotl(q, 1) ^ std::rotl(q, 2) ^ std::rotl(q, 3) ^
                                        std::rotl(q, 4) ^ 0x63);
  } while (p != 1);
  sbox[0] = 0x63;
  return sbox;
}
constexpr std::array<std::uint8_t, 256> sbox = make_sbox();

Bytes substituted_and_shifted(const Bytes& s) { // row r turns left by r columns
  Bytes t;
  for (unsigned i = 0; i < 16; ++i) t[i] = sbox[s[(i + 4 * (i % 4)) % 16]];
  return t;
}

Bytes mixed(const Bytes& s) {
  Bytes t;
  for (unsigned i = 0; i < 16; ++i) {
    const auto of_column = [&](unsigned row) { return s[i / 4 * 4 + (i + row) % 4]; };
    t[i] = static_cast<std::uint8_t>(doubled(of_column(0)) ^ doubled(of_column(1)) ^ of_column(1) ^
                                     of_column(2) ^ of_column(3));
  }
  return t;
}

Bytes next_key(const Bytes& k, std::uint8_t constant) {
  Bytes n = k;
  for (unsigned i = 0; i < 4; ++i) n[i] = static_cast<std::uint8_t>(n[i] ^ sbox[k[12 + (i + 1) % 4]]);
  n[0] ^= constant;
  for (unsigned i = 4; i < 16; ++i) n[i] ^= n[i - 4];
  return n;
}

bool processor_has_it() {
#ifdef __AES__
  return __builtin_cpu_supports("aes") != 0;
#else
  return false;
#endif
}

} // namespace

Aes128::Aes128(const AesBlock& key) : in_hardware_(processor_has_it()) {
  auto k = std::bit_cast<Bytes>(key);
  std::uint8_t constant = 1;
  for (AesBlock& kept : keys_) {
    kept = std::bit_cast<AesBlock>(k);
    k = next_key(k, constant);
    constant = doubled(constant);
  }
}

AesBlock Aes128::by_table(const AesBlock& b) const {
  AesBlock x = b ^ keys_[0];
  for (unsigned round = 1; round < 10; ++round)
    x = std::bit_cast<AesBlock>(mixed(substituted_and_shifted(std::bit_cast<Bytes>(x)))) ^ keys_[round];
  return std::bit_cast<AesBlock>(substituted_and_shifted(std::bit_cast<Bytes>(x))) ^ keys_[10];
}

} // namespace tern
