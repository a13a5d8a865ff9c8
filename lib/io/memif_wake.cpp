#include "io/memif_wake.hpp"

#include <fcntl.h>
#include <rte_cycles.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "io/descriptors.hpp"

namespace tern::io {
namespace {

std::string what_is(int fd) {
  std::array<char, 64> name{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t n = readlink(link.c_str(), name.data(), name.size());
  return n <= 0 ? std::string{} : std::string(name.data(), static_cast<std::size_t>(n));
}
bool is_event(int fd) {
  return what_is(fd) == "anon_inode:[eventfd]";
}
bool is_region(int fd) {
  return what_is(fd).starts_with("/memfd:memif");
}
// The driver's have no close-on-exec flag; ours, second ones of the driver's among them, and EAL's do.
bool may_be_the_drivers(int fd) {
  const int flags = fcntl(fd, F_GETFD);
  return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

std::uint16_t number_at(const MemifRing& ring, std::size_t at) {
  return std::atomic_ref(*reinterpret_cast<std::uint16_t*>(ring.at + at)).load(std::memory_order_acquire);
}
std::atomic_ref<std::uint16_t> flags_of(const MemifRing& ring) {
  return std::atomic_ref(*reinterpret_cast<std::uint16_t*>(ring.at + MemifRing::flags_at));
}

} // namespace

std::uint32_t memif_ring_slots(const std::byte* region, std::size_t bytes, unsigned rings) {
  const auto is_ring = [&](std::size_t at) {
    std::uint32_t word = 0;
    if (at + MemifRing::descriptors_at > bytes) return false;
    std::memcpy(&word, region + at, sizeof word);
    return word == MemifRing::cookie;
  };
  if (rings == 0 || !is_ring(0)) return 0;
  for (unsigned log2 = 0; log2 <= MemifRing::largest_log2; ++log2) {
    const std::size_t size = MemifRing::descriptors_at + (std::size_t{16} << log2);
    unsigned there = 1;
    while (there <= rings && is_ring(there * size)) ++there;
    if (there == rings && rings * size <= bytes) return std::uint32_t{1} << log2;
  }
  return 0;
}

Waking MemifWake::waking(bool peer) {
  if (!peer) {
    let_go();
    not_again_ = 0;
    return {-1, true, longest_without_peer};
  }
  if (!same_connection()) seek();
  return event_ < 0 ? Waking{} : Waking{event_, true, longest};
}

bool MemifWake::same_connection() const {
  struct stat s {};
  return region_ >= 0 && fstat(region_, &s) == 0 && s.st_dev == device_ && s.st_ino == inode_;
}

// One region, and behind it the eventfds of its rings in the order of the rings: the kernel gives the lowest number that
// is free, and nobody gives one back in between. Where it looks otherwise (a peer of another make, a program that makes
// such descriptors of its own), the queue is looked at from time to time, as those of any port that tells nothing.
void MemifWake::seek() {
  if (not_again_ != 0) {
    --not_again_;
    return;
  }
  let_go();
  not_again_ = 250; // a look costs as much as some sleeps
  std::vector<int> events;
  int region = -1;
  for (const int fd : open_descriptors(may_be_the_drivers)) {
    if (is_region(fd)) {
      if (region >= 0) return; // another port's
      region = fd;
    } else if (region >= 0 && is_event(fd)) {
      events.push_back(fd);
    }
  }
  if (region < 0) return;
  const int file = fcntl(region, F_DUPFD_CLOEXEC, 0);
  struct stat s {};
  if (file >= 0 && fstat(file, &s) == 0 && is_region(file)) {
    region_ = region;
    device_ = s.st_dev;
    inode_ = s.st_ino;
    not_again_ = 0;
    if (events.size() == 2U * queues_) use(file, static_cast<std::size_t>(s.st_size), events);
  }
  if (file >= 0) close(file);
}

void MemifWake::use(int file, std::size_t bytes, std::span<const int> events) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (at == MAP_FAILED) return;
  mapped_ = at;
  mapped_bytes_ = bytes;
  auto* const first = static_cast<std::byte*>(at);
  const std::uint32_t slots = memif_ring_slots(first, bytes, static_cast<unsigned>(events.size()));
  if (slots == 0) return;
  const std::size_t number = server_ ? queue_ : std::size_t{queues_} + queue_;
  ring_ = {first + number * (MemifRing::descriptors_at + 16UL * slots), slots};
  event_ = fcntl(events[number], F_DUPFD_CLOEXEC, 0);
}

void MemifWake::let_go() {
  if (event_ >= 0) close(event_);
  if (mapped_ != nullptr) munmap(mapped_, mapped_bytes_);
  event_ = region_ = -1;
  mapped_ = nullptr;
  armed_ = false;
  untold_ = 0;
}

// A client's peer fills what the client has emptied: there the free slots are what is between the numbers.
std::uint16_t MemifWake::unread() const {
  const std::uint16_t head = number_at(ring_, MemifRing::head_at);
  const std::uint16_t tail = number_at(ring_, MemifRing::tail_at);
  return static_cast<std::uint16_t>(server_ ? head - tail : ring_.slots - (head - tail));
}

bool MemifWake::arm() {
  if (event_ < 0) return false;
  flags_of(ring_).fetch_and(static_cast<std::uint16_t>(~MemifRing::tell_nothing), std::memory_order_seq_cst);
  armed_ = true;
  // The writer puts its packet into the ring and looks at the flag then, without a barrier between: who looks for what
  // came before the flag must let its stores land first.
  rte_delay_us_block(2);
  return true;
}

void MemifWake::disarm() {
  if (!armed_) return;
  armed_ = false;
  flags_of(ring_).fetch_or(MemifRing::tell_nothing, std::memory_order_relaxed);
  std::uint64_t told = 0;
  const bool heard = read(event_, &told, sizeof told) > 0;
  // Should it be another ring's eventfd after all, sleeps are short again.
  constexpr unsigned often = 8;
  untold_ = heard || unread() == 0 ? 0 : untold_ + 1;
  if (untold_ < often) return;
  close(event_);
  event_ = -1;
}

} // namespace tern::io
