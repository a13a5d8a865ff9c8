#include "weather.hpp"

#include <algorithm>

namespace tern::campaign {

Duration random_ms(sim::Random& r, std::uint64_t low, std::uint64_t high) {
  return Duration::ms(static_cast<std::int64_t>(r.between(low, high)));
}

sim::LinkSettings random_link(sim::Random& r, bool fair) {
  sim::LinkSettings s;
  s.delay = Duration::us(static_cast<std::int64_t>(r.between(50, r.chance(0.3) ? 150'000 : 20'000)));
  if (r.chance(0.5)) s.jitter = Duration::us(static_cast<std::int64_t>(r.skewed(14)));
  if (r.chance(0.5)) s.bits_per_second = 100'000'000 >> r.below(8);
  s.queue_packets = static_cast<std::uint32_t>(r.between(10, 300));
  if (r.chance(0.3)) s.mark_packets = s.queue_packets / 2;
  s.mtu = r.chance(0.2) ? static_cast<std::uint16_t>(r.between(576, 1500)) : 1500;
  s.reorder_by = Duration::us(static_cast<std::int64_t>(r.skewed(16)));
  const double worst = fair ? 0.03 : 0.25;
  if (r.chance(0.6)) s.loss = r.unit() * r.unit() * worst;
  if (r.chance(0.3)) s.reorder = r.unit() * 0.2;
  if (r.chance(0.3)) s.duplicate = r.unit() * 0.1;
  if (r.chance(0.3)) s.corrupt = r.unit() * (fair ? 0.02 : 0.1);
  if (!fair && r.chance(0.3)) s.burst = {r.unit() * 0.02, 0.05 + r.unit() * 0.5, 1.0};
  if (!fair && r.chance(0.05)) s.icmp = false;
  return s;
}

tcp::Settings random_settings(sim::Random& r, bool fair) {
  tcp::Settings s;
  s.sack = r.chance(0.8);
  s.timestamps = r.chance(0.7);
  s.window_scale = r.chance(0.8);
  s.ecn = r.chance(0.4);
  s.congestion = r.chance(0.5) ? tcp::CongestionControl::Cubic : tcp::CongestionControl::NewReno;
  s.hystart = r.chance(0.7);
  s.nagle = r.chance(0.5);
  s.initial_window = static_cast<std::uint16_t>(r.chance(0.7) ? 10 : r.between(1, 40));
  s.send_buffer = static_cast<std::uint32_t>(r.between(2'000, 300'000));
  s.receive_buffer = static_cast<std::uint32_t>(r.between(r.chance(0.2) ? 1'000 : 8'000, 200'000));
  s.receive_buffer_max =
      std::max<std::uint32_t>(s.receive_buffer, static_cast<std::uint32_t>(r.between(8'000, 1'000'000)));
  s.delayed_ack = r.chance(0.8);
  // 2MSL must outlast a few back-offs of the peer's FIN, or its loss ends in a RST: see the_why_test.cpp.
  s.time_wait = random_ms(r, fair ? 30'000 : 1'000, 60'000);
  s.fin_wait_2 = random_ms(r, 1'000, 60'000);
  if (r.chance(0.2)) {
    s.keepalive_idle = random_ms(r, 1'000, 30'000);
    s.keepalive_interval = random_ms(r, 500, 5'000);
  }
  // Shorter than what is left of a run after its patience: an alarm beyond its end would be no rest.
  s.close_wait = !fair && r.chance(0.2) ? random_ms(r, 500, 30'000) : Duration::seconds(500);
  if (!fair && r.chance(0.1)) s.user_timeout = random_ms(r, 2'000, 30'000);
  if (!fair && r.chance(0.2)) s.data_retries = static_cast<std::uint8_t>(r.between(3, 15));
  return s;
}

} // namespace tern::campaign
