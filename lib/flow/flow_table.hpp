// The flow table: from a connection's name to the 32-bit index of its record.
#pragma once

#include <immintrin.h>

#include <array>
#include <atomic>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include "base/check.hpp"
#include "base/prefetch.hpp"
#include "flow/arena.hpp"
#include "flow/flow_hash.hpp"
#include "flow/flow_key.hpp"

namespace tern {

// Which slab an index speaks of.
enum class FlowKind : std::uint8_t { connection, syn_received, time_wait, time_wait6 };

// A record's kind and index in 32 bits: one lookup answers for all kinds.
class FlowRef {
 public:
  static constexpr std::uint32_t max_index = (1U << 30) - 2; // the last index of the last kind is `none`

  constexpr FlowRef() = default; // none
  constexpr FlowRef(FlowKind kind, std::uint32_t index)
      : raw_(static_cast<std::uint32_t>(kind) << 30 | index) {
    TERN_DCHECK(index <= max_index);
  }
  [[nodiscard]] static constexpr FlowRef from_raw(std::uint32_t raw) {
    FlowRef r;
    r.raw_ = raw;
    return r;
  }
  [[nodiscard]] constexpr explicit operator bool() const { return raw_ != none; }
  [[nodiscard]] constexpr FlowKind kind() const { return static_cast<FlowKind>(raw_ >> 30); }
  [[nodiscard]] constexpr std::uint32_t index() const { return raw_ & ((1U << 30) - 1); }
  [[nodiscard]] constexpr std::uint32_t raw() const { return raw_; }
  constexpr bool operator==(const FlowRef&) const = default;

 private:
  static constexpr std::uint32_t none = ~0U;
  std::uint32_t raw_ = none;
};

// Where the records are: the owner of the slabs tells whether a record bears a name. `matches` of an IPv6 key
// is false for a record of an IPv4 flow, and the other way round.
template <class R, class Key>
concept FlowRecords = requires(const R& records, FlowRef ref, const Key& key) {
  records.prefetch(ref);
  { records.matches(ref, key) } -> std::same_as<bool>;
};

namespace detail {

// One cache line:
//   0        20      24                            64
//   | tag[10] | state | ref[10]                     |
// A tag is 15 bits of the hash, never 0, and on top the bit `away`: this entry is in its second bucket. Tag
// 0: free. `state`: the low 8 bits count the entries that have their home here and are away (stuck at 255 if
// it ever gets there); above, 24 bits of version.
//
// The owner reads as he likes. He writes with release, and bumps the version after each change and before
// anything the change lets him do (write over the record that was removed, say). A reader on another core
// loads with acquire: whoever saw anything of what came after a change sees its version too (see
// FlowTable::read).
struct alignas(64) FlowBucket {
  static constexpr unsigned slots = 10;
  static constexpr std::uint16_t away = 0x8000;
  static constexpr std::uint32_t away_count = 0xff;
  static constexpr std::uint32_t version_one = 0x100;

  std::uint16_t tag[slots];
  std::uint32_t state;
  std::uint32_t ref[slots];

  // Bit 2i: slot i has this tag. `slot_of` gives the first's number.
  [[nodiscard]] unsigned match(std::uint16_t wanted) const {
    constexpr unsigned all = 0x55555; // one bit a slot; behind the tags there are other things
    static_assert(slots == 10);
    const auto* lines = reinterpret_cast<const __m128i*>(this);
#ifdef __AVX2__
    const __m256i tags = _mm256_load_si256(reinterpret_cast<const __m256i*>(lines));
    const __m256i same = _mm256_cmpeq_epi16(tags, _mm256_set1_epi16(static_cast<short>(wanted)));
    return static_cast<unsigned>(_mm256_movemask_epi8(same)) & all;
#else
    const __m128i w = _mm_set1_epi16(static_cast<short>(wanted));
    const auto low = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi16(_mm_load_si128(lines), w)));
    const auto high = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi16(_mm_load_si128(lines + 1), w)));
    return (low | high << 16) & all;
#endif
  }
  [[nodiscard]] static unsigned slot_of(unsigned match) {
    return static_cast<unsigned>(std::countr_zero(match)) >> 1;
  }
  [[nodiscard]] unsigned free_slots() const {
    return match(0);
  }
  [[nodiscard]] bool has_away() const {
    return (state & away_count) != 0;
  }

  template <class T>
  static void publish(T& field, T value) {
    std::atomic_ref<T>(field).store(value, std::memory_order_release);
  }
  // For readers that are not the owner. (atomic_ref<const T> comes with C++26; nothing is written here.)
  template <class T>
  [[nodiscard]] static T observe(const T& field) {
    return std::atomic_ref<T>(const_cast<T&>(field)).load(std::memory_order_acquire);
  }

  void put(unsigned slot, std::uint16_t t, std::uint32_t r) {
    publish(ref[slot], r);
    publish(tag[slot], t);
    bump();
  }
  void take_out(unsigned slot) {
    publish(tag[slot], std::uint16_t{0});
    bump();
  }
  void bump() {
    publish(state, state + version_one);
  }
  void one_more_away() {
    const bool stuck = (state & away_count) == away_count;
    publish(state, state + version_one + (stuck ? 0U : 1U));
  }
  void one_less_away() {
    const bool stuck = (state & away_count) == away_count;
    publish(state, state + version_one - (stuck ? 0U : 1U));
  }
};
static_assert(sizeof(FlowBucket) == 64 && offsetof(FlowBucket, state) == 20 &&
              offsetof(FlowBucket, ref) == 24);

} // namespace detail

