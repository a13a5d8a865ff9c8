#include "sim/link.hpp"

#include <algorithm>
#include <array>

namespace tern::sim {

const char* name_of(Drop d) {
  constexpr std::array names{
      "none", "too big", "queue full", "lost", "lost in a burst", "lost by the script", "no route"};
  return names[static_cast<std::size_t>(d)];
}

void Link::pause(Duration d, Instant now) {
  busy_until_ = std::max(busy_until_, now) + d;
}

Drop Link::lost() {
  const Gilbert& g = settings_.burst;
  if (g.good_to_bad > 0) {
    bad_ = bad_ ? !random_.chance(g.bad_to_good) : random_.chance(g.good_to_bad);
    if (bad_ && random_.chance(g.loss_in_bad)) return Drop::burst_loss;
  }
  return random_.chance(settings_.loss) ? Drop::loss : Drop::none;
}

Instant Link::arrival(Instant departure, bool may_reorder) {
  Instant t = departure + settings_.delay;
  if (settings_.jitter > Duration{})
    t = t + Duration::ns(static_cast<std::int64_t>(
                random_.below(static_cast<std::uint64_t>(settings_.jitter.as_ns()))));
  if (may_reorder)
    return t + Duration::ns(static_cast<std::int64_t>(
                   random_.below(static_cast<std::uint64_t>(settings_.reorder_by.as_ns()) + 1)));
  // Jitter alone never lets one packet pass another.
  last_arrival_ = std::max(last_arrival_, t);
  return last_arrival_;
}

Link::Plan Link::plan(std::size_t length, const Fate& fate, Instant now) {
  Plan p;
  const auto dropped = [&](Drop why) { return p.drop = why, p; };
  while (!departures_.empty() && departures_.front() <= now) departures_.pop_front();
  if (length > settings_.mtu) return dropped(Drop::too_big);
  if (fate.kind == Fate::Kind::drop) return dropped(Drop::script);
  if (departures_.size() >= settings_.queue_packets) return dropped(Drop::queue_full);
  p.mark = settings_.mark_packets != 0 && departures_.size() >= settings_.mark_packets;

  Instant departure = std::max(now, busy_until_);
  if (settings_.bits_per_second != 0)
    departure =
        departure +
        Duration::ns(static_cast<std::int64_t>(length * 8 * 1'000'000'000 / settings_.bits_per_second));
  if (departure > now) {
    busy_until_ = departure;
    departures_.push_back(departure);
  }
  const bool chance = fate.kind == Fate::Kind::chance;
  if (chance) {
    const Drop d = lost();
    if (d != Drop::none) return dropped(d);
  }
  carried_ += length;
  p.copies = 1;
  p.arrive[0] = arrival(departure, chance && random_.chance(settings_.reorder));
  if (fate.kind == Fate::Kind::hold) p.arrive[0] = departure + settings_.delay + fate.by;
  if (fate.kind == Fate::Kind::twice) {
    p.copies = 2;
    p.arrive[1] = p.arrive[0] + fate.by;
  } else if (chance && random_.chance(settings_.duplicate)) {
    p.copies = 2;
    p.arrive[1] = arrival(departure, true);
  }
  for (int i = 0; chance && i < p.copies; ++i) p.corrupt[i] = random_.chance(settings_.corrupt);
  return p;
}

void Link::damage(Frame& frame) {
  if (frame.size() < 2) return;
  const std::size_t at = random_.below(frame.size() - 1);
  // At least one of 15 neighbouring bits, starting anywhere in the first byte's last seven or at the byte
  // itself.
  const auto pattern = static_cast<unsigned>(random_.between(1, 0x7fff)) << random_.below(2);
  frame[at] ^= static_cast<std::byte>(pattern >> 8);
  frame[at + 1] ^= static_cast<std::byte>(pattern & 0xff);
}

} // namespace tern::sim
