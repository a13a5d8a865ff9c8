// The pools of side records, reserved once: by a core at start-up, by a simulated host, by a test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

#include "base/check.hpp"
#include "base/pool.hpp"
#include "tcp/env.hpp"
#include "tcp/reassembly.hpp"
#include "tcp/recovery/recovery.hpp"
#include "tcp/send_queue.hpp"

namespace tern::tcp {

// How many of each.
struct SideCounts {
  std::uint32_t recovery = 0;
  std::uint32_t tx_log = 0;
  std::uint32_t reassembly = 0;
  std::uint32_t ranges = 0;
  std::uint32_t send_queues = 0;
  std::uint32_t pieces = 0;

  // For `n` connections that have more than one segment in flight at a time: a few log blocks each, which is
  // what a bulk transfer needs, and some of them with holes in what they receive.
  [[nodiscard]] static constexpr SideCounts for_busy(std::uint32_t n) {
    return {
        .recovery = n, .tx_log = 4 * n, .reassembly = n, .ranges = 8 * n, .send_queues = n, .pieces = 8 * n};
  }
};

class SideMemory {
 public:
  static constexpr std::size_t alignment = 64;

  [[nodiscard]] static constexpr std::size_t bytes_for(const SideCounts& c) {
    return room<Recovery>(c.recovery) + room<TxLogBlock>(c.tx_log) + room<Reassembly>(c.reassembly) +
           room<ReassemblyRange>(c.ranges) + room<SendQueue>(c.send_queues) + room<PieceBlock>(c.pieces);
  }

  // On the heap, which is for start-up only.
  explicit SideMemory(const SideCounts& c)
      : own_(
            static_cast<std::byte*>(::operator new (bytes_for(c) + alignment, std::align_val_t{alignment}))) {
    lay_out(c, own_.get());
  }
  explicit SideMemory(std::uint32_t busy_connections) : SideMemory(SideCounts::for_busy(busy_connections)) {}
  // In memory that the caller reserved, aligned as `alignment` says, and keeps.
  SideMemory(const SideCounts& c, std::span<std::byte> memory) {
    TERN_CHECK(memory.size() >= bytes_for(c));
    TERN_CHECK(reinterpret_cast<std::uintptr_t>(memory.data()) % alignment == 0);
    lay_out(c, memory.data());
  }
  SideMemory(const SideMemory&) = delete;
  SideMemory& operator=(const SideMemory&) = delete;
  ~SideMemory() { unpoison(base_, bytes_); }

  [[nodiscard]] SidePools pools() {
    return {.recovery = &recovery_,
            .tx_log = &tx_log_,
            .reassembly = &reassembly_,
            .ranges = &ranges_,
            .send_queues = &send_queues_,
            .pieces = &pieces_};
  }
  // Records taken and not given back, of all kinds: 0 when no connection lives.
  [[nodiscard]] std::uint32_t used() const {
    return recovery_.used() + tx_log_.used() + reassembly_.used() + ranges_.used() + send_queues_.used() +
           pieces_.used();
  }

 private:
  template <class T>
  [[nodiscard]] static constexpr std::size_t room(std::uint32_t n) {
    static_assert(Pool<T>::alignment <= alignment);
    return (Pool<T>::bytes_for(n) + alignment - 1) / alignment * alignment;
  }
  template <class T>
  static void place(Pool<T>& pool, std::uint32_t n, std::byte*& at) {
    pool = Pool<T>(at, n);
    at += room<T>(n);
  }
  void lay_out(const SideCounts& c, std::byte* at) {
    base_ = at;
    bytes_ = bytes_for(c);
    place(recovery_, c.recovery, at);
    place(tx_log_, c.tx_log, at);
    place(reassembly_, c.reassembly, at);
    place(ranges_, c.ranges, at);
    place(send_queues_, c.send_queues, at);
    place(pieces_, c.pieces, at);
  }

  struct Free {
    void operator()(std::byte* p) const { ::operator delete (p, std::align_val_t{alignment}); }
  };
  std::unique_ptr<std::byte, Free> own_; // null: the memory is the caller's
  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
  Pool<Recovery> recovery_;
  Pool<TxLogBlock> tx_log_;
  Pool<Reassembly> reassembly_;
  Pool<ReassemblyRange> ranges_;
  Pool<SendQueue> send_queues_;
  Pool<PieceBlock> pieces_;
};

} // namespace tern::tcp