// A burst of lookups on its way through the table's stages (see FlowTable::start). Its owner keeps several,
// so that one waits for memory while another is worked on.
struct FlowBurst {
  static constexpr std::size_t most = 64;

  std::array<FlowHash, most> hash;
  std::array<std::uint32_t, most> bucket;
  std::array<std::uint16_t, most> tag;
  std::array<std::uint32_t, most> state; // the home bucket's, when it was looked at
  std::array<FlowRef, most> found;       // after finish(): the answers
  std::array<std::uint8_t, most> away;   // those whose home doesn't show their tag, but has entries away
  std::uint32_t size = 0;
  std::uint32_t away_size = 0;
  std::uint64_t changes = 0; // the table's, at the start
};

// Two buckets per key, ten entries each. An entry lies in its home bucket if there was room, else in its
// other one; if both are full, entries that are in the way are moved to their own other buckets, at most two
// of them, found among at most 222 buckets. So a lookup reads at most two lines, an insert has a bound, and
// nothing is ever resized. The other bucket follows from bucket and tag alone (f(tag) - bucket mod n, which
// leads there and back), so moving needs no record.
//
// One writer, its owner. Any other core may call what stands under "Any thread".
class FlowTable {
 public:
  static constexpr unsigned load_percent = 85; // of all slots, at capacity

  // Room for `capacity` flows, at 85% of the slots: 7.6 bytes each. Throws ArenaError.
  FlowTable(Arena& arena, std::uint32_t capacity, const std::string& name = "flow table buckets");

  [[nodiscard]] static ArenaRequest request(std::uint32_t capacity,
                                            const std::string& name = "flow table buckets");

  // --- the owner ---

  // Stage 1 of any access: the bucket.
  void prefetch(FlowHash hash) const { prefetch_to_read(&buckets_[home(hash)]); }

  template <class Key, FlowRecords<Key> Records>
  [[nodiscard]] FlowRef find(FlowHash hash, const Key& key, const Records& records) const;

  // A burst in four stages, each of which prefetches what the next reads: home buckets; tags, so records or
  // second buckets; tags there, so records; compare. One burst alone waits for memory between them; whoever
  // has the next burst in hand (a Core that receives ahead) lets its stages run in the gaps: start(k + 3),
  // aim(k + 2), aim_away(k + 1), finish(k). The answers are those of finish(): once `changes()` has moved on,
  // look up again before using one.
  void start(FlowBurst& burst, std::span<const FlowHash> hashes) const;
  // Or start() one by one, as the hashes are made.
  void begin(FlowBurst& burst) const {
    burst.size = burst.away_size = 0;
    burst.changes = changes_;
  }
  void add(FlowBurst& burst, FlowHash hash) const {
    TERN_DCHECK(burst.size < FlowBurst::most);
    const std::uint32_t i = burst.size++;
    burst.hash[i] = hash;
    burst.bucket[i] = home(hash);
    burst.tag[i] = tag_of(hash);
    prefetch_to_read(&buckets_[burst.bucket[i]]);
  }
  template <class Records>
  void aim(FlowBurst& burst, const Records& records) const;
  template <class Records>
  void aim_away(FlowBurst& burst, const Records& records) const;
  // Whether an answer of aim() still stands, as far as buckets tell: home's has not changed since, and nobody
  // of this burst is away from home, where two would have to be asked.
  [[nodiscard]] bool stands(const FlowBurst& burst, std::size_t i) const {
    return changes_ == burst.changes ||
           (burst.away_size == 0 && buckets_[burst.bucket[i]].state == burst.state[i]);
  }
  template <class Key, FlowRecords<Key> Records>
  void finish(FlowBurst& burst, std::span<const Key> keys, const Records& records) const;
  // All four at once.
  template <class Key, FlowRecords<Key> Records>
  void find_burst(FlowBurst& burst, std::span<const FlowHash> hashes, std::span<const Key> keys,
                  const Records& records) const {
    start(burst, hashes);
    aim(burst, records);
    aim_away(burst, records);
    finish(burst, keys, records);
  }

