#include "flow/flow_table.hpp"

namespace tern {
namespace {

// Below some dozens of buckets chance has too much to say: two more than the load asks for.
std::uint32_t buckets_for(std::uint32_t capacity) {
  constexpr std::uint64_t flows_per_100 = detail::FlowBucket::slots * FlowTable::load_percent;
  return static_cast<std::uint32_t>((std::uint64_t{capacity} * 100 + flows_per_100 - 1) / flows_per_100 + 2);
}

} // namespace

ArenaRequest FlowTable::request(std::uint32_t capacity, const std::string& name) {
  const std::uint32_t buckets = buckets_for(capacity);
  return {name, buckets, sizeof(Bucket), buckets}; // all over from the first packet on
}

FlowTable::FlowTable(Arena& arena, std::uint32_t capacity, const std::string& name)
    : bucket_count_(buckets_for(capacity)), capacity_(capacity), piece_(arena.take(request(capacity, name))) {
  buckets_ = static_cast<Bucket*>(piece_.data()); // zeroed: every slot is free
}

FlowTable::Place FlowTable::slot_with(Bucket& b, std::uint16_t tag, FlowRef ref) {
  for (unsigned m = b.match(tag); m != 0; m &= m - 1) {
    const auto slot = Bucket::slot_of(m);
    if (b.ref[slot] == ref.raw()) return {&b, slot};
  }
  return {};
}

// By tag and index alone: an index is in the table once at most.
FlowTable::Place FlowTable::locate(FlowHash hash, FlowRef ref) const {
  const std::uint32_t at = home(hash);
  const std::uint16_t tag = tag_of(hash);
  const Place p = slot_with(buckets_[at], tag, ref);
  if (p.bucket != nullptr || !buckets_[at].has_away()) return p;
  return slot_with(buckets_[other(at, tag)], tag | Bucket::away, ref);
}

bool FlowTable::insert(FlowHash hash, FlowRef ref) {
  TERN_DCHECK(ref);
  if (size() >= capacity_) return false;
  const std::uint32_t first = home(hash);
  const std::uint16_t tag = tag_of(hash);
  Bucket& b = buckets_[first];
  if (const unsigned room = b.free_slots(); room != 0) {
    b.put(Bucket::slot_of(room), tag, ref.raw());
    resize_by(1);
    return true;
  }
  const std::uint32_t second = other(first, tag);
  Place p;
  if (const unsigned room = buckets_[second].free_slots(); room != 0)
    p = {&buckets_[second], Bucket::slot_of(room)};
  else
    p = make_room(first, second);
  if (p.bucket == nullptr) return false;
  if (p.bucket == &b) {
    b.put(p.slot, tag, ref.raw());
  } else {
    p.bucket->put(p.slot, tag | Bucket::away, ref.raw());
    b.one_more_away();
  }
  resize_by(1);
  return true;
}

bool FlowTable::erase(FlowHash hash, FlowRef ref) {
  const Place p = locate(hash, ref);
  if (p.bucket == nullptr) return false;
  const bool was_away = (p.bucket->tag[p.slot] & Bucket::away) != 0;
  p.bucket->take_out(p.slot);
  if (was_away) buckets_[home(hash)].one_less_away();
  resize_by(-1);
  return true;
}

bool FlowTable::replace(FlowHash hash, FlowRef from, FlowRef to) {
  TERN_DCHECK(to);
  const Place p = locate(hash, from);
  if (p.bucket == nullptr) return false;
  Bucket::publish(p.bucket->ref[p.slot], to.raw());
  p.bucket->bump();
  ++changes_;
  return true;
}

FlowTable::Bucket& FlowTable::neighbour(std::uint32_t bucket, unsigned slot) const {
  return buckets_[other(bucket, buckets_[bucket].tag[slot])];
}

// Frees `slot` of `from` by taking its entry to its other bucket, which has room: first there, then no longer
// here.
void FlowTable::move(Bucket& from, unsigned slot, Bucket& to) {
  TERN_DCHECK(&to != &from && &neighbour(index_of(from), slot) == &to && to.free_slots() != 0);
  const std::uint16_t tag = from.tag[slot];
  to.put(Bucket::slot_of(to.free_slots()), tag ^ Bucket::away, from.ref[slot]);
  moves_.store(moves() + 1, std::memory_order_release);
  if ((tag & Bucket::away) == 0) {
    from.one_more_away();
    from.take_out(slot);
  } else {
    from.take_out(slot);
    to.one_less_away();
  }
}

// Both buckets are full. One of their 20 entries may have room in its other bucket.
FlowTable::Place FlowTable::make_room(std::uint32_t first, std::uint32_t second) {
  for (const std::uint32_t at : {first, second}) {
    for (unsigned slot = 0; slot < Bucket::slots; ++slot) {
      Bucket& to = neighbour(at, slot);
      if (to.free_slots() == 0) continue;
      move(buckets_[at], slot, to);
      return {&buckets_[at], slot};
    }
  }
  return make_room_two_deep(first, second);
}

// Nor in those 20 buckets is there room: one of the entries there may find it. A path can't bite its tail:
// whatever it ends in has room, and every bucket before it has none.
FlowTable::Place FlowTable::make_room_two_deep(std::uint32_t first, std::uint32_t second) {
  for (const std::uint32_t at : {first, second}) {
    for (unsigned slot = 0; slot < Bucket::slots; ++slot) {
      Bucket& middle = neighbour(at, slot);
      for (unsigned next = 0; next < Bucket::slots; ++next) {
        Bucket& to = neighbour(index_of(middle), next);
        if (to.free_slots() == 0) continue;
        move(middle, next, to);
        move(buckets_[at], slot, middle);
        return {&buckets_[at], slot};
      }
    }
  }
  return {};
}

} // namespace tern
