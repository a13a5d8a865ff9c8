// Latencies in a log-linear histogram of three significant digits: 1 ns to hours, recorded in a handful of
// cycles.
//
// Values below 2,048 ns have a bucket each; every octave above is cut into 1,024 equal buckets, so a bucket
// is never wider than 1/1024 of the values in it:
//
//   ns        0 … 2047 | 2048 … 4095 | 4096 … 8191 | … | 2^43 … 2^44-1 (4.9 h)
//   width         1    |      2      |      4      | … |     2^33
//   bucket    0 … 2047 | 2048 … 3071 | 3072 … 4095 | … | 34816 … 35839
//
// An octave is 4 KiB of counts, and a run's latencies lie within few of them: what is written stays in cache.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/counters.hpp"

namespace tern::observe {

namespace buckets {
inline constexpr unsigned sub_bits = 10;   // 1,024 buckets an octave
inline constexpr unsigned value_bits = 44; // what is longer counts as longest
inline constexpr std::uint64_t limit = (std::uint64_t{1} << value_bits) - 1;
inline constexpr std::size_t count = (std::size_t{value_bits} - sub_bits + 1) << sub_bits;

[[nodiscard]] constexpr std::uint32_t index_of(std::uint64_t ns) {
  if (ns > limit) ns = limit; // a conditional move
  // At least 1 bit set beyond the sub-buckets' makes the shift of small values zero without a branch.
  const unsigned width = static_cast<unsigned>(std::bit_width(ns | (std::uint64_t{1} << sub_bits)));
  const unsigned shift = width - (sub_bits + 1);
  return static_cast<std::uint32_t>((shift << sub_bits) + (ns >> shift));
}
[[nodiscard]] constexpr std::uint64_t lowest(std::uint32_t index) {
  if (index < (2U << sub_bits)) return index;
  const unsigned shift = (index >> sub_bits) - 1;
  return ((index & ((1ULL << sub_bits) - 1)) | (1ULL << sub_bits)) << shift;
}
[[nodiscard]] constexpr std::uint64_t highest(std::uint32_t index) {
  return lowest(index + 1) - 1;
}

static_assert(index_of(limit) == count - 1 && highest(count - 1) == limit);
static_assert(index_of(2047) == 2047 && index_of(2048) == 2048 && lowest(2048) == 2048 &&
              highest(2048) == 2049);
} // namespace buckets

// A histogram at rest: a copy, a sum of cores' or the difference of two moments. Plain memory, one thread.
class Latencies {
 public:
  Latencies() : counts_(buckets::count) {}

  void record(std::uint64_t ns, std::uint64_t times = 1);
  void merge(const Latencies& other);
  void clear();

  // What was recorded after `earlier`, an older state of the same histogram. Its extremes are known as finely
  // as the buckets are.
  [[nodiscard]] Latencies since(const Latencies& earlier) const;

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t min() const { return count_ == 0 ? 0 : min_; }
  [[nodiscard]] std::uint64_t max() const { return max_; }
  [[nodiscard]] double mean() const;

  // The least recorded value (as finely as the buckets are, rounded up, never above max()) that at least
  // `percent` of all values do not exceed; 0 when nothing was recorded.
  [[nodiscard]] std::uint64_t percentile(double percent) const;

  // For a plot: neighbouring buckets joined to 2^`bits` an octave, empty ones left out.
  struct Bar {
    std::uint64_t from; // ns, both ends belong to it
    std::uint64_t to;
    std::uint64_t count;
  };
  [[nodiscard]] std::vector<Bar> bars(unsigned bits = 4) const;

 private:
  friend class Histogram;
  void add(std::uint32_t index, std::uint64_t times) { counts_[index] += times, count_ += times; }

  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0; // ns
  std::uint64_t min_ = ~std::uint64_t{0};
  std::uint64_t max_ = 0;
};

// The one that is written: by one thread (its core), while any thread copies it out.
//
//   line 0   counts_ | carries_ | sum_ | min_ | max_ | wraps_      read and written by every record()
//   counts   one 32-bit count of one of 35,840 buckets (140 KiB), the octaves in use hot
//   carries  what overflows of them, at most once in 2^32 records: not touched otherwise
class alignas(cache_line) Histogram {
 public:
  Histogram()
      : counts_(std::make_unique<std::atomic<std::uint32_t>[]>(buckets::count)),
        carries_(std::make_unique<std::atomic<std::uint32_t>[]>(buckets::count)) {}

  void record(std::uint64_t ns, std::uint32_t times = 1) {
    const std::uint32_t index = buckets::index_of(ns);
    auto& cell = counts_[index];
    const std::uint32_t n = cell.load(std::memory_order_relaxed) + times;
    if (n < times) [[unlikely]]
      carry(index, n);
    else
      cell.store(n,
                 std::memory_order_release); // a plain store on x86; orders it after a carry for the reader
    sum_.store(sum_.load(std::memory_order_relaxed) + ns * times, std::memory_order_relaxed);
    if (ns > max_.load(std::memory_order_relaxed)) max_.store(ns, std::memory_order_relaxed);
    if (ns < min_.load(std::memory_order_relaxed)) min_.store(ns, std::memory_order_relaxed);
  }

  // Adds what is recorded so far to `out`, from any thread. Records that happen meanwhile may or may not be
  // in it.
  void add_to(Latencies& out) const;
  [[nodiscard]] Latencies snapshot() const;

  // For the owner, with nobody reading: as new.
  void clear();

 private:
  void carry(std::uint32_t index, std::uint32_t rest);

  std::unique_ptr<std::atomic<std::uint32_t>[]> counts_;
  std::unique_ptr<std::atomic<std::uint32_t>[]> carries_;
  std::atomic<std::uint64_t> sum_{0};
  std::atomic<std::uint64_t> min_{~std::uint64_t{0}};
  std::atomic<std::uint64_t> max_{0};
  std::atomic<std::uint32_t> wraps_{0}; // odd while a carry is under way
};
static_assert(sizeof(Histogram) == cache_line);

} // namespace tern::observe