  // The key must not be in the table, and the record must bear it already. False: the table is full.
  [[nodiscard]] bool insert(FlowHash hash, FlowRef ref);
  // False: no such entry.
  bool erase(FlowHash hash, FlowRef ref);
  // The same flow, another record (SYN-RECEIVED to connection to TIME_WAIT): in place. False: no such entry.
  [[nodiscard]] bool replace(FlowHash hash, FlowRef from, FlowRef to);

  // Calls `f(FlowRef)` for the entries of up to `buckets` buckets from `*cursor` on, and moves the cursor;
  // true when it came to the end. `f` may erase or replace the entry it was given, and may not insert.
  template <class F>
  bool walk(std::uint32_t* cursor, std::uint32_t buckets, F&& f);
  template <class F>
  void for_each(F&& f) {
    std::uint32_t cursor = 0;
    walk(&cursor, bucket_count_, f);
  }

  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  // Buckets with entries away from home: lookups that miss there read a second line. Reads the whole table.
  [[nodiscard]] std::uint32_t crowded_buckets() const {
    std::uint32_t n = 0;
    for (std::uint32_t i = 0; i < bucket_count_; ++i) n += buckets_[i].has_away() ? 1U : 0U;
    return n;
  }

  // --- any thread ---

  enum class Read : std::uint8_t { absent, found, busy };
  // `match(FlowRef)` tells whether that record bears the key, and may copy out what else it wants of the
  // record: when `found` comes back, the last call's record belonged to the flow all the time that `match`
  // read it, so what it copied is whole. For that, `match` loads with acquire what the owner stores with
  // release, and the owner inserts after the record is written, and erases or replaces before it is written
  // over. `busy`: the buckets kept changing.
  template <class Match>
  [[nodiscard]] Read read(FlowHash hash, Match&& match) const;
  // Calls `f(FlowRef)` for each entry, as hints: a record may be another's by the time it is read (it has a
  // generation). False if entries moved meanwhile, so that one may have been passed by or seen twice.
  template <class F>
  bool observe_each(F&& f) const;
  // The same, and whole: `copy(FlowRef)` is called for the entries of one bucket after another, under the rules
  // of read()'s `match`, and `good(copied)` for all that it gave of a bucket once it is known that none of them
  // was written over meanwhile. False also if a bucket kept changing, and was passed by.
  template <class Copy, class Good>
  bool read_each(Copy&& copy, Good&& good) const;

  [[nodiscard]] std::uint32_t size() const { return size_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t moves() const { return moves_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  [[nodiscard]] std::uint32_t slots() const { return bucket_count_ * Bucket::slots; }
  [[nodiscard]] std::size_t bytes() const { return piece_.size(); }

 private:
  using Bucket = detail::FlowBucket;
  struct Place {
    Bucket* bucket = nullptr;
    unsigned slot = 0;
  };

  [[nodiscard]] std::uint32_t reduce(std::uint32_t h) const {
    return static_cast<std::uint32_t>(std::uint64_t{h} * bucket_count_ >> 32);
  }
  [[nodiscard]] std::uint32_t home(FlowHash h) const {
    return reduce(static_cast<std::uint32_t>(h.value >> 32));
  }
  [[nodiscard]] static std::uint16_t tag_of(FlowHash h) {
    const auto t = static_cast<std::uint16_t>(h.value & 0x7fff);
    return t == 0 ? 1 : t;
  }
  [[nodiscard]] std::uint32_t other(std::uint32_t bucket, std::uint16_t tag) const {
    const std::uint32_t mirror = reduce((tag & 0x7fffU) * 0x9e3779b1U); // 2^32 / golden ratio
    return mirror >= bucket ? mirror - bucket : mirror + bucket_count_ - bucket;
  }
  [[nodiscard]] Place locate(FlowHash hash, FlowRef ref) const;
  [[nodiscard]] static Place slot_with(Bucket& b, std::uint16_t tag, FlowRef ref);
  [[nodiscard]] Bucket& neighbour(std::uint32_t bucket, unsigned slot) const;
  [[nodiscard]] Place make_room(std::uint32_t first, std::uint32_t second);
  [[nodiscard]] Place make_room_two_deep(std::uint32_t first, std::uint32_t second);
  void move(Bucket& from, unsigned slot, Bucket& to);
  void resize_by(std::int32_t n) {
    size_.store(size() + static_cast<std::uint32_t>(n), std::memory_order_relaxed);
    ++changes_;
  }
  [[nodiscard]] std::uint32_t index_of(const Bucket& b) const {
    return static_cast<std::uint32_t>(&b - buckets_);
  }
  template <class Match>
  [[nodiscard]] static bool observe_bucket(const Bucket& b, std::uint16_t tag, Match& match);

  Bucket* buckets_ = nullptr;
  std::uint32_t bucket_count_ = 0;
  std::uint32_t capacity_ = 0;
  std::uint64_t changes_ = 0;
  std::atomic<std::uint32_t> size_{0};
  std::atomic<std::uint64_t> moves_{0};
  ArenaPiece piece_;
};

} // namespace tern

#include "flow/flow_table_inl.hpp"
