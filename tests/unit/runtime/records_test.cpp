// Which record a name belongs to: the whole name, of the right family, whatever the flow table's tags say. What becomes
// of a record for which the table has no place, and how long one rests in TIME-WAIT.
#include <array>
#include <string_view>
#include <vector>

#include "runtime/node_port.hpp"
#include "support/lone_core.hpp"

namespace tern {
namespace records_test {

using test::LoneCore;
using test::Peer;
namespace flag = wire::tcp_flag;

struct Echo {
  void on_data(Connection c, Payload& p) { c.send(p); }
  void on_peer_closed(Connection c) { c.close(); }
};
using Lone = LoneCore<Echo>;

// What lib/README.md says of the records that there are most of. Of TIME-WAIT all is counted, the chunks' knowledge too:
// IPv4 is within the design's 40 bytes; IPv6 is within its 56 but for that.
static_assert(ExpiryStreams<TimeWaitSlot<FlowKey4>>::bytes_per_record == 34.375);
static_assert(ExpiryStreams<TimeWaitSlot<FlowKey6>>::bytes_per_record == 58.375);
static_assert(sizeof(SynSlot<FlowKey4>) == 64 && sizeof(SynSlot<FlowKey6>) == 88);

// A table of few buckets, where namesakes are soon found.
ShardSettings few() {
  ShardSettings s;
  s.connections = s.syn_records = s.long_connections = 8;
  s.time_wait_records = 8;
  s.tcp.synack_retries = 1;
  return s;
}

FlowRef holder(const Shard& s, const FlowKey4& key) {
  return s.flows.find(s.hasher(key), key, s);
}

// We close first, the peer after us: the record is ours to keep.
void rest(Lone& c, Peer& p) {
  const FlowRef ref = holder(c.shard, p.key);
  ASSERT_TRUE(ref && ref.kind() == FlowKind::connection);
  c.shard.handle(c.shard.connections.at(ref.index())).close();
  c.turn();
  p.rcv_nxt += 1;
  ASSERT_TRUE(p.say(c, {}, flag::fin | flag::ack));
  c.turn();
  (void)c.take_sent();
  ASSERT_EQ(holder(c.shard, p.key).kind(), FlowKind::time_wait);
}

// ---- Shard::matches, the compare behind every lookup.
template <class Key>
FlowRef named(Shard& s, FlowKind kind, const Key& key) {
  if (kind == FlowKind::connection) {
    ConnectionRecord* r = s.connections.take();
    s.name(*r, key);
    return s.ref_of(*r);
  }
  if (kind == FlowKind::syn_received) {
    auto* slot = s.template syns<Key>().slots.take();
    name_slot(*slot, key);
    return s.ref_of(*slot);
  }
  auto& streams = s.template time_waits<Key>().streams;
  const std::uint32_t index = streams.append(s.now.ms32());
  name_slot(streams.at(index), key);
  return {Shard::time_wait_kind<Key>(), index};
}

template <class Key>
void expect_its_name_alone(const Shard& s, FlowRef ref, const Key& key) {
  EXPECT_TRUE(s.matches(ref, key));
  for (std::size_t bit = 0; bit < 8 * sizeof key; ++bit) {
    Key other = key;
    reinterpret_cast<unsigned char*>(&other)[bit / 8] ^= static_cast<unsigned char>(1U << bit % 8);
    EXPECT_FALSE(s.matches(ref, other)) << "kind " << static_cast<int>(ref.kind()) << ", bit " << bit;
  }
}

TEST(Records, BearTheirWholeNameAndNoOther) {
  ShardSettings s = few();
  s.addresses6 = {*Ip::parse("2001:db8::1"), *Ip::parse("2001:db8::2")};
  Shard shard(process_arena(), s, PacketPool{}, Instant::at_ns(1'000'000'000));
  const FlowKey4 four{Ip4{198, 51, 100, 7}, Ip4{192, 0, 2, 1}, Be16{4321}, Be16{80}};
  const FlowKey6 six{*Ip::parse("2001:db8:5::7"), s.addresses6[1], Be16{4321}, Be16{80}};
  const FlowKey6 mapped = FlowKey{four}; // the same addresses, as the other family writes them
  for (const FlowKind kind : {FlowKind::connection, FlowKind::syn_received, FlowKind::time_wait}) {
    const FlowRef of_four = named(shard, kind, four);
    const FlowRef of_six = named(shard, kind, six);
    expect_its_name_alone(shard, of_four, four);
    expect_its_name_alone(shard, of_six, six);
    EXPECT_FALSE(shard.matches(of_four, mapped));
    EXPECT_FALSE(shard.matches(of_six, four));
  }
}

TEST(Records, AreLookedUpUnderTheSecretOfTheSettings) {
  ShardSettings s = few();
  s.flow_seed = {0x1234, 0x5678};
  const Shard shard(process_arena(), s, PacketPool{}, Instant::at_ns(1'000'000'000));
  const FlowKey4 key = Lone::from(Ip4{198, 51, 100, 7}, 4321);
  EXPECT_EQ(shard.hasher(key), FlowHasher{s.flow_seed}(key));
  EXPECT_NE(shard.hasher(key), FlowHasher{SipKey{}}(key));
}

// Whoever knew them could choose flows that meet in the table, guess sequence numbers, and make cookies.
TEST(Records, SecretsAreDrawnAnewAtEachStart) {
  const net::Interface self({.addresses = {{Ip{Lone::ip}, 24}}});
  const NodeSettings node;
  const ShardSettings one = shard_settings(node, self), two = shard_settings(node, self);
  const std::array<SipKey, 5> all{one.flow_seed, one.secret, two.flow_seed, two.secret, SipKey{}};
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t k = 0; k < i; ++k) EXPECT_NE(all[i], all[k]) << i << ' ' << k;
}

// ---- Flows that the table cannot tell apart: of one bucket, and of one tag.
Peer namesake(const Lone& c, const Peer& p, unsigned nth = 0) {
  const std::uint64_t buckets = c.shard.flows.slots() / 10;
  const auto look = [&](const FlowKey4& key) {
    const std::uint64_t h = c.shard.hasher(key).value;
    return (h >> 32) * buckets >> 32 << 16 | std::max<std::uint64_t>(h & 0x7fff, 1);
  };
  const std::uint64_t wanted = look(p.key);
  for (std::uint32_t n = 0;; ++n) {
    const FlowKey4 key =
        Lone::from(Ip4{Be32{10U << 24 | n / 50'000}}, static_cast<std::uint16_t>(1024 + n % 50'000));
    if (look(key) == wanted && nth-- == 0) return Peer{key};
  }
}

TEST(Namesakes, OfAConnectionHaveConnectionsOfTheirOwn) {
  Lone c(few());
  c.listen();
  Peer first{Lone::from(Ip4{198, 51, 100, 7}, 4321)};
  ASSERT_TRUE(first.connect(c));
  Peer second = namesake(c, first), third = namesake(c, first, 1);
  ASSERT_TRUE(second.connect(c));
  ASSERT_TRUE(third.connect(c));
  EXPECT_EQ(c.shard.connections.used(), 3U);
  for (int i = 0; i < 3; ++i)
    for (Peer* p : {&first, &second, &third}) EXPECT_TRUE(answers(c, *p, "whose is this?"));
  // What ends one leaves the others; all in one burst.
  ASSERT_TRUE(second.say(c, {}, flag::rst | flag::ack));
  ASSERT_TRUE(second.say(c, "to nobody"));
  c.turn();
  EXPECT_EQ(c.shard.connections.used(), 2U);
  EXPECT_TRUE(answers(c, first, "still here"));
  EXPECT_TRUE(answers(c, third, "and here"));
}

TEST(Namesakes, OfAHandshakeDoNotDisturbIt) {
  Lone c(few());
  c.listen();
  Peer first{Lone::from(Ip4{198, 51, 100, 7}, 4321)};
  ASSERT_TRUE(c.arrives(first.key, test::linux_syn(first.snd_nxt, 1)));
  c.turn();
  const auto syn_ack = c.take_sent();
  ASSERT_EQ(syn_ack.size(), 1U);
  Peer second = namesake(c, first);
  ASSERT_TRUE(second.connect(c)); // its SYN and its ACK meet the first's record
  EXPECT_TRUE(answers(c, second, "ping"));
  ASSERT_EQ(holder(c.shard, first.key).kind(), FlowKind::syn_received);
  first.snd_nxt = syn_ack[0].h.ack;
  first.rcv_nxt = syn_ack[0].h.seq + 1;
  EXPECT_TRUE(answers(c, first, "and now me"));
  EXPECT_EQ(c.shard.connections.used(), 2U);
}

TEST(Namesakes, OfATimeWaitRecordNeitherUseItNorEndIt) {
  Lone c(few());
  c.listen();
  Peer first{Lone::from(Ip4{198, 51, 100, 7}, 4321)};
  ASSERT_TRUE(first.connect(c));
  rest(c, first);
  Peer second = namesake(c, first);
  ASSERT_TRUE(second.connect(c));
  EXPECT_EQ(c.count(tcp::Counter::time_wait_reused), 0U);
  EXPECT_TRUE(answers(c, second, "ping"));
  EXPECT_EQ(holder(c.shard, first.key).kind(), FlowKind::time_wait);
}

// Both were looked up before either was worked on.
TEST(InOneBurst, WhatOnePacketBeginsTheNextFinds) {
  Lone c(few());
  c.listen();
  c.listen({.first = Port{81}, .last = Port{81}, .cookies = tcp::CookieMode::Always});
  Peer p{Lone::from(Ip4{198, 51, 100, 7}, 4321, 81)};
  ASSERT_TRUE(c.arrives(p.key, test::linux_syn(p.snd_nxt, 1)));
  c.turn();
  const auto syn_ack = c.take_sent();
  ASSERT_EQ(syn_ack.size(), 1U);
  wire::Tcp h; // the cookie comes back, and text behind it
  h.flags = flag::ack;
  h.seq = p.snd_nxt + 1;
  h.ack = syn_ack[0].h.seq + 1;
  h.window = 500;
  h.options.has = wire::TcpOptions::timestamps_bit;
  h.options.ts_val = 2;
  h.options.ts_ecr = syn_ack[0].h.options.ts_val;
  ASSERT_TRUE(c.arrives(p.key, h));
  ASSERT_TRUE(c.arrives(p.key, h, "text"));
  for (int i = 0; i < 2; ++i) // and a SYN that the network doubled
    ASSERT_TRUE(c.arrives(Lone::from(Ip4{198, 51, 100, 8}, 4321), test::linux_syn(Seq{9}, 1)));
  c.turn();
  EXPECT_EQ(c.shard.connections.used(), 1U);
  EXPECT_EQ(c.shard.syn4.slots.used(), 1U);
  EXPECT_EQ(c.shard.flows.size(), 2U);
  EXPECT_EQ(c.count(tcp::Counter::syn_cookie_valid), 1U);
  std::uint32_t echoed = 0;
  for (const test::Sent& s : c.take_sent()) echoed += s.text;
  EXPECT_EQ(echoed, 4U);
}

// A life ends, and one of the same name begins: what the first still owes leaves before what the second says.
TEST(InOneBurst, WhatOnePacketEndsTheNextFindsEnded) {
  for (const bool we_close_first : {true, false}) {
    SCOPED_TRACE(we_close_first);
    Lone c(few());
    c.listen();
    Peer p{Lone::from(Ip4{198, 51, 100, 7}, 4321)};
    ASSERT_TRUE(p.connect(c));
    if (we_close_first) {
      c.shard.handle(c.shard.connections.at(holder(c.shard, p.key).index())).close();
    } else {
      ASSERT_TRUE(p.say(c, {}, flag::fin | flag::ack));
      p.snd_nxt += 1;
    }
    c.turn(); // our FIN
    p.rcv_nxt += 1;
    (void)c.take_sent();
    ASSERT_TRUE(p.say(c, {}, we_close_first ? flag::fin | flag::ack : flag::ack));
    ASSERT_TRUE(c.arrives(p.key, test::linux_syn(p.snd_nxt + 100'000, 1)));
    c.turns(1);
    EXPECT_EQ(c.shard.connections.used(), 0U);
    EXPECT_EQ(c.shard.dirty_count, 0U);
    EXPECT_EQ(holder(c.shard, p.key).kind(), FlowKind::syn_received);
    EXPECT_EQ(c.count(tcp::Counter::time_wait_in), we_close_first ? 1U : 0U);
    EXPECT_EQ(c.count(tcp::Counter::time_wait_reused), 0U); // not yet
    const auto sent = c.take_sent();
    ASSERT_EQ(sent.size(), we_close_first ? 2U : 1U);
    if (we_close_first) {
      EXPECT_EQ(sent.front().h.flags, flag::ack);
      EXPECT_EQ(sent.front().h.ack, p.snd_nxt + 1); // of the FIN
    }
    EXPECT_EQ(sent.back().h.flags, flag::syn | flag::ack);
  }
}

// While the port takes no more, what is owed waits, and the end with it.
TEST(InOneBurst, AnEndWaitsForThePortToTakeWhatIsOwed) {
  Lone c(few());
  c.listen();
  Peer p{Lone::from(Ip4{198, 51, 100, 7}, 4321)};
  ASSERT_TRUE(p.connect(c));
  c.shard.handle(c.shard.connections.at(holder(c.shard, p.key).index())).close();
  c.turn();
  p.rcv_nxt += 1;
  ASSERT_TRUE(p.say(c, "a word that is answered"));
  c.port.full = true;
  c.turns(2);
  (void)c.take_sent();
  ASSERT_TRUE(p.say(c, {}, flag::fin | flag::ack));
  c.turns(2);
  EXPECT_EQ(c.take_sent().size(), 0U);
  EXPECT_EQ(holder(c.shard, p.key).kind(), FlowKind::connection);
  c.port.full = false;
  c.turns(3);
  EXPECT_EQ(holder(c.shard, p.key).kind(), FlowKind::time_wait);
  const auto sent = c.take_sent();
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent.back().h.ack, p.snd_nxt + 1);
}

// ---- No place in the flow table, which is not to happen: what was begun is undone, and nobody else feels it.
TEST(Records, ForWhichTheTableHasNoPlaceAreGivenBack) {
  ShardSettings s = few();
  s.connections = 16;
  Lone c(s);
  c.listen();
  c.listen({.first = Port{81}, .last = Port{81}, .cookies = tcp::CookieMode::Always});
  Peer old{Lone::from(Ip4{198, 51, 100, 1}, 1000)};
  ASSERT_TRUE(old.connect(c));
  std::vector<std::pair<FlowHash, FlowRef>> fill;
  for (std::uint64_t n = 1; c.shard.flows.size() < c.shard.flows.capacity(); ++n) {
    const FlowHash hash{n * 0x9e3779b97f4a7c15};
    const FlowRef ref{FlowKind::time_wait,
                      static_cast<std::uint32_t>(n) % c.shard.time_wait4.streams.index_end()};
    if (c.shard.flows.insert(hash, ref)) fill.emplace_back(hash, ref);
  }
  // A SYN; a cookie that comes back; an active open.
  Peer by_record{Lone::from(Ip4{198, 51, 100, 2}, 1000)};
  EXPECT_FALSE(by_record.connect(c));
  EXPECT_EQ(c.count(CoreCounter::drop_no_flow_entry), 1U);
  Peer by_cookie{Lone::from(Ip4{198, 51, 100, 3}, 1000, 81)};
  EXPECT_TRUE(by_cookie.connect(c)); // as far as it knows
  EXPECT_EQ(c.count(CoreCounter::drop_no_flow_entry), 2U);
  const FlowKey4 far = Lone::from(Ip4{198, 51, 100, 4}, 443, 5000);
  EXPECT_EQ(c.core.connect(far).error, ConnectError::no_record);
  EXPECT_EQ(c.count(CoreCounter::drop_no_flow_entry), 3U);
  EXPECT_EQ(c.shard.connections.used(), 1U);
  EXPECT_EQ(c.shard.syn4.slots.used(), 0U);
  for (std::uint8_t l = 0; l < 2; ++l) {
    EXPECT_EQ(c.shard.listeners[l].opening, 0U);
    EXPECT_EQ(c.shard.listeners[l].open, l == 0 ? 1U : 0U);
  }
  EXPECT_TRUE(answers(c, old, "ping"));
  c.run(Duration::seconds(5), Duration::ms(10)); // no timer of theirs fires
  EXPECT_EQ(c.count(tcp::Counter::syn_given_up), 0U);
  // There is room: they try again.
  for (const auto& [hash, ref] : fill) ASSERT_TRUE(c.shard.flows.erase(hash, ref));
  EXPECT_TRUE(by_record.connect(c));
  EXPECT_TRUE(answers(c, by_record, "ping"));
  EXPECT_TRUE(answers(c, by_cookie, "with this segment its cookie comes again"));
  EXPECT_EQ(c.core.connect(far).error, ConnectError::none);
  EXPECT_EQ(c.shard.connections.used(), 4U);
}

// ---- TIME-WAIT, of a whole core.
struct Resting : testing::Test {
  explicit Resting(const ShardSettings& s = few()) : c(s) { c.listen(); }
  Peer gone(std::uint16_t port) {
    Peer p{Lone::from(Ip4{198, 51, 100, 7}, port)};
    EXPECT_TRUE(p.connect(c));
    rest(c, p);
    return p;
  }
  [[nodiscard]] bool rests(const Peer& p) { return static_cast<bool>(holder(c.shard, p.key)); }
  // The peer's FIN comes again, so our ACK was lost.
  void fin_again(Peer& p) {
    ASSERT_TRUE(p.say(c, {}, flag::fin | flag::ack));
    c.turn();
    const auto sent = c.take_sent();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].h.flags, flag::ack);
    EXPECT_EQ(sent[0].h.ack, p.snd_nxt + 1); // say() does not count the FIN
  }
  Lone c;
};
struct RestingTwo : Resting {
  static ShardSettings two() {
    ShardSettings s = few();
    s.time_wait_records = 2;
    return s;
  }
  RestingTwo() : Resting(two()) {}
};

TEST_F(Resting, BeginsAnewWithAFinThatComesAgain) {
  Peer a = gone(1000), b = gone(1001);
  c.run(Duration::seconds(50), Duration::ms(100));
  fin_again(a);
  EXPECT_EQ(c.count(tcp::Counter::time_wait_fin_again), 1U);
  c.run(Duration::seconds(11), Duration::ms(100));
  EXPECT_FALSE(rests(b));
  ASSERT_TRUE(rests(a));
  fin_again(a); // 61 s: the table knows where it is now
  c.run(Duration::seconds(59), Duration::ms(100));
  EXPECT_TRUE(rests(a));
  c.run(Duration::seconds(2), Duration::ms(100));
  EXPECT_FALSE(rests(a));
  EXPECT_EQ(c.count(tcp::Counter::time_wait_expired), 2U);
  EXPECT_EQ(c.shard.flows.size(), 0U);
}

TEST(RestingAsLongAs, TheSettingSays) {
  ShardSettings s = few();
  s.tcp.time_wait = Duration::seconds(5);
  Lone c(s);
  c.listen();
  Peer p{Lone::from(Ip4{198, 51, 100, 7}, 1000)};
  ASSERT_TRUE(p.connect(c));
  rest(c, p);
  c.run(Duration::ms(4990));
  EXPECT_TRUE(holder(c.shard, p.key));
  c.run(Duration::ms(20));
  EXPECT_FALSE(holder(c.shard, p.key));
}

TEST_F(RestingTwo, GivesWayInTheOrderInWhichTheirTimesBegan) {
  Peer a = gone(1000);
  c.run(Duration::ms(10));
  const Peer b = gone(1001);
  c.run(Duration::ms(10));
  fin_again(a); // younger than b now
  const Peer d = gone(1002);
  EXPECT_FALSE(rests(b));
  EXPECT_TRUE(rests(a));
  EXPECT_TRUE(rests(d));
  const Peer e = gone(1003);
  EXPECT_FALSE(rests(a));
  EXPECT_TRUE(rests(d));
  EXPECT_TRUE(rests(e));
  EXPECT_EQ(c.count(tcp::Counter::time_wait_evicted), 2U);
}

// Whose holes hold the memory: who can have no new place keeps the time that he has, and is answered all the same.
TEST_F(Resting, KeepsItsTimeWhereThereIsNoMemoryToBeginAnew) {
  Peer mover = gone(1000);
  for (std::uint16_t i = 1; i <= 3; ++i) { // one that stays in each of the three chunks
    (void)gone(static_cast<std::uint16_t>(1000 + i));
    if (i == 3) c.run(Duration::seconds(50), Duration::ms(100));
    for (int again = 0; again < 64 && c.count(tcp::Counter::time_wait_not_restarted) == 0; ++again)
      fin_again(mover);
  }
  EXPECT_EQ(c.count(tcp::Counter::time_wait_not_restarted), 1U);
  fin_again(mover);
  EXPECT_EQ(c.count(tcp::Counter::time_wait_not_restarted), 2U);
  ASSERT_TRUE(rests(mover));
  c.run(Duration::seconds(11), Duration::ms(100)); // the others' time is over, so there is memory
  ASSERT_TRUE(rests(mover));
  fin_again(mover);
  EXPECT_EQ(c.count(tcp::Counter::time_wait_not_restarted), 2U);
  c.run(Duration::seconds(61), Duration::ms(100));
  EXPECT_EQ(c.shard.flows.size(), 0U);
}

// A machine that was paused, wherever its millisecond clock stood, at its wrap above all: whose time ended meanwhile is
// gone with the next turn, who began anew is not, and nobody stays for good.
TEST(RestingOverAPause, EndsWhenItsTimeIsOverAndNotBefore) {
  constexpr std::int64_t wrap = 0x1'0000'0000;
  for (const std::int64_t start : {5'000L, wrap / 2 - 30'000, wrap - 57'000, wrap - 50'000, wrap - 10})
    for (const std::int64_t pause :
         {0L, 30'000L, 3'000'000L, wrap / 2 - 65'536, wrap / 2 + 16, wrap - 131'072, wrap + 256}) {
      SCOPED_TRACE(std::to_string(start) + " + " + std::to_string(pause));
      Lone c(few());
      c.listen();
      c.now = Instant::at_ns(start * 1'000'000);
      c.turn();
      Peer a{Lone::from(Ip4{198, 51, 100, 7}, 1000)}, b{Lone::from(Ip4{198, 51, 100, 7}, 1001)};
      for (Peer* p : {&a, &b}) {
        ASSERT_TRUE(p->connect(c));
        rest(c, *p);
      }
      c.run(Duration::seconds(40), Duration::ms(100));
      ASSERT_TRUE(a.say(c, {}, flag::fin | flag::ack));
      c.run(Duration::seconds(15), Duration::ms(100));
      EXPECT_EQ(c.shard.time_wait4.streams.size(), 2U); // 55 s, and 15
      c.now = c.now + Duration::ms(pause);
      c.turn();
      EXPECT_EQ(static_cast<bool>(holder(c.shard, b.key)), pause < 5'000);
      EXPECT_EQ(static_cast<bool>(holder(c.shard, a.key)), pause < 45'000);
      c.run(Duration::seconds(46), Duration::ms(100));
      EXPECT_EQ(c.shard.flows.size(), 0U);
      EXPECT_EQ(c.count(tcp::Counter::time_wait_expired), 2U);
      ASSERT_TRUE(a.connect(c)); // and its name is free
      (void)c.take_sent();
    }
}

// Whose settings don't fit is told of all that he asked for.
TEST(Shard, WhatDoesNotFitIsToldWhole) {
  Arena arena({.memory = 8 << 20});
  ShardSettings s;
  s.connections = 100;
  s.syn_records = 100;
  s.time_wait_records = 1'000'000;
  try {
    const Shard shard(arena, s, PacketPool{}, Instant{}, "core 7");
    FAIL() << "fits";
  } catch (const ArenaError& e) {
    EXPECT_EQ(e.why, ArenaError::Why::memory);
    std::vector<std::string> names;
    for (const ArenaRequest& r : e.asked) names.push_back(r.name);
    EXPECT_EQ(names, (std::vector<std::string>{"core 7 connections", "core 7 output list",
                                               "core 7 marks of scarcity", "core 7 flow table",
                                               "core 7 TIME-WAIT", "core 7 IPv6 TIME-WAIT"}));
  }
  EXPECT_EQ(arena.reserved(), 0U);
}

} // namespace records_test
} // namespace tern
