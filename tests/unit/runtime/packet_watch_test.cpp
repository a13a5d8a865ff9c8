// How scarce packets are said to be, and what that costs.
#include "runtime/packet_watch.hpp"

#include <string>
#include <vector>

#include "mixed_core.hpp"

namespace tern {
namespace packet_watch_test {

using tcp::Scarcity;
using test::listen;
using test::Lone;
using test::Peer;
using test::peer;
using test::place_of;

// Packets that come and go about a level's border leave it where it is; it ends an eighth above.
TEST(PacketWatch, ALevelIsLeftAnEighthAboveWhereItBegan) {
  test::TestPool pool(1023);
  const PacketWatch watch(pool.pool(), 256);
  std::vector<Packet> taken;
  const auto look = [&](unsigned left, Scarcity at) {
    while (watch.left() > left) taken.push_back(pool.pool().alloc());
    while (watch.left() < left) taken.pop_back();
    return watch.look(at);
  };
  struct Border {
    Scarcity above, below;
    unsigned at;
  };
  for (const auto& [above, below, at] : {Border{Scarcity::none, Scarcity::low, 256},
                                         {Scarcity::low, Scarcity::critical, 128},
                                         {Scarcity::critical, Scarcity::dire, 96},
                                         {Scarcity::dire, Scarcity::last, 64}}) {
    EXPECT_EQ(look(at, above), above);
    EXPECT_EQ(look(at - 1, above), below);
    EXPECT_EQ(look(at, below), below);
    EXPECT_EQ(look(at + at / 8 - 1, below), below);
    EXPECT_EQ(look(at + at / 8, below), above);
  }
  EXPECT_EQ(look(1023, Scarcity::last), Scarcity::none);
  EXPECT_EQ(look(0, Scarcity::none), Scarcity::last);
}

// However small a pool is: who waits at the last has a segment a tick.
TEST(PacketWatch, SomeTextLeavesAtTheLastOfATinyPool) {
  test::TestPool pool(127);
  EXPECT_EQ(PacketWatch(pool.pool(), 8).text_at_last(), 1U);
  EXPECT_EQ(PacketWatch(pool.pool(), 256).text_at_last(), 16U);
  EXPECT_EQ(PacketWatch(pool.pool(), 4096).text_at_last(), 32U);
}

TEST(GivenMarks, AreOfOneOnset) {
  Arena arena({.memory = 1 << 20});
  const ArenaPiece memory = arena.take(GivenMarks::request(1000, "core 7"));
  GivenMarks marks(memory.data());
  for (const std::uint32_t i : {0U, 63U, 64U, 447U, 448U, 999U}) {
    EXPECT_FALSE(marks.has(i));
    marks.set(i);
    EXPECT_TRUE(marks.has(i));
  }
  EXPECT_FALSE(marks.has(1));
  marks.clear(64);
  EXPECT_FALSE(marks.has(64));
  marks.begin();
  for (std::uint32_t i = 0; i < 1000; ++i) EXPECT_FALSE(marks.has(i));
  marks.set(448);
  EXPECT_TRUE(marks.has(448));
  EXPECT_FALSE(marks.has(447));
  EXPECT_FALSE(marks.has(999));
}

// Packets end in the midst of an output pass: what is left of it tries in vain, and not all of it at once.
TEST(PacketWatch, AnOutputPassThatUsesPacketsUpIsBoundedFromThere) {
  ShardSettings s;
  s.packet_reserve = 256;
  Lone c(s, 1023);
  listen(c);
  std::vector<Peer> peers;
  for (std::uint32_t i = 0; i < 2500; ++i) {
    peers.push_back(peer(i));
    ASSERT_TRUE(peers.back().connect(c));
  }
  c.now = c.now + Duration::ms(1);
  c.turn();
  ASSERT_EQ(c.shard.env.scarcity, Scarcity::none);
  c.port.keeps = true; // what it took it has not sent yet
  for (const Peer& p : peers)
    ASSERT_EQ(c.shard.handle(c.shard.connections.at(place_of(c, p.key).index()))
                  .send(StaticBytes{std::string_view{"text"}}),
              4U);
  c.turns(1);
  EXPECT_EQ(c.shard.env.scarcity, Scarcity::last);
  EXPECT_NE(c.count(tcp::Counter::no_packet), 0U);
  EXPECT_LE(c.count(tcp::Counter::no_packet), 256U);
  c.port.kept.clear();
  c.port.keeps = false;
  std::vector<test::Sent> heard = c.take_sent();
  c.run(Duration::ms(5));
  for (test::Sent& one : c.take_sent()) heard.push_back(std::move(one));
  std::size_t text = 0;
  for (const test::Sent& one : heard) text += one.text;
  EXPECT_EQ(text, peers.size() * 4);
}

} // namespace packet_watch_test
} // namespace tern
