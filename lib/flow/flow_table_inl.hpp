// The bodies of flow_table.hpp's lookups.
#pragma once

#include "flow/flow_table.hpp"

namespace tern {

template <class Key, FlowRecords<Key> Records>
inline FlowRef FlowTable::find(FlowHash hash, const Key& key, const Records& records) const {
  const std::uint32_t at = home(hash);
  const std::uint16_t tag = tag_of(hash);
  const auto look = [&](const Bucket& b, std::uint16_t wanted) {
    for (unsigned m = b.match(wanted); m != 0; m &= m - 1) {
      const FlowRef ref = FlowRef::from_raw(b.ref[Bucket::slot_of(m)]);
      if (records.matches(ref, key)) return ref;
    }
    return FlowRef{};
  };
  const FlowRef ref = look(buckets_[at], tag);
  if (ref || !buckets_[at].has_away()) return ref;
  return look(buckets_[other(at, tag)], tag | Bucket::away);
}

inline void FlowTable::start(FlowBurst& burst, std::span<const FlowHash> hashes) const {
  TERN_DCHECK(hashes.size() <= FlowBurst::most);
  begin(burst);
  for (const FlowHash h : hashes) add(burst, h);
}

template <class Records>
inline void FlowTable::aim(FlowBurst& burst, const Records& records) const {
  std::uint32_t away_size = 0;
  for (std::size_t i = 0; i < burst.size; ++i) {
    const Bucket& b = buckets_[burst.bucket[i]];
    burst.state[i] = b.state;
    if (const unsigned m = b.match(burst.tag[i]); m != 0) {
      burst.found[i] = FlowRef::from_raw(b.ref[Bucket::slot_of(m)]);
      records.prefetch(burst.found[i]);
      continue;
    }
    burst.found[i] = FlowRef{};
    if (!b.has_away()) continue;
    burst.bucket[i] = other(burst.bucket[i], burst.tag[i]);
    prefetch_to_read(&buckets_[burst.bucket[i]]);
    burst.away[away_size++] = static_cast<std::uint8_t>(i);
  }
  burst.away_size = away_size;
}

template <class Records>
inline void FlowTable::aim_away(FlowBurst& burst, const Records& records) const {
  for (std::size_t k = 0; k < burst.away_size; ++k) {
    const std::size_t i = burst.away[k];
    const Bucket& b = buckets_[burst.bucket[i]];
    const unsigned m = b.match(burst.tag[i] | Bucket::away);
    if (m == 0) continue;
    burst.found[i] = FlowRef::from_raw(b.ref[Bucket::slot_of(m)]);
    records.prefetch(burst.found[i]);
  }
}

// What was aimed at may be gone or moved by now, or bear another's name (a tag is shared by 1 lookup in
// 3,000), and what wasn't there may have come: then the plain way, whose lines are cached.
template <class Key, FlowRecords<Key> Records>
inline void FlowTable::finish(FlowBurst& burst, std::span<const Key> keys, const Records& records) const {
  TERN_DCHECK(keys.size() == burst.size);
  const bool stale = burst.changes != changes_;
  for (std::size_t i = 0; i < burst.size; ++i) {
    if (stale || (burst.found[i] && !records.matches(burst.found[i], keys[i])))
      burst.found[i] = find(burst.hash[i], keys[i], records);
  }
}

template <class F>
bool FlowTable::walk(std::uint32_t* cursor, std::uint32_t buckets, F&& f) {
  for (; buckets != 0 && *cursor < bucket_count_; --buckets, ++*cursor) {
    const Bucket& b = buckets_[*cursor];
    for (unsigned slot = 0; slot < Bucket::slots; ++slot)
      if (b.tag[slot] != 0) f(FlowRef::from_raw(b.ref[slot]));
  }
  return *cursor >= bucket_count_;
}

template <class Match>
bool FlowTable::observe_bucket(const Bucket& b, std::uint16_t tag, Match& match) {
  for (unsigned slot = 0; slot < Bucket::slots; ++slot)
    if (Bucket::observe(b.tag[slot]) == tag && match(FlowRef::from_raw(Bucket::observe(b.ref[slot]))))
      return true;
  return false;
}

// Why it holds. The owner does everything in an order of release stores: change, version, what the change
// allows. If a load here (acquire) gave something written after a version was bumped, then the last two loads
// below see that version, and it differs from the one first seen; so if neither differs, nothing that was
// read here was written after a change. An entry that moves is put in its new place before it leaves the old:
// whoever missed it in both saw it gone from the old one, and so sees the version of the new. (A version
// comes round after 2^24 changes of one bucket, while the reader stands between two loads: seconds of
// changing one flow without pause, to the exact count.)
template <class Match>
FlowTable::Read FlowTable::read(FlowHash hash, Match&& match) const {
  const std::uint32_t at = home(hash);
  const std::uint16_t tag = tag_of(hash);
  const Bucket& first = buckets_[at];
  const Bucket& second = buckets_[other(at, tag)];
  constexpr int tries = 1000;
  for (int i = 0; i < tries; ++i) {
    const std::uint32_t first_state = Bucket::observe(first.state);
    const std::uint32_t second_state = Bucket::observe(second.state);
    const bool found = observe_bucket(first, tag, match) || observe_bucket(second, tag | Bucket::away, match);
    if (Bucket::observe(first.state) == first_state && Bucket::observe(second.state) == second_state)
      return found ? Read::found : Read::absent;
  }
  return Read::busy;
}

template <class Copy, class Good>
bool FlowTable::read_each(Copy&& copy, Good&& good) const {
  using Copied = std::invoke_result_t<Copy&, FlowRef>;
  constexpr int tries = 1000;
  const std::uint64_t before = moves();
  bool all = true;
  for (std::uint32_t at = 0; at < bucket_count_; ++at) {
    const Bucket& b = buckets_[at];
    bool still = false;
    for (int i = 0; i < tries && !still; ++i) {
      const std::uint32_t state = Bucket::observe(b.state);
      std::array<Copied, Bucket::slots> seen{};
      for (unsigned slot = 0; slot < Bucket::slots; ++slot)
        if (Bucket::observe(b.tag[slot]) != 0)
          seen[slot] = copy(FlowRef::from_raw(Bucket::observe(b.ref[slot])));
      still = Bucket::observe(b.state) == state;
      if (!still) continue;
      for (const Copied& c : seen)
        if (c) good(*c);
    }
    all = all && still;
  }
  return all && moves() == before;
}

template <class F>
bool FlowTable::observe_each(F&& f) const {
  const std::uint64_t before = moves();
  for (std::uint32_t at = 0; at < bucket_count_; ++at) {
    const Bucket& b = buckets_[at];
    for (unsigned slot = 0; slot < Bucket::slots; ++slot)
      if (Bucket::observe(b.tag[slot]) != 0) f(FlowRef::from_raw(Bucket::observe(b.ref[slot])));
  }
  return moves() == before;
}

} // namespace tern
