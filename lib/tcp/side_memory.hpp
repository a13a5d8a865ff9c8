// The side records of one core, reserved at start.
#pragma once

#include <cstdint>
#include <memory>

#include "base/pool.hpp"
#include "tcp/env.hpp"
#include "tcp/reassembly.hpp"
#include "tcp/recovery/recovery.hpp"
#include "tcp/send_queue.hpp"

namespace tern::tcp {

// A Pool on pages of its own, touched when first used.
template <class T>
class OwnPool {
 public:
  explicit OwnPool(std::uint32_t n)
      : memory_(static_cast<std::byte*>(::operator new (Pool<T>::bytes_for(n) + 1, std::align_val_t{64}))),
        pool_(memory_, n) {}
  OwnPool(const OwnPool&) = delete;
  OwnPool& operator=(const OwnPool&) = delete;
  ~OwnPool() {
    unpoison(memory_, Pool<T>::bytes_for(pool_.capacity()));
    ::operator delete (memory_, std::align_val_t{64});
  }
  [[nodiscard]] Pool<T>* get() { return &pool_; }

 private:
  std::byte* memory_;
  Pool<T> pool_;
};

class SideMemory {
 public:
  // For `connections` that are long, lossy or out of order at once.
  explicit SideMemory(std::uint32_t connections)
      : reassembly_(connections),
        ranges_(connections * 4 + 256),
        queues_(connections),
        pieces_(connections * 8 + 256) {}
  [[nodiscard]] SidePools pools() {
    return {nullptr, nullptr, reassembly_.get(), ranges_.get(), queues_.get(), pieces_.get()};
  }

 private:
  OwnPool<Reassembly> reassembly_;
  OwnPool<ReassemblyRange> ranges_;
  OwnPool<SendQueue> queues_;
  OwnPool<PieceBlock> pieces_;
};

} // namespace tern::tcp
