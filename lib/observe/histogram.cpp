#include "observe/histogram.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"

namespace tern::observe {

void Latencies::record(std::uint64_t ns, std::uint64_t times) {
  if (times == 0) return;
  add(buckets::index_of(ns), times);
  sum_ += ns * times;
  min_ = std::min(min_, ns);
  max_ = std::max(max_, ns);
}

void Latencies::merge(const Latencies& other) {
  for (std::size_t i = 0; i < buckets::count; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

void Latencies::clear() {
  *this = Latencies{};
}

Latencies Latencies::since(const Latencies& earlier) const {
  Latencies d;
  d.sum_ = sum_ - earlier.sum_;
  std::uint32_t first = buckets::count;
  std::uint32_t last = 0;
  for (std::uint32_t i = 0; i < buckets::count; ++i) {
    TERN_DCHECK(counts_[i] >= earlier.counts_[i]);
    if (counts_[i] <= earlier.counts_[i]) continue;
    d.add(i, counts_[i] - earlier.counts_[i]);
    first = std::min(first, i);
    last = i;
  }
  if (d.count_ == 0) return d;
  d.min_ = std::max(buckets::lowest(first), min_);
  // The last bucket has no end: what is in it may be longer than it says.
  d.max_ = last == buckets::count - 1 ? max_ : std::min(buckets::highest(last), max_);
  return d;
}

double Latencies::mean() const {
  return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

std::uint64_t Latencies::percentile(double percent) const {
  if (count_ == 0) return 0;
  const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
  // One part in 10^12 less: 99.9% of 1,000 is 999, though 0.999 has no exact double.
  const double exact = share * static_cast<double>(count_);
  const auto rank = static_cast<std::uint64_t>(std::max(1.0, std::ceil(exact * (1 - 1e-12))));
  if (rank >= count_) return max_;
  std::uint64_t seen = 0;
  for (std::uint32_t i = 0; i < buckets::count; ++i) {
    seen += counts_[i];
    if (seen >= rank) return std::clamp(buckets::highest(i), min_, max_);
  }
  return max_;
}

std::vector<Latencies::Bar> Latencies::bars(unsigned bits) const {
  std::vector<Bar> out;
  const unsigned join =
      buckets::sub_bits - std::min(bits, buckets::sub_bits); // a power of two of buckets to a bar
  const std::uint32_t step = 1U << join;
  for (std::uint32_t i = 0; i < buckets::count;) {
    // Below 2^sub_bits every nanosecond has its bucket and octaves are smaller: join as many as keep the
    // proportion.
    const std::uint64_t low = buckets::lowest(i);
    const std::uint32_t n = low >= (1U << buckets::sub_bits)
                                ? step
                                : std::max(1U, std::bit_floor(static_cast<std::uint32_t>(low)) >> bits);
    std::uint64_t sum = 0;
    for (std::uint32_t j = i; j < i + n; ++j) sum += counts_[j];
    if (sum != 0) out.push_back({low, buckets::highest(i + n - 1), sum});
    i += n;
  }
  return out;
}

// A reader must not see the count after its wrap with the carry before it, or the other way: `wraps_` is odd
// meanwhile.
void Histogram::carry(std::uint32_t index, std::uint32_t rest) {
  const std::uint32_t w = wraps_.load(std::memory_order_relaxed);
  wraps_.store(w + 1, std::memory_order_relaxed);
  carries_[index].store(carries_[index].load(std::memory_order_relaxed) + 1, std::memory_order_release);
  counts_[index].store(rest, std::memory_order_release);
  wraps_.store(w + 2, std::memory_order_release);
}

void Histogram::add_to(Latencies& out) const {
  std::uint32_t first = buckets::count;
  std::uint32_t last = 0;
  for (std::uint32_t i = 0; i < buckets::count; ++i) {
    std::uint64_t n = 0;
    for (;;) { // again only if a carry, once in 2^32 records of a bucket, fell into these three loads
      const std::uint32_t before = wraps_.load(std::memory_order_acquire);
      const std::uint64_t low = counts_[i].load(std::memory_order_acquire);
      const std::uint64_t high = carries_[i].load(std::memory_order_acquire);
      n = high << 32 | low;
      if ((before & 1) == 0 && before == wraps_.load(std::memory_order_relaxed)) break;
    }
    if (n == 0) continue;
    out.add(i, n);
    first = std::min(first, i);
    last = i;
  }
  if (first == buckets::count) return;
  out.sum_ += sum_.load(std::memory_order_relaxed);
  // The extremes may be a record behind the counts.
  out.min_ = std::min({out.min_, min_.load(std::memory_order_relaxed), buckets::highest(first)});
  out.max_ = std::max({out.max_, max_.load(std::memory_order_relaxed), buckets::lowest(last)});
}

Latencies Histogram::snapshot() const {
  Latencies out;
  add_to(out);
  return out;
}

void Histogram::clear() {
  for (std::size_t i = 0; i < buckets::count; ++i) {
    counts_[i].store(0, std::memory_order_relaxed);
    carries_[i].store(0, std::memory_order_relaxed);
  }
  sum_.store(0, std::memory_order_relaxed);
  min_.store(~std::uint64_t{0}, std::memory_order_relaxed);
  max_.store(0, std::memory_order_relaxed);
}

} // namespace tern::observe
