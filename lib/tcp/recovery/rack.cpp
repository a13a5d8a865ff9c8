#include "tcp/recovery/rack.hpp"

#include <algorithm>

namespace tern::tcp {

void Rack::take_rtt(std::uint32_t rtt_us, std::uint32_t now_us) {
  constexpr std::uint32_t memory_us = 300'000'000; // as Linux's tcp_min_rtt_wlen
  rtt_us = std::max(rtt_us, 1U);
  if (min_rtt_us_ == 0 || rtt_us <= min_rtt_us_ || now_us - min_rtt_at_us_ > memory_us) {
    min_rtt_us_ = rtt_us;
    min_rtt_at_us_ = now_us;
  }
}

void Rack::learn(const Delivered& d) {
  if (d.bytes == 0) return;
  if (d.any_time) {
    const std::uint32_t age = d.now_us - d.newest_sent_us;
    if (!d.newest_again) take_rtt(age, d.now_us);                                // step 1; Karn
    if (!timed_ || sent_after(d.newest_sent_us, d.newest_end, sent_us_, end_)) { // step 2
      timed_ = true;
      sent_us_ = d.newest_sent_us;
      end_ = d.newest_end;
      rtt_us_ = age;
      again_ = d.newest_again;
    }
  }
  // Step 3: what was sent once and arrives below what had already arrived was overtaken on the way.
  if (started_ && d.original && d.lowest_original.before(fack_)) reordering_ = true;
  fack_ = started_ ? later_of(fack_, d.highest_end) : d.highest_end;
  started_ = true;
}

void Rack::on_dsack(Seq una, Seq snd_nxt) {
  if (dsack_round_set_ && una.before(dsack_round_)) return;
  dsack_round_set_ = true;
  dsack_round_ = snd_nxt;
  if (multiplier_ != 0xff) ++multiplier_;
  persist_ = persistence;
}

void Rack::on_recovery_exit() {
  if (dsack_round_set_) dsack_round_set_ = false; // its round ended with the recovery at the latest
  if (persist_ != 0 && --persist_ == 0) multiplier_ = 1;
}

std::uint32_t Rack::window_us(std::uint32_t srtt_us, bool eager) const {
  if (!reordering_ && eager) return 0;
  const std::uint64_t wide = std::uint64_t{multiplier_} * (min_rtt_us_ / 4);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(wide, srtt_us)); // never above SRTT
}

} // namespace tern::tcp
