// How many connections, and how many a second, one source may have. A source is an IPv4 address or an IPv6
// /64. One table of fixed size for the process: the connections of one source arrive on every core.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/ip.hpp"
#include "base/siphash.hpp"
#include "base/time.hpp"

namespace tern::app::lb {

struct SourceLimits {
  std::uint32_t connections = 0; // at once; 0: no limit
  std::uint32_t rate = 0;        // new ones a second; 0: no limit
  std::uint32_t burst = 0;       // of them at once after a pause; 0: as many as a second's
  constexpr bool operator==(const SourceLimits&) const = default;
  [[nodiscard]] constexpr bool any() const { return connections != 0 || rate != 0; }
};

enum class SourceVerdict : std::uint8_t {
  admitted,
  too_many,  // connections at once
  too_fast,  // a second
  uncounted, // admitted; the table has no room to remember it
};

struct SourceTicket { // kept with the connection, for the end of it
  static constexpr std::uint32_t none = 0xffff'ffff;
  std::uint32_t entry = none;
};

//  A line of four entries, a bucket of two lines; an entry is the source's name (a keyed 64-bit hash: no
//  source can aim at a bucket, nor at another's name) and one word that every change swaps whole:
//
//    63                    24 23                  0
//   +------------------------+---------------------+
//   | full again, in µs      | connections         |
//   +------------------------+---------------------+
//
//  The rate is kept as the time at which the bucket of tokens is full again (as base/token_bucket.hpp). An
//  entry without connections whose time has passed says nothing and is anybody's.
//
//  When a bucket has no such entry, the one without connections whose time passes first goes: its source has
//  a fresh burst. When all have connections, the source is let in uncounted: the table bounds memory, it must
//  not turn away those who did nothing; listeners and backends have limits of their own. Two cores that see a
//  source for the first time at the same instant may give it two entries; the first is the one that counts
//  from then on.
class SourceTable {
 public:
  // 16 bytes an entry; at least as many as asked for. The key: a new one each start.
  SourceTable(std::uint32_t entries, SipKey key);

  // A new connection of this source to that service. Each service has its own limits and its own count.
  [[nodiscard]] SourceVerdict admit(std::uint32_t service, const Ip& source, const SourceLimits&, Instant now,
                                    SourceTicket& ticket);
  // It ended. A ticket without an entry does nothing.
  void release(SourceTicket ticket);

  [[nodiscard]] std::uint32_t connections(std::uint32_t service, const Ip& source) const;
  [[nodiscard]] std::size_t capacity() const { return 8 * (std::size_t{mask_} + 1); }
  [[nodiscard]] std::size_t bytes() const { return capacity() * sizeof(Entry); }

 private:
  struct Entry {
    std::atomic<std::uint64_t> name{0};
    std::atomic<std::uint64_t> word{0};
  };
  struct alignas(128) Bucket {
    std::array<Entry, 8> entries;
  };
  static_assert(sizeof(Bucket) == 128);

  [[nodiscard]] std::uint64_t name_of(std::uint32_t service, const Ip& source) const;
  [[nodiscard]] Bucket& bucket_of(std::uint64_t name) const { return buckets_[name >> 32 & mask_]; }
  [[nodiscard]] std::uint32_t index_of(const Bucket& b, std::size_t i) const {
    return static_cast<std::uint32_t>(8 * (&b - buckets_.get()) + static_cast<std::ptrdiff_t>(i));
  }
  [[nodiscard]] Entry* claim(Bucket& b, std::uint64_t name, std::uint64_t now_us);

  SipKey key_;
  std::uint32_t mask_;
  std::unique_ptr<Bucket[]> buckets_;
};

} // namespace tern::app::lb
