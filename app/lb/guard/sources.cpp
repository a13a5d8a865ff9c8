#include "app/lb/guard/sources.hpp"

#include <algorithm>
#include <bit>

namespace tern::app::lb {
namespace {

constexpr unsigned count_bits = 24;
constexpr std::uint64_t count_mask = (1ULL << count_bits) - 1;
constexpr std::uint64_t changing_hands = count_mask; // as a count: nobody may touch it
constexpr std::uint64_t time_mask = (1ULL << (64 - count_bits)) - 1;

std::uint64_t us_of(Instant t) {
  return static_cast<std::uint64_t>(t.since_origin_ns()) / 1000 & time_mask;
}

std::uint64_t word_of(std::uint64_t time, std::uint64_t count) {
  return time << count_bits | count;
}

// How long until `time`, in µs; 0 when it has passed. 40 bits of microseconds come round in 12 days; a time
// further ahead than `most` can only be an old one that did.
std::uint64_t ahead(std::uint64_t time, std::uint64_t now, std::uint64_t most) {
  const std::uint64_t d = (time - now) & time_mask;
  return d > most ? 0 : d;
}

constexpr std::uint64_t longest_debt = 3'600'000'000; // an hour: no sane burst takes longer to earn

} // namespace

SourceTable::SourceTable(std::uint32_t entries, SipKey key)
    : key_(key),
      mask_(std::bit_ceil(std::max(1U, (entries + 7) / 8)) - 1),
      buckets_(std::make_unique<Bucket[]>(std::size_t{mask_} + 1)) {}

std::uint64_t SourceTable::name_of(std::uint32_t service, const Ip& source) const {
  Sip13 s{key_};
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::memcpy(&high, source.bytes().data(), 8);
  // An IPv6 customer is given a /64 or more: counting addresses would count nothing.
  if (source.is_v4()) std::memcpy(&low, source.bytes().data() + 8, 8);
  s.word(high);
  s.word(low);
  return std::max<std::uint64_t>(s.finish(service, 20), 1); // 0 is an entry never used
}

// An entry for a source that has none: one that says nothing, else one without connections that says least.
// It comes back with a count of one. Null: all have connections.
SourceTable::Entry* SourceTable::claim(Bucket& b, std::uint64_t name, std::uint64_t now_us) {
  while (true) {
    Entry* best = nullptr;
    std::uint64_t seen = 0;
    std::uint64_t least = ~std::uint64_t{0};
    for (Entry& e : b.entries) {
      const std::uint64_t w = e.word.load(std::memory_order_acquire);
      if ((w & count_mask) != 0) continue;
      const std::uint64_t left =
          e.name.load(std::memory_order_relaxed) == 0 ? 0 : ahead(w >> count_bits, now_us, longest_debt);
      if (left >= least) continue;
      best = &e;
      seen = w;
      least = left;
    }
    if (best == nullptr) return nullptr;
    if (!best->word.compare_exchange_strong(seen, word_of(now_us, changing_hands), std::memory_order_acq_rel))
      continue;
    best->name.store(name, std::memory_order_release);
    return best;
  }
}

SourceVerdict SourceTable::admit(std::uint32_t service, const Ip& source, const SourceLimits& limits,
                                 Instant now, SourceTicket& ticket) {
  ticket = {};
  if (!limits.any()) return SourceVerdict::admitted;
  const std::uint64_t name = name_of(service, source);
  const std::uint64_t now_us = us_of(now);
  const std::uint64_t interval = limits.rate == 0 ? 0 : std::max<std::uint64_t>(1'000'000 / limits.rate, 1);
  const std::uint64_t burst = limits.burst == 0 ? std::max(limits.rate, 1U) : limits.burst;
  const std::uint64_t slack = std::min(interval * (burst - 1), longest_debt - interval);
  Bucket& b = bucket_of(name);
  for (std::size_t i = 0; i < b.entries.size(); ++i) {
    Entry& e = b.entries[i];
    std::uint64_t w = e.word.load(std::memory_order_acquire);
    while (e.name.load(std::memory_order_acquire) == name && (w & count_mask) != changing_hands) {
      const std::uint64_t count = w & count_mask;
      const std::uint64_t debt = ahead(w >> count_bits, now_us, slack + interval);
      if (limits.connections != 0 && count >= limits.connections) return SourceVerdict::too_many;
      if (count + 1 >= changing_hands) return SourceVerdict::too_many;
      if (interval != 0 && debt > slack) return SourceVerdict::too_fast;
      const std::uint64_t until = (now_us + debt + interval) & time_mask;
      if (e.word.compare_exchange_weak(w, word_of(until, count + 1), std::memory_order_acq_rel)) {
        ticket.entry = index_of(b, i);
        return SourceVerdict::admitted;
      }
    }
  }
  Entry* const e = claim(b, name, now_us);
  if (e == nullptr) return SourceVerdict::uncounted;
  e->word.store(word_of((now_us + interval) & time_mask, 1), std::memory_order_release);
  ticket.entry = index_of(b, static_cast<std::size_t>(e - b.entries.data()));
  return SourceVerdict::admitted;
}

void SourceTable::release(SourceTicket ticket) {
  if (ticket.entry == SourceTicket::none) return;
  // An entry with connections never changes hands: it is still the one that was admitted by.
  Entry& e = buckets_[ticket.entry / 8].entries[ticket.entry % 8];
  e.word.fetch_sub(1, std::memory_order_acq_rel);
}

std::uint32_t SourceTable::connections(std::uint32_t service, const Ip& source) const {
  const std::uint64_t name = name_of(service, source);
  std::uint32_t all = 0;
  for (const Entry& e : bucket_of(name).entries)
    if (e.name.load(std::memory_order_acquire) == name)
      all += static_cast<std::uint32_t>(e.word.load(std::memory_order_acquire) & count_mask);
  return all;
}

} // namespace tern::app::lb
