#include "app/bench/attack.hpp"

#include <array>

namespace tern::app {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(AttackKind::count_)> names{
    "syn-flood", "forged-ack", "rst-spray", "mute", "slow-reader"};

} // namespace

std::string_view name_of(AttackKind k) {
  return names[static_cast<std::size_t>(k)];
}

void add_attack(observe::Attack& to, AttackKind kind, const LoadStats& s) {
  const auto held = [&](Vice v, Bad opened, Bad established, Bad ended) {
    to.sent += s.bad.get(opened);
    to.established += s.bad.get(established);
    to.ended += s.bad.get(ended);
    to.open_peak += s.bad_open_peak[static_cast<std::size_t>(v)].load(std::memory_order_relaxed);
  };
  switch (kind) {
    case AttackKind::syn_flood:
      to.sent += s.bad.get(Bad::syn_flood);
      break;
    case AttackKind::forged_ack:
      to.sent += s.bad.get(Bad::forged_ack);
      break;
    case AttackKind::rst_spray:
      to.sent += s.bad.get(Bad::rst_spray);
      break;
    case AttackKind::mute:
      held(Vice::mute, Bad::mute_opened, Bad::mute_established, Bad::mute_ended);
      break;
    case AttackKind::slow_reader:
      held(Vice::slow, Bad::slow_opened, Bad::slow_established, Bad::slow_ended);
      to.response_bytes += s.bad.get(Bad::slow_bytes);
      break;
    case AttackKind::count_:
      break;
  }
  to.unsent += s.bad.get(Bad::unsent);
}

} // namespace tern::app

namespace tern::settings {

std::optional<app::AttackSetting> Value<app::AttackSetting>::parse(std::string_view text) {
  const std::size_t eq = text.find('=');
  if (eq == std::string_view::npos) return std::nullopt;
  const auto amount = Value<Rate>::parse(text.substr(eq + 1));
  if (!amount || amount->is_max() || amount->per_second == 0) return std::nullopt;
  for (std::size_t i = 0; i < static_cast<std::size_t>(app::AttackKind::count_); ++i)
    if (const auto kind = static_cast<app::AttackKind>(i); name_of(kind) == text.substr(0, eq))
      return app::AttackSetting{kind, amount->per_second};
  return std::nullopt;
}

std::string Value<app::AttackSetting>::print(const app::AttackSetting& v) {
  return std::string{name_of(v.kind)} + "=" + Value<Rate>::print({v.amount});
}

} // namespace tern::settings
