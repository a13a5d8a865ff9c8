#include "io/memif_wake.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <vector>

namespace tern::io {
namespace memif_wake_test {

// What net_memif leaves in a process that has a connection: a region, then an eventfd a ring. A queue each way.
class Connection {
 public:
  static constexpr std::uint32_t slots = 8;
  static constexpr std::size_t ring_bytes = MemifRing::descriptors_at + 16 * slots;

  explicit Connection(unsigned events = 2) : region_(memfd_create("memif_region_0", 0)) {
    EXPECT_EQ(ftruncate(region_, bytes), 0);
    at_ = static_cast<std::byte*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, region_, 0));
    for (unsigned ring = 0; ring < 2; ++ring) {
      std::memcpy(at_ + ring * ring_bytes, &MemifRing::cookie, sizeof MemifRing::cookie);
      put(ring, MemifRing::flags_at, MemifRing::tell_nothing);
    }
    put(1, MemifRing::head_at, slots); // the client's: all its buffers offered
    for (unsigned i = 0; i < events; ++i) events_.push_back(eventfd(0, EFD_NONBLOCK));
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    munmap(at_, bytes);
    for (const int fd : events_) close(fd);
    close(region_);
  }

  void put(unsigned ring, std::size_t at, std::uint16_t n) {
    std::memcpy(at_ + ring * ring_bytes + at, &n, sizeof n);
  }
  [[nodiscard]] std::uint16_t flags(unsigned ring) const {
    std::uint16_t n = 0;
    std::memcpy(&n, at_ + ring * ring_bytes + MemifRing::flags_at, sizeof n);
    return n;
  }
  void tell(unsigned ring) { EXPECT_EQ(eventfd_write(events_[ring], 1), 0); }
  [[nodiscard]] const std::byte* region() const { return at_; }

  static constexpr std::size_t bytes = 2 * ring_bytes + 4096;

 private:
  int region_;
  std::byte* at_ = nullptr;
  std::vector<int> events_;
};

bool readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

TEST(MemifWake, RingsAreFoundByWhatStandsInThem) {
  const Connection c;
  EXPECT_EQ(memif_ring_slots(c.region(), Connection::bytes, 2), Connection::slots);
  EXPECT_EQ(memif_ring_slots(c.region(), Connection::bytes, 3), 0U); // not so many
  EXPECT_EQ(memif_ring_slots(c.region(), Connection::bytes, 0), 0U);
  EXPECT_EQ(memif_ring_slots(c.region(), 2 * Connection::ring_bytes - 1, 2), 0U); // the second does not fit
  for (std::size_t n = 0; n < MemifRing::descriptors_at; ++n)
    EXPECT_EQ(memif_ring_slots(c.region(), n, 1), 0U);
}

TEST(MemifWake, WithoutAPeerSleepsAreOfMilliseconds) {
  MemifWake w(true, 0, 1);
  const Waking waking = w.waking(false);
  EXPECT_TRUE(waking.sure);
  EXPECT_EQ(waking.descriptor, -1);
  EXPECT_EQ(waking.most, MemifWake::longest_without_peer);
  EXPECT_FALSE(w.arm());
}

TEST(MemifWake, EachEndAsksInItsOwnRingAndHearsByItsDescriptor) {
  for (const bool server : {true, false}) {
    const unsigned ours = server ? 0 : 1; // to the server, then to the client
    Connection c;
    MemifWake w(server, 0, 1);
    const Waking waking = w.waking(true);
    ASSERT_TRUE(waking.sure);
    ASSERT_GE(waking.descriptor, 0);
    EXPECT_EQ(waking.most, MemifWake::longest);
    EXPECT_EQ(c.flags(ours), MemifRing::tell_nothing);
    ASSERT_TRUE(w.arm());
    EXPECT_EQ(c.flags(ours), 0);
    EXPECT_EQ(c.flags(1 - ours), MemifRing::tell_nothing) << "what the other end reads is its own affair";
    c.tell(1 - ours);
    EXPECT_FALSE(readable(waking.descriptor));
    c.tell(ours);
    EXPECT_TRUE(readable(waking.descriptor));
    w.disarm();
    EXPECT_EQ(c.flags(ours), MemifRing::tell_nothing);
    EXPECT_FALSE(readable(waking.descriptor)) << "it would end the next sleep at once";
    EXPECT_EQ(w.waking(true).descriptor, waking.descriptor) << "the same connection is not looked for again";
  }
}

TEST(MemifWake, APeerWhoComesAgainIsFoundAnew) {
  MemifWake w(true, 0, 1);
  std::optional<Connection> c;
  for (int i = 0; i < 3; ++i) {
    c.emplace();
    const Waking waking = w.waking(true);
    ASSERT_TRUE(waking.sure) << i;
    ASSERT_TRUE(w.arm());
    c->tell(0);
    EXPECT_TRUE(readable(waking.descriptor));
    w.disarm();
    c.reset();
  }
}

TEST(MemifWake, AConnectionThatEndsUnderASleepTakesNothingWithIt) {
  std::optional<Connection> c{std::in_place};
  MemifWake w(true, 0, 1);
  ASSERT_TRUE(w.waking(true).sure);
  ASSERT_TRUE(w.arm());
  c.reset();
  w.disarm();
  EXPECT_FALSE(w.waking(true).sure);
}

TEST(MemifWake, WhatLooksOtherwiseIsNotTrusted) {
  {
    const Connection with_a_strangers_eventfd(3);
    EXPECT_FALSE(MemifWake(true, 0, 1).waking(true).sure);
  }
  {
    const Connection of_fewer_queues;
    EXPECT_FALSE(MemifWake(true, 0, 2).waking(true).sure);
  }
  {
    const Connection one;
    const Connection two;
    EXPECT_FALSE(MemifWake(true, 0, 1).waking(true).sure) << "which is ours?";
  }
  const Connection one;
  EXPECT_TRUE(MemifWake(true, 0, 1).waking(true).sure);
}

TEST(MemifWake, ADescriptorThatDoesNotTellIsGivenUp) {
  for (const bool server : {true, false}) {
    Connection c;
    MemifWake w(server, 0, 1);
    if (server)
      c.put(0, MemifRing::head_at, 3); // three packets lie there
    else
      c.put(1, MemifRing::tail_at, 3);
    for (int i = 0; i < 8; ++i) {
      ASSERT_TRUE(w.waking(true).sure) << i;
      ASSERT_TRUE(w.arm());
      w.disarm();
    }
    EXPECT_FALSE(w.waking(true).sure);
    EXPECT_FALSE(w.arm());
  }
  Connection c; // and an empty ring's is not
  MemifWake w(false, 0, 1);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(w.waking(true).sure);
    ASSERT_TRUE(w.arm());
    w.disarm();
  }
}

} // namespace memif_wake_test
} // namespace tern::io
