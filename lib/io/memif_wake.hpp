// What wakes a core whose queue is net_memif's. DPDK's driver has no receive interrupt, but the protocol below it has one: in
// each ring lies a flag by which its reader asks to be told, and beside each ring an eventfd that the writer then writes.
// The driver keeps both, and the flag at "tell me nothing"; this finds them among what the process has open, and asks.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "io/bell.hpp"
#include "io/port.hpp"

namespace tern::io {

// A memif ring as both ends see it (memif 2.0, DPDK's drivers/net/memif/memif.h): head, tail and flags.
//   0 cookie  4 flags  6 head | 64 tail | 128 descriptors of 16 bytes, a power of two of them
struct MemifRing {
  static constexpr std::uint32_t cookie = 0x3E31F20;
  static constexpr std::uint16_t tell_nothing = 1;
  static constexpr std::size_t flags_at = 4, head_at = 6, tail_at = 64, descriptors_at = 128;
  static constexpr unsigned largest_log2 = 14;

  std::byte* at = nullptr;
  std::uint32_t slots = 0;
};

// How the rings lie in a region: those to the server, then those to the client, all of one size. 0 slots: there are
// not just `rings` of them.
[[nodiscard]] std::uint32_t memif_ring_slots(const std::byte* region, std::size_t bytes, unsigned rings);

// Of one queue, on the thread that polls it. What it uses of a connection is its own (a second descriptor, a second
// mapping), so nothing is pulled away under it when the driver's thread ends that connection.
class MemifWake {
 public:
  // `server`: our end's role, which decides what the ring's two numbers mean.
  MemifWake(bool server, QueueId queue, QueueId queues) : server_(server), queue_(queue), queues_(queues) {}
  ~MemifWake() { let_go(); }
  MemifWake(const MemifWake&) = delete;
  MemifWake& operator=(const MemifWake&) = delete;

  // Without a peer nothing comes but a peer, who is noticed when the sleep is over; so is one who took another's
  // place during it.
  static constexpr Duration longest_without_peer = Duration::ms(5);
  static constexpr Duration longest = Duration::ms(20);
  [[nodiscard]] Waking waking(bool peer);
  // Asks to be told; false: nobody to ask. What came before it is not told of.
  [[nodiscard]] bool arm();
  void disarm();

 private:
  void seek();
  void use(int file, std::size_t bytes, std::span<const int> events);
  void let_go();
  [[nodiscard]] bool same_connection() const;
  [[nodiscard]] std::uint16_t unread() const;

  bool server_;
  QueueId queue_;
  QueueId queues_;
  int region_ = -1; // the driver's descriptor of the connection that was looked at last
  dev_t device_ = 0;
  ino_t inode_ = 0;
  int event_ = -1; // ours, of this queue's receive ring; -1: that connection cannot wake us
  void* mapped_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  MemifRing ring_;
  bool armed_ = false;
  unsigned untold_ = 0;    // sleeps in a row that text came into without a word
  unsigned not_again_ = 0; // looks for a connection that are skipped: the last found none
};

} // namespace tern::io
