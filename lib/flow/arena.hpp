// The arena: one range of addresses for all records of the process, so that a pointer among them takes 32
// bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flow/compact_ptr.hpp"

namespace tern {

enum class PageKind : std::uint8_t {
  small,       // 4 KiB
  transparent, // 4 KiB that the kernel was asked to join to 2 MiB (MADV_HUGEPAGE): counted in RSS
  huge,        // 2 MiB from the hugetlbfs pool (MAP_HUGETLB): not counted in RSS
};
[[nodiscard]] std::string_view to_string(PageKind kind);

// What somebody wants room for: "connections", 10'000'000 of them, 256 bytes each.
struct ArenaRequest {
  std::string name;
  std::uint64_t count = 0;
  std::uint64_t bytes_each = 0;
  std::uint64_t ready =
      0; // so many, the first, will be used soon: their pages are made in take(), not one stall each
  std::uint64_t holds = 0;                   // where one piece has room for several: so many, as it is told
  [[nodiscard]] std::uint64_t bytes() const; // saturates
};

struct ArenaReservation {
  ArenaRequest request;
  std::uint64_t bytes = 0; // rounded up to whole pages
  PageKind pages = PageKind::small;
  [[nodiscard]] std::string to_string()
      const; // "reserved 2442 MiB for 10000000 connections (256 B each, 2 MiB pages)"
};

// The limits asked for don't fit; the message says what was asked for, by whom, and what there is.
struct ArenaError : std::runtime_error {
  enum class Why : std::uint8_t {
    memory,    // more bytes than there are, or than may be had
    reach,     // more than 32-bit pointers can name: no memory helps
    addresses, // the system gave none: no limit of ours helps
  };
  explicit ArenaError(const std::string& what) : std::runtime_error(what) {}
  ArenaError(const std::string& what, Why w, std::uint64_t m, std::vector<ArenaRequest> all)
      : std::runtime_error(what), why(w), memory(m), asked(std::move(all)) {}

  Why why = Why::addresses;
  std::uint64_t memory = 0;        // bytes that might have been had
  std::vector<ArenaRequest> asked; // what is taken, and what was wanted besides
};

class Arena;

// A piece of the arena: zeroed, and given back when this dies.
class ArenaPiece {
 public:
  ArenaPiece() = default;
  ArenaPiece(ArenaPiece&& o) noexcept { swap(o); }
  ArenaPiece& operator=(ArenaPiece&& o) noexcept {
    ArenaPiece taken{std::move(o)};
    swap(taken);
    return *this;
  }
  ArenaPiece(const ArenaPiece&) = delete;
  ArenaPiece& operator=(const ArenaPiece&) = delete;
  ~ArenaPiece();

  [[nodiscard]] void* data() const { return data_; } // aligned to a page; to 2 MiB if it is that big
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  friend class Arena;
  ArenaPiece(Arena* owner, void* data, std::size_t size) : owner_(owner), data_(data), size_(size) {}
  void swap(ArenaPiece& o) {
    std::swap(owner_, o.owner_), std::swap(data_, o.data_), std::swap(size_, o.size_);
  }

  Arena* owner_ = nullptr;
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

// Addresses are reserved whole at the start; memory is committed piece by piece, at start-up, by whoever
// needs a slab. Pages of 2 MiB from the pool where it has enough, else transparent ones, else 4 KiB. Take and
// give back may come from any thread (they lock; nothing on the packet path calls them). Memory is placed on
// the NUMA node of the thread that first touches it, so a Core's pieces are taken and, if `prefault`, touched
// on its own lcore.
class Arena {
 public:
  struct Settings {
    std::uint64_t reach = compact_reach; // of addresses
    std::uint64_t memory = 0;            // bytes it may commit; 0: what the machine and the cgroup have now
    bool huge_pages = true;              // may take from the hugetlbfs pool
    bool prefault = false;               // touch every page in take(), so that the packet path never faults
  };
  explicit Arena(const Settings& settings); // throws ArenaError if the addresses can't be had
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  // Throws ArenaError, with the arithmetic, if these can't all be had besides what is taken already.
  void require(std::span<const ArenaRequest> requests) const;
  [[nodiscard]] ArenaPiece take(const ArenaRequest& request); // throws as require()

  [[nodiscard]] std::byte* base() const { return base_; }
  [[nodiscard]] std::vector<ArenaReservation> reservations() const; // in order of address
  [[nodiscard]] std::uint64_t reserved() const;                     // bytes
  [[nodiscard]] std::uint64_t huge_bytes() const; // of them, from the pool: what RSS doesn't show
  [[nodiscard]] std::uint64_t memory() const;     // bytes that it may commit
  void set_prefault(bool on);
  void set_memory(std::uint64_t bytes); // lowers what it may commit; never raises it

 private:
  friend class ArenaPiece;
  void give_back(void* data, std::size_t size);
  void require_locked(std::span<const ArenaRequest> requests) const;
  [[nodiscard]] std::uint64_t find_hole(std::uint64_t bytes, std::uint64_t alignment) const;
  [[nodiscard]] PageKind commit(std::byte* at, std::uint64_t bytes) const;

  mutable std::mutex mutex_;
  Settings settings_;
  std::byte* mapping_ = nullptr; // as mmap gave it
  std::uint64_t mapping_size_ = 0;
  std::byte* base_ = nullptr; // aligned to 2 MiB
  std::uint64_t reserved_ = 0;
  std::map<std::uint64_t, ArenaReservation> taken_; // by offset
};

// The one arena of CompactPtr, made at first use, never unmade. Default settings.
[[nodiscard]] Arena& process_arena();

} // namespace tern
