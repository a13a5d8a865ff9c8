// --attack: which bad clients stand beside the good ones, and how many.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "app/client/load.hpp"
#include "observe/result.hpp"
#include "runtime/settings/values.hpp"

namespace tern::app {

enum class AttackKind : std::uint8_t {
  syn_flood,   // SYNs from addresses that are nobody's, packets a second
  forged_ack,  // ACKs from such addresses that claim a handshake (a cookie) that never was
  rst_spray,   // RSTs in the name of the good clients, their sequence numbers guessed
  mute,        // connections held open that never say a word
  slow_reader, // connections that ask, and take a byte a second of the answer
  count_
};
[[nodiscard]] std::string_view name_of(AttackKind);
[[nodiscard]] constexpr bool is_flood(AttackKind k) {
  return k < AttackKind::mute;
}

struct AttackSetting {
  AttackKind kind = AttackKind::syn_flood;
  std::uint64_t amount = 0; // packets a second; of mute and slow_reader: connections at once
  constexpr bool operator==(const AttackSetting&) const = default;
};

// What the report says of one kind, of all the clients' cores so far.
void add_attack(observe::Attack&, AttackKind, const LoadStats&);

} // namespace tern::app

namespace tern::settings {

template <>
struct Value<app::AttackSetting> {
  static constexpr std::string_view meta = "KIND=N";
  static constexpr std::string_view expects =
      "a kind of bad client and how many: syn-flood=1M, forged-ack=100k or rst-spray=100k (packets a "
      "second), "
      "mute=10k or slow-reader=1k (connections)";
  static std::optional<app::AttackSetting> parse(std::string_view);
  static std::string print(const app::AttackSetting&);
};

} // namespace tern::settings
