#include "tcp/cookie.hpp"

namespace tern::tcp {

namespace {

// SipHash as a pseudo-random function: (purpose, number, half) under the master key.
SipKey derive(SipKey master, std::uint64_t purpose, std::uint64_t number) {
  const auto half = [&](std::uint64_t which) {
    Sip24 s{master};
    s.word(purpose);
    s.word(number);
    return s.finish(which, 17);
  };
  return {half(0), half(1)};
}

constexpr std::uint64_t for_epochs = 0x65706f6368; // "epoch", "cooki", "isn": any three that differ
constexpr std::uint64_t for_cookies = 0x636f6f6b69;
constexpr std::uint64_t for_isn = 0x69736e;

} // namespace

CookieJar::CookieJar(SipKey master, std::uint32_t epoch)
    : keys_{EpochKey{master}, EpochKey{master}, EpochKey{master}, EpochKey{master}},
      epoch_(epoch),
      since_(epoch - 1),
      master_(master),
      before_(master) {
  rekey(epoch);
}

void CookieJar::rotate(SipKey master) {
  if (static_cast<std::int32_t>(epoch_ - since_) >= 0) { // else the last one has not begun: it never will
    before_ = master_;
    since_ = epoch_ + 1;
  }
  master_ = master;
  rekey(epoch_);
}

void CookieJar::rekey(std::uint32_t epoch) {
  epoch_ = epoch;
  for (const std::uint32_t e : {epoch - 1, epoch, epoch + 1})
    keys_[e & 3] = EpochKey{derive(master_of(e), for_epochs, e)};
}

CookieJar::EpochKey::EpochKey(SipKey key) : aes({key.k0, key.k1}) {
  for (std::uint64_t family = 0; family < 2; ++family)
    for (std::uint64_t timestamps = 0; timestamps < 2; ++timestamps)
      start[family][timestamps] = aes.encrypt({family, timestamps});
}

Secrets derive_secrets(SipKey master) {
  return {.cookie = derive(master, for_cookies, 0), .isn = derive(master, for_isn, 0)};
}

} // namespace tern::tcp
