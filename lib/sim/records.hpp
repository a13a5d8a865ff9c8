// Side records for a host in the simulator: the pools that a core would have in its arena, here on the heap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/pool.hpp"
#include "tcp/env.hpp"
#include "tcp/reassembly.hpp"
#include "tcp/recovery/recovery.hpp"
#include "tcp/recovery/tx_log.hpp"
#include "tcp/send_queue.hpp"

namespace tern::sim {

template <class T>
class HeapPool {
 public:
  explicit HeapPool(std::uint32_t n)
      : memory_(std::make_unique<Storage[]>(Pool<T>::bytes_for(n) / sizeof(Storage) + 1)),
        pool_(memory_.get(), n) {}
  HeapPool(const HeapPool&) = delete;
  HeapPool& operator=(const HeapPool&) = delete;
  ~HeapPool() { unpoison(memory_.get(), Pool<T>::bytes_for(pool_.capacity())); }
  [[nodiscard]] Pool<T>* get() { return &pool_; }
  [[nodiscard]] const Pool<T>& pool() const { return pool_; }

 private:
  struct alignas(64) Storage {
    std::byte bytes[64];
  };
  std::unique_ptr<Storage[]> memory_;
  Pool<T> pool_;
};

// How many of each there are; 0 of one plays a core that has run out.
struct RecordLimits {
  std::uint32_t recovery = 64;
  std::uint32_t tx_log = 4096;
  std::uint32_t reassembly = 64;
  std::uint32_t ranges = 2048;
  std::uint32_t send_queues = 64;
  std::uint32_t pieces = 4096;
};

class Records {
 public:
  explicit Records(const RecordLimits& n)
      : recovery_(n.recovery),
        tx_log_(n.tx_log),
        reassembly_(n.reassembly),
        ranges_(n.ranges),
        send_queues_(n.send_queues),
        pieces_(n.pieces) {}

  [[nodiscard]] tcp::SidePools side() {
    return {recovery_.get(), tx_log_.get(),      reassembly_.get(),
            ranges_.get(),   send_queues_.get(), pieces_.get()};
  }
  [[nodiscard]] std::uint32_t used() const {
    return recovery_.pool().used() + tx_log_.pool().used() + reassembly_.pool().used() +
           ranges_.pool().used() + send_queues_.pool().used() + pieces_.pool().used();
  }

 private:
  HeapPool<tcp::Recovery> recovery_;
  HeapPool<tcp::TxLogBlock> tx_log_;
  HeapPool<tcp::Reassembly> reassembly_;
  HeapPool<tcp::ReassemblyRange> ranges_;
  HeapPool<tcp::SendQueue> send_queues_;
  HeapPool<tcp::PieceBlock> pieces_;
};

} // namespace tern::sim
