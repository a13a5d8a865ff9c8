// Other threads look at connections while their core makes and ends them.
#include "runtime/readers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/core_pair.hpp"
#include "support/lone_core.hpp"
#include "support/stepping.hpp"

namespace tern {
namespace readers_test {

// All parts of a name, and the state, follow from one number: a torn one shows.
FlowKey4 name_of_life(std::uint32_t n) {
  const std::uint32_t v = n * 0x9e3779b1U;
  return {Ip4{Be32{v | 1U << 24}}, Ip4{Be32{~v}}, Be16{static_cast<std::uint16_t>(v >> 16)},
          Be16{static_cast<std::uint16_t>(v)}};
}
// Over IPv6 too: all words of the peer's address differ from life to life, and so does which of our addresses it is.
const std::vector<Ip> ours6{*Ip::parse("fd00::1"), *Ip::parse("fd00::2"), *Ip::parse("fd00::3")};
FlowKey6 name6_of_life(std::uint32_t n) {
  const FlowKey4 four = name_of_life(n);
  Ip::Bytes remote{0xfd};
  for (std::size_t i = 1; i < remote.size(); ++i)
    remote[i] = static_cast<std::uint8_t>((n * 0x9e3779b1U >> (i % 4 * 8)) + i);
  return {Ip{remote}, ours6[n % ours6.size()], four.remote_port, four.local_port};
}
template <class Key>
Key named(std::uint32_t n) {
  if constexpr (std::is_same_v<Key, FlowKey4>)
    return name_of_life(n);
  else
    return name6_of_life(n);
}
bool whole(const FlowKey& k) {
  const std::uint32_t v = std::uint32_t{k.remote_port.host()} << 16 | k.local_port.host();
  const std::uint32_t n = v * 0x0e8b2f51U; // undoes the multiplication of name_of_life()
  return k == (k.is_v4() ? FlowKey{name_of_life(n)} : FlowKey{name6_of_life(n)});
}
tcp::State state_of_life(const FlowKey& k) {
  return (k.remote_port.host() & 1) != 0 ? tcp::State::Established : tcp::State::CloseWait;
}

TEST(Readers, NeverTakeATornOrReusedRecordForAGoodOne) {
  ShardSettings s;
  s.connections = 64; // few, so that each is used again all the time
  s.syn_records = s.long_connections = 16;
  s.time_wait_records = 256;
  Shard shard(process_arena(), s, PacketPool{}, Instant::at_ns(1'000'000'000));
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> seen = 0, found = 0, bad = 0, ready = 0;
  const auto reader = [&] {
    const ConnectionReader look(shard);
    std::uint32_t n = 0;
    ready.fetch_add(1);
    while (!done.load(std::memory_order_relaxed)) {
      look.each([&](const ConnectionSeen& c) {
        seen.fetch_add(1, std::memory_order_relaxed);
        if (!whole(c.key) || c.state != state_of_life(c.key) || c.generation == 0)
          bad.fetch_add(1, std::memory_order_relaxed);
      });
      for (unsigned i = 0; i < 64; ++i, ++n) {
        // By leaps: who goes through the names as the owner does may stay just behind it all the time.
        const FlowKey4 name = name_of_life(n * 1237 % 4096);
        const auto c = look.find(name);
        if (!c) continue;
        found.fetch_add(1, std::memory_order_relaxed);
        if (c->key != FlowKey{name} || c->state != state_of_life(c->key))
          bad.fetch_add(1, std::memory_order_relaxed);
      }
    }
  };
  std::array<std::thread, 2> readers{std::thread{reader}, std::thread{reader}};
  while (ready.load() < readers.size()) std::this_thread::yield();

  // The owner's side, as Core does it: record, name, table, state, then the generation.
  std::array<ConnectionRecord*, 64> live{};
  std::uint32_t n = 0;
  // Long enough for readers who get little of a busy machine.
  const auto begun = std::chrono::steady_clock::now();
  const auto goes_on = [&](unsigned round) {
    const auto since = std::chrono::steady_clock::now() - begun;
    const bool enough = round >= 1000 && seen.load() >= 1000 && found.load() >= 100;
    return since < std::chrono::milliseconds(400) || (!enough && since < std::chrono::seconds(60));
  };
  for (unsigned round = 0; goes_on(round); ++round) {
    for (unsigned i = 0; i < 48; ++i, n = (n + 1) % 4096) {
      ConnectionRecord*& r = live[(round + i * 7) % 64];
      if (r != nullptr) {
        const FlowKey4 old = r->key;
        ASSERT_TRUE(shard.flows.erase(shard.hasher(old), shard.ref_of(*r)));
        shard.connections.give_back(*r);
        r = nullptr;
      }
      const FlowKey4 key = name_of_life(n);
      if (shard.flows.find(shard.hasher(key), key, shard)) continue;
      r = shard.connections.take();
      ASSERT_NE(r, nullptr);
      shard.name(*r, key);
      ASSERT_TRUE(shard.flows.insert(shard.hasher(key), shard.ref_of(*r)));
      tcp::open_passive(shard.env, r->tcb, {}, 1460, shard.now);
      r->tcb.state = state_of_life(key);
      shard.connections.show(*r);
    }
  }
  done = true;
  for (std::thread& t : readers) t.join();
  EXPECT_EQ(bad.load(), 0U);
  EXPECT_GE(seen.load(), 1000U);
  EXPECT_GE(found.load(), 100U);
  for (ConnectionRecord* r : live)
    if (r != nullptr) shard.connections.give_back(*r);
}

#if TERN_CAN_STEP
// One record, and the lives that it leads: two over IPv4, two over IPv6, so that each family follows upon each.
struct OneRecord {
  OneRecord() { begin(); }
  ~OneRecord() { shard.connections.give_back(*r); }
  void begin() {
    r = shard.connections.take();
    ++life;
    if (life % 4 < 2)
      shard.name(*r, name_of_life(life));
    else
      shard.name(*r, name6_of_life(life));
    tcp::open_passive(shard.env, r->tcb, {}, 1460, shard.now);
    r->tcb.state = state_of_life(name(life));
    shard.connections.show(*r);
  }
  static FlowKey name(std::uint32_t n) { return n % 4 < 2 ? FlowKey{name_of_life(n)} : name6_of_life(n); }
  void change_hands() {
    shard.connections.give_back(*r);
    begin();
  }
  // Whether it is all of one life: the one of that generation, or the one after it.
  [[nodiscard]] bool is_whole(const ConnectionSeen& seen, std::uint32_t generation,
                              std::uint32_t its_life) const {
    if (seen.generation - generation > 1) return false;
    const FlowKey wanted = name(its_life + (seen.generation - generation));
    return seen.key == wanted && seen.state == state_of_life(wanted);
  }
  static ShardSettings small() {
    ShardSettings s;
    s.connections = s.syn_records = s.long_connections = s.time_wait_records = 4;
    s.addresses6 = ours6;
    return s;
  }
  std::uint32_t life = 0;
  Shard shard{process_arena(), small(), PacketPool{}, Instant::at_ns(1'000'000'000)};
  const ConnectionReader look{shard};
  ConnectionRecord* r = nullptr;
};
struct Seen { // how often which
  unsigned olds = 0, nothings = 0, news = 0;
  void count(const std::optional<ConnectionSeen>& seen, std::uint32_t old_generation) {
    ++(!seen ? nothings : seen->generation == old_generation ? olds : news);
  }
  void expect_all() const {
    EXPECT_GT(olds, 0U);
    EXPECT_GT(nothings, 0U);
    EXPECT_GT(news, 0U);
  }
};

// The record changes hands after the reader's first instruction, or after any later one: whatever comes out is one
// life's, all of it, or nothing.
TEST(Readers, TakeNoMixtureWhereverTheyAreHeldUp) {
  OneRecord one;
  const std::uint32_t index = one.shard.connections.index_of(*one.r);
  one.change_hands(); // IPv6, of which there is more to read
  const std::uint64_t all =
      test::Stepping::through([&] { EXPECT_TRUE(one.look.at(index)); }, [] { return true; });
  Seen seen;
  const std::uint64_t leap = 1 + all / 100;
  for (std::uint64_t at = 4; at / 4 * leap < all; ++at) { // four lives for each
    const std::uint64_t held_up_after = at / 4 * leap;
    const std::uint32_t generation = one.r->generation;
    const std::uint32_t life = one.life;
    std::optional<ConnectionSeen> got;
    std::uint64_t step = 0;
    test::Stepping::through([&] { got = one.look.at(index); },
                            [&] {
                              if (++step != held_up_after) return true;
                              one.change_hands();
                              return false;
                            });
    if (step < held_up_after) { // it was through before: IPv4's are
      one.change_hands();
      continue;
    }
    ASSERT_EQ(one.shard.connections.index_of(*one.r), index);
    seen.count(got, generation);
    ASSERT_TRUE(!got || one.is_whole(*got, generation, life)) << held_up_after;
  }
  seen.expect_all();
}

// The same of the owner: whichever instruction he has come to, from one life's last to the next one's first.
TEST(Readers, TakeNoMixtureWhereverTheOwnerIsHeldUp) {
  OneRecord one;
  const std::uint32_t index = one.shard.connections.index_of(*one.r);
  for (int each = 0; each < 4; ++each) {
    const std::uint32_t generation = one.r->generation;
    const std::uint32_t life = one.life;
    Seen seen;
    unsigned mixtures = 0;
    test::Stepping::through([&] { one.change_hands(); },
                            [&] {
                              const auto got = one.look.at(index);
                              seen.count(got, generation);
                              if (got && !one.is_whole(*got, generation, life)) ++mixtures;
                              return true;
                            });
    EXPECT_EQ(mixtures, 0U) << each;
    seen.expect_all();
  }
}
#endif

// The life of a flow as Core leads it: SYN-RECEIVED, connection, TIME-WAIT, its time begun anew, gone; each step under
// the eyes of readers, in records that are used again at once; those of connections by both families.
class Lives {
 public:
  explicit Lives(Shard& s) : s_(s) {}
  template <class Key>
  void one(std::uint32_t n) {
    const Key key = named<Key>(n);
    constexpr FlowKind resting = Shard::time_wait_kind<Key>();
    const FlowHash hash = s_.hasher(key);
    if (s_.flows.find(hash, key, s_)) return;
    auto* syn = s_.syns<Key>().slots.take();
    if (syn == nullptr) return;
    name_slot(*syn, key);
    ASSERT_TRUE(s_.flows.insert(hash, s_.ref_of(*syn)));
    if (n % 3 == 0) return end(hash, *syn);
    ConnectionRecord* r = s_.connections.take();
    ASSERT_NE(r, nullptr);
    s_.name(*r, key);
    ASSERT_TRUE(s_.flows.replace(hash, s_.ref_of(*syn), s_.ref_of(*r)));
    tcp::open_passive(s_.env, r->tcb, {}, 1460, s_.now);
    r->tcb.state = state_of_life(key);
    s_.connections.show(*r);
    give_back(*syn);
    auto& streams = s_.time_waits<Key>().streams;
    std::uint32_t index = streams.append(++now_);
    while (index == streams.none) {
      streams.evict_oldest(1, [&](std::uint32_t old, auto& slot) { leave(old, slot); });
      index = streams.append(now_);
    }
    name_slot(streams.at(index), key);
    ASSERT_TRUE(s_.flows.replace(hash, s_.ref_of(*r), {resting, index}));
    s_.connections.give_back(*r);
    if (n % 4 != 0) return;
    const std::uint32_t moved = streams.restart(now_, index);
    if (moved == streams.none) return;
    ASSERT_TRUE(s_.flows.replace(hash, {resting, index}, {resting, moved}));
  }
  void end_all() {
    const auto each = [&](std::uint32_t old, auto& slot) { leave(old, slot); };
    s_.time_wait4.streams.evict_oldest(1U << 20, each);
    s_.time_wait6.streams.evict_oldest(1U << 20, each);
  }

 private:
  template <class Key>
  void leave(std::uint32_t index, const TimeWaitSlot<Key>& slot) {
    ASSERT_TRUE(s_.flows.erase(s_.hasher(slot.key), {Shard::time_wait_kind<Key>(), index}));
  }
  template <class Key>
  void end(FlowHash hash, SynSlot<Key>& syn) {
    ASSERT_TRUE(s_.flows.erase(hash, s_.ref_of(syn)));
    give_back(syn);
  }
  template <class Key>
  void give_back(SynSlot<Key>& syn) {
    name_slot(syn, Key{});
    s_.syns<Key>().slots.give_back(&syn);
  }
  Shard& s_;
  Tick now_ = 1000;
};

TEST(Readers, SeeEveryKindOfRecordWhole) {
  ShardSettings s;
  s.connections = s.syn_records = s.long_connections = 16;
  s.time_wait_records = 256;
  s.addresses6 = ours6;
  Shard shard(process_arena(), s, PacketPool{}, Instant::at_ns(1'000'000'000));
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> bad = 0;
  std::array<std::array<std::atomic<std::uint64_t>, 16>, 2> seen{}; // of each family
  const auto reader = [&] {
    const ConnectionReader look(shard);
    while (!done.load(std::memory_order_relaxed))
      look.each_flow([&](const FlowSeen& f) {
        seen[f.key.is_v4() ? 0 : 1][static_cast<std::size_t>(f.state)].fetch_add(1,
                                                                                 std::memory_order_relaxed);
        const bool connection = f.ref.kind() == FlowKind::connection;
        if (!whole(f.key) || (f.generation != 0) != connection ||
            (connection && f.state != state_of_life(f.key)))
          bad.fetch_add(1, std::memory_order_relaxed);
      });
  };
  std::array<std::thread, 2> readers{std::thread{reader}, std::thread{reader}};
  Lives lives(shard);
  std::uint32_t n = 0;
  // Until each kind was seen: a reader may get little of a busy machine.
  const auto enough = [&] {
    return std::ranges::all_of(seen, [](const auto& of) {
      return of[static_cast<std::size_t>(tcp::State::SynReceived)].load() > 0 &&
             of[static_cast<std::size_t>(tcp::State::TimeWait)].load() > 1000 &&
             of[static_cast<std::size_t>(tcp::State::Established)].load() > 0;
    });
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!enough() && std::chrono::steady_clock::now() < end)
    for (unsigned i = 0; i < 1000; ++i, n = (n + 1) % 4096) {
      lives.one<FlowKey4>(n);
      lives.one<FlowKey6>(n);
    }
  done = true;
  for (std::thread& t : readers) t.join();
  EXPECT_EQ(bad.load(), 0U);
  EXPECT_TRUE(enough());
  lives.end_all();
  EXPECT_EQ(shard.flows.size(), 0U);
}

struct Quiet {
  void on_peer_closed(Connection) {}
};
struct Closing {
  void on_peer_closed(Connection c) { c.close(); }
};

// Two Cores as they are, both ways of opening, both families: each record under the eyes of a reader, and used again at
// once. ThreadSanitizer knows whether a Core writes past them what they look at.
TEST(Readers, LookAtCoresOnWhichConnectionsComeAndGo) {
  ShardSettings s;
  s.connections = s.syn_records = s.long_connections = 16;
  s.time_wait_records = 128;
  test::CorePair<Quiet, Closing> p(s, 0, {}, {}, {}, true);
  ASSERT_TRUE(p.server.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}}));
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> bad = 0;
  std::array<std::atomic<std::uint64_t>, 16> seen{};
  const auto reader = [&] {
    while (!done.load(std::memory_order_relaxed))
      for (const Shard* shard : {&p.client.shard, &p.server.shard})
        ConnectionReader(*shard).each_flow([&](const FlowSeen& f) {
          seen[static_cast<std::size_t>(f.state)].fetch_add(1, std::memory_order_relaxed);
          const Be16 port = shard == &p.client.shard ? f.key.remote_port : f.key.local_port;
          if (port.host() != 80) bad.fetch_add(1, std::memory_order_relaxed);
        });
  };
  std::array<std::thread, 2> readers{std::thread{reader}, std::thread{reader}};
  const auto enough = [&] {
    const auto many = [&](tcp::State state) { return seen[static_cast<std::size_t>(state)].load() > 100; };
    return many(tcp::State::Established) && many(tcp::State::TimeWait);
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  std::uint16_t port = 1024;
  for (unsigned round = 0; round < 300 || !enough(); ++round) {
    if (std::chrono::steady_clock::now() > end) break;
    std::array<Connection, 16> all;
    for (Connection& c : all) {
      port = static_cast<std::uint16_t>(port == 60'000 ? 1024 : port + 1);
      c = (port % 2 == 0 ? p.client.core.connect(p.key(port)) : p.client.core.connect(p.key6(port)))
              .connection;
    }
    p.settle();
    for (Connection& c : all) c.close();
    p.settle();
    p.now = p.now + Duration::ms(1);
    EXPECT_EQ(p.client.shard.connections.used(), 0U);
    if (testing::Test::HasFailure()) break; // not without the readers
  }
  done = true;
  for (std::thread& t : readers) t.join();
  EXPECT_EQ(bad.load(), 0U);
  EXPECT_TRUE(enough());
}

TEST(Readers, SeeHandshakesAndTimeWaitOfAWholeCore) {
  test::LoneCore<Quiet> c;
  c.listen();
  const auto from = [&](std::uint16_t port) { return c.from(Ip4{198, 51, 100, 1}, port); };
  const auto state = [&](std::uint16_t port) {
    std::optional<tcp::State> found;
    EXPECT_TRUE(ConnectionReader(c.shard).each_flow([&](const FlowSeen& f) {
      if (f.key == FlowKey{from(port)}) found = f.state;
    }));
    return found;
  };
  ASSERT_TRUE(c.arrives(from(1000), test::linux_syn(Seq{1}, 1)));
  c.turn();
  EXPECT_EQ(state(1000), tcp::State::SynReceived);
  test::Peer p{from(1001)};
  ASSERT_TRUE(p.connect(c));
  EXPECT_EQ(state(1001), tcp::State::Established);
  const auto ref = c.shard.flows.find(c.shard.hasher(p.key), p.key, c.shard);
  c.shard.handle(c.shard.connections.at(ref.index())).close();
  c.turn();
  EXPECT_EQ(state(1001), tcp::State::FinWait1);
  p.rcv_nxt += 1;
  ASSERT_TRUE(p.say(c, {}, wire::tcp_flag::fin | wire::tcp_flag::ack));
  c.turn();
  EXPECT_EQ(state(1001), tcp::State::TimeWait);
  c.run(Duration::seconds(61), Duration::ms(50));
  EXPECT_FALSE(state(1001));
}

TEST(Readers, SeeWhatIsOpenUnderItsNameAndState) {
  test::CorePair<Quiet, Quiet> p;
  ASSERT_TRUE(p.server.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}}));
  Connection a = p.client.core.connect(p.key(1000)).connection;
  Connection b = p.client.core.connect(p.key(1001)).connection;
  p.settle();
  b.close();
  p.settle();
  const ConnectionReader look(p.client.shard);
  const auto seen = look.find(p.key(1000));
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->state, tcp::State::Established);
  EXPECT_EQ(seen->index, a.index());
  EXPECT_EQ(look.find(p.key(1001))->state, tcp::State::FinWait2);
  EXPECT_FALSE(look.find(p.key(1002)));
  unsigned all = 0;
  EXPECT_TRUE(look.each([&](const ConnectionSeen&) { ++all; }));
  EXPECT_EQ(all, 2U);
  a.abort();
  b.abort();
  p.settle();
  EXPECT_FALSE(look.find(p.key(1000)));
}

} // namespace readers_test
} // namespace tern
