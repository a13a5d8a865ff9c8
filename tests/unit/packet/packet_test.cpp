#include "packet/packet.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "packet/chain.hpp"
#include "support/eal.hpp"

namespace tern {
namespace packet_test {

using test::TestPool;
using Bytes = std::vector<std::byte>;

Bytes pattern(std::size_t n, unsigned first = 0) {
  Bytes b(n);
  for (std::size_t i = 0; i < n; ++i) b[i] = static_cast<std::byte>((first + i * 7) & 0xff);
  return b;
}
Bytes all_of(const Packet& p) {
  Bytes b(p.length());
  EXPECT_EQ(p.copy_out(0, b), b.size());
  return b;
}
Bytes slice(const Bytes& b, std::size_t at, std::size_t n) {
  return {b.begin() + static_cast<std::ptrdiff_t>(at), b.begin() + static_cast<std::ptrdiff_t>(at + n)};
}
Packet make(const PacketPool& pool, const Bytes& bytes) {
  Packet p = pool.alloc();
  EXPECT_TRUE(p.append_copy(bytes, pool));
  return p;
}
// A chain whose segments hold `piece` bytes each.
Packet make_chain(const PacketPool& pool, const Bytes& bytes, std::size_t piece) {
  Packet head;
  for (std::size_t i = 0; i < bytes.size(); i += piece) {
    Packet p = make(pool, slice(bytes, i, std::min(piece, bytes.size() - i)));
    if (!head)
      head = std::move(p);
    else
      EXPECT_TRUE(head.chain(std::move(p)));
  }
  return head;
}
// What the chain says of itself is true.
void expect_sound(const Packet& p) {
  const char* why = nullptr;
  EXPECT_EQ(rte_mbuf_check(p.mbuf(), 1, &why), 0) << why;
}

// One pointer stands for a queue that grows behind and is taken from in front, in pieces that end within segments and
// between them, and whose first bytes may have been pulled together meanwhile.
TEST(PacketChain, IsFoldedIntoItsFirstSegment) {
  TestPool t(1023, 512);
  const PacketPool pool = t.pool();
  std::mt19937 rng(11);
  const auto random = [&rng] { return static_cast<std::uint32_t>(rng()); };
  for (int round = 0; round < 300; ++round) {
    Bytes expected;
    rte_mbuf* folded = nullptr;
    for (int step = 0; step < 40; ++step) {
      PacketChain queue;
      if (folded != nullptr) queue = PacketChain::unfold(std::exchange(folded, nullptr));
      const Bytes more = pattern(1 + random() % 700, random());
      expected.insert(expected.end(), more.begin(), more.end());
      ASSERT_TRUE(queue.append(make_chain(pool, more, 1 + random() % 400)));
      rte_mbuf* const last = queue.last();
      Packet all = queue.take();
      ASSERT_EQ(rte_pktmbuf_lastseg(all.mbuf()), last);
      ASSERT_EQ(all_of(all), expected);
      const std::uint32_t taken = random() % 3 == 0 ? random() % all.length() : random() % 50 % all.length();
      if (taken != 0 && random() % 2 == 0)
        all = all.split(taken, pool); // as who sends a part of it on
      else
        all.trim_front(taken);
      (void)all.pull(static_cast<std::uint16_t>(1 + random() % std::min(500U, all.length())), pool);
      expected.erase(expected.begin(), expected.begin() + taken);
      expect_sound(all);
      folded = PacketChain{std::move(all), last}.fold();
    }
    ASSERT_EQ(all_of(PacketChain::unfold(folded).take()), expected);
  }
  EXPECT_EQ(t.used(), 0U);
}

// Whatever lies between an mbuf and its buffer, and however often both have been used.
TEST(PacketPool, APacketsBytesLieInItsOwnBuffer) {
  for (const std::uint16_t extra : {std::uint16_t{0}, std::uint16_t{64}}) {
    TestPool t(63, 256, 32, extra);
    for (int round = 0; round < 3; ++round) {
      std::vector<Packet> all;
      while (Packet p = t.pool().alloc()) {
        rte_mbuf* const m = p.mbuf();
        EXPECT_EQ(m->buf_addr, reinterpret_cast<std::byte*>(m + 1) + extra);
        EXPECT_EQ(p.data(), static_cast<std::byte*>(m->buf_addr) + RTE_PKTMBUF_HEADROOM);
        ASSERT_NE(p.append(256), nullptr);
        std::memset(p.data(), static_cast<int>(all.size()), 256);
        all.push_back(std::move(p));
      }
      EXPECT_EQ(all.size(), 63U);
      for (std::size_t i = 0; i < all.size(); ++i)
        EXPECT_EQ(std::count(all[i].data(), all[i].data() + 256, static_cast<std::byte>(i)), 256);
    }
  }
}

TEST(Packet, PrependAndAppendUseTheRoom) {
  TestPool t;
  Packet p = t.pool().alloc();
  const std::uint16_t head = p.headroom();
  std::byte* mid = p.append(10);
  ASSERT_NE(mid, nullptr);
  std::byte* front = p.prepend(14);
  ASSERT_NE(front, nullptr);
  EXPECT_EQ(front + 14, mid);
  EXPECT_EQ(p.data(), front);
  EXPECT_EQ(p.length(), 24U);
  EXPECT_EQ(p.headroom(), head - 14);
  EXPECT_EQ(p.prepend(static_cast<std::uint16_t>(head - 13)), nullptr);
  EXPECT_EQ(p.append(static_cast<std::uint16_t>(p.tailroom() + 1)), nullptr);
  EXPECT_EQ(p.length(), 24U);
  expect_sound(p);
}

TEST(Packet, SharedBytesAreNotWritable) {
  TestPool t;
  Packet p = make(t.pool(), pattern(100));
  p.trim_front(20); // somebody's headers were here
  {
    const Packet view = p.share(0, 50, t.pool());
    ASSERT_TRUE(view);
    EXPECT_FALSE(p.writable());
    EXPECT_FALSE(view.writable());
    EXPECT_EQ(p.prepend(4), nullptr);
    EXPECT_EQ(p.append(4), nullptr);
  }
  EXPECT_TRUE(p.writable());
  EXPECT_NE(p.prepend(4), nullptr);
}

TEST(Packet, TrimFrontCrossesSegmentsAndFreesThem) {
  TestPool t;
  const Bytes b = pattern(300);
  for (std::uint32_t n = 0; n <= 300; ++n) {
    Packet p = make_chain(t.pool(), b, 64);
    p.mbuf()->hash.rss = 77;
    p.trim_front(n);
    EXPECT_EQ(all_of(p), slice(b, n, 300 - n));
    EXPECT_EQ(t.used(), p.segments());
    EXPECT_EQ(p.mbuf()->hash.rss, 77U);
    expect_sound(p);
  }
}

TEST(Packet, TrimBackCrossesSegmentsAndFreesThem) {
  TestPool t;
  const Bytes b = pattern(300);
  for (std::uint32_t n = 0; n <= 300; ++n) {
    Packet p = make_chain(t.pool(), b, 64);
    p.trim_back(n);
    EXPECT_EQ(all_of(p), slice(b, 0, 300 - n));
    EXPECT_EQ(t.used(), p.segments());
    expect_sound(p);
  }
}

TEST(Packet, SplitAtEveryOffsetKeepsEveryByte) {
  TestPool t;
  const Bytes b = pattern(300);
  for (std::uint32_t at = 1; at < 300; ++at) {
    Packet head = make_chain(t.pool(), b, 64);
    Packet tail = head.split(at, t.pool());
    ASSERT_TRUE(tail);
    EXPECT_EQ(all_of(head), slice(b, 0, at));
    EXPECT_EQ(all_of(tail), slice(b, at, 300 - at));
    expect_sound(head);
    expect_sound(tail);
    head.reset(); // the tail holds what it needs
    EXPECT_EQ(all_of(tail), slice(b, at, 300 - at));
  }
  EXPECT_EQ(t.used(), 0U);
}

TEST(Packet, SplitWithPoolOutChangesNothing) {
  TestPool t{15};
  const Bytes b = pattern(300);
  Packet p = make_chain(t.pool(), b, 64);
  std::vector<Packet> rest;
  while (Packet q = t.pool().alloc()) rest.push_back(std::move(q));
  EXPECT_FALSE(p.split(100, t.pool()));
  EXPECT_TRUE(p.split(128, t.pool())); // on a boundary it takes nothing
  EXPECT_EQ(all_of(p), slice(b, 0, 128));
}

TEST(Packet, ShareShowsAnyRangeAndOutlivesTheFirstHolder) {
  TestPool t;
  const Bytes b = pattern(500);
  for (const std::uint32_t at : {0U, 1U, 63U, 64U, 65U, 200U})
    for (const std::uint32_t n : {1U, 63U, 64U, 129U, 300U}) {
      Packet p = make_chain(t.pool(), b, 64);
      Packet s = p.share(at, n, t.pool());
      ASSERT_TRUE(s);
      Packet again = s.share(0, n, t.pool()); // a view of a view
      p.reset();
      s.reset();
      EXPECT_EQ(all_of(again), slice(b, at, n));
      expect_sound(again);
    }
  EXPECT_EQ(t.used(), 0U);
}

TEST(Packet, ShareWithPoolOutGivesBackWhatItTook) {
  TestPool t{15};
  Packet p = make_chain(t.pool(), pattern(640), 64); // 10 segments; 5 left
  EXPECT_FALSE(p.share(0, 640, t.pool()));
  EXPECT_EQ(t.used(), 10U);
}

TEST(Packet, SameIsASecondReference) {
  TestPool t;
  const Bytes b = pattern(200);
  Packet p = make_chain(t.pool(), b, 64);
  Packet q = p.same();
  EXPECT_FALSE(p.writable());
  p.reset();
  EXPECT_TRUE(q.writable());
  EXPECT_EQ(all_of(q), b);
}

TEST(Packet, HeaderSegmentInFrontOfSharedBytes) {
  TestPool t;
  const Bytes b = pattern(100);
  Packet p = make(t.pool(), b);
  Packet out = p.share(0, 100, t.pool());
  ASSERT_TRUE(out.prepend_segment(t.pool()));
  std::byte* h = out.prepend(20);
  ASSERT_NE(h, nullptr);
  std::fill_n(h, 20, std::byte{9});
  EXPECT_EQ(out.length(), 120U);
  EXPECT_EQ(out.segments(), 2);
  Bytes want(120, std::byte{9});
  std::copy(b.begin(), b.end(), want.begin() + 20);
  EXPECT_EQ(all_of(out), want);
}

TEST(Packet, AppendCopyGrowsTheChain) {
  TestPool t{63, 256};
  const Bytes b = pattern(2000);
  Packet p = make(t.pool(), slice(b, 0, 100));
  ASSERT_TRUE(p.append_copy(slice(b, 100, 1900), t.pool()));
  EXPECT_EQ(all_of(p), b);
  EXPECT_EQ(p.segments(), 8); // 2,000 bytes in rooms of 256
  expect_sound(p);
  const unsigned before = t.used();
  EXPECT_FALSE(p.append_copy(Bytes(40'000), t.pool()));
  EXPECT_EQ(all_of(p), b);
  EXPECT_EQ(t.used(), before);
}

TEST(Packet, AbsorbCopiesSmallTails) {
  TestPool t{63, 256};
  Packet p = make(t.pool(), pattern(100));
  Packet small = make_chain(t.pool(), pattern(60, 3), 25);
  ASSERT_TRUE(p.absorb(small));
  EXPECT_FALSE(small);
  Bytes want = pattern(100);
  const Bytes tail = pattern(60, 3);
  want.insert(want.end(), tail.begin(), tail.end());
  EXPECT_EQ(all_of(p), want);
  EXPECT_EQ(t.used(), 1U);
  Packet big = make(t.pool(), pattern(200));
  EXPECT_FALSE(p.absorb(big));
  EXPECT_TRUE(big);
}

TEST(Packet, PullMakesHeadersContiguous) {
  TestPool t;
  const Bytes b = pattern(300);
  for (const std::size_t piece : {1U, 13U, 64U, 299U})
    for (const std::uint16_t n :
         {std::uint16_t{1}, std::uint16_t{54}, std::uint16_t{120}, std::uint16_t{300}}) {
      Packet p = make_chain(t.pool(), b, piece);
      ASSERT_TRUE(p.pull(n, t.pool()));
      EXPECT_GE(p.data_length(), n);
      EXPECT_EQ(all_of(p), b);
      expect_sound(p);
      Packet q = make_chain(t.pool(), b, piece);
      const Packet other = q.share(0, 300, t.pool()); // shared: pulled into a fresh segment
      ASSERT_TRUE(q.pull(n, t.pool()));
      EXPECT_GE(q.data_length(), n);
      EXPECT_EQ(all_of(q), b);
      EXPECT_EQ(all_of(other), b);
      EXPECT_FALSE(q.pull(301, t.pool()));
    }
}

TEST(Packet, CopyIsDeep) {
  TestPool t;
  const Bytes b = pattern(500);
  Packet p = make_chain(t.pool(), b, 64);
  Packet c = p.copy(10, 400, t.pool());
  ASSERT_TRUE(c);
  EXPECT_TRUE(c.writable());
  EXPECT_EQ(c.segments(), 1);
  p.reset();
  EXPECT_EQ(all_of(c), slice(b, 10, 400));
}

TEST(Packet, ExternalBytesAreReleasedOnceWithTheLastHolder) {
  TestPool t;
  static Bytes elsewhere = pattern(900);
  int released = 0;
  rte_mbuf_ext_shared_info info{};
  make_external_info(
      info, [](void*, void* user) { ++*static_cast<int*>(user); }, &released);
  const ExternalBytes e{elsewhere.data(), RTE_BAD_IOVA, 900, &info};
  {
    Packet p = t.pool().alloc_external(e);
    ASSERT_TRUE(p);
    EXPECT_FALSE(p.writable());
    EXPECT_EQ(all_of(p), elsewhere);
    Packet q = t.pool().alloc_external(e);
    const Packet s = p.share(100, 200, t.pool());
    EXPECT_EQ(all_of(s), slice(elsewhere, 100, 200));
    EXPECT_GE(p.truesize(), 900U);
    p.reset();
    q.reset();
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
}

TEST(Packet, TruesizeIsWhatIsPinned) {
  TestPool t{63, 2048};
  Packet p = make(t.pool(), pattern(10));
  const std::uint32_t one = p.truesize();
  EXPECT_GE(one, 2048U + RTE_PKTMBUF_HEADROOM + sizeof(rte_mbuf));
  EXPECT_TRUE(p.sparse());
  const Packet view = p.share(0, 5, t.pool());
  EXPECT_EQ(view.truesize(), 2 * one); // its own element and the one it shows
  Packet two = make_chain(t.pool(), pattern(4000), 2000);
  EXPECT_EQ(two.truesize(), 2 * one);
  EXPECT_FALSE(two.sparse());
}

// Any sequence of operations shows what the same operations on a plain vector show.
TEST(Packet, RandomOperationsAgreeWithAVector) {
  TestPool t{4095, 256};
  std::mt19937 rng{20260101};
  const auto below = [&](std::size_t n) { return static_cast<std::uint32_t>(rng() % n); };
  for (int round = 0; round < 300; ++round) {
    Bytes model = pattern(1 + below(900), round & 0xff);
    Packet p = make_chain(t.pool(), model, 1 + below(200));
    std::vector<Packet> held;
    for (int step = 0; step < 20; ++step) {
      switch (below(6)) {
        case 0: {
          const auto n = below(model.size() + 1);
          p.trim_front(n);
          model.erase(model.begin(), model.begin() + n);
          break;
        }
        case 1: {
          const auto n = below(model.size() / 4 + 1);
          p.trim_back(n);
          model.resize(model.size() - n);
          break;
        }
        case 2: {
          const Bytes more = pattern(below(300), below(256));
          if (p.append_copy(more, t.pool())) model.insert(model.end(), more.begin(), more.end());
          break;
        }
        case 3:
          if (model.size() > 1) {
            const auto at = 1 + below(model.size() - 1);
            Packet tail = p.split(at, t.pool());
            ASSERT_TRUE(tail);
            EXPECT_EQ(all_of(tail), slice(model, at, model.size() - at));
            if (below(2) == 0)
              ASSERT_TRUE(p.chain(std::move(tail)));
            else
              model.resize(at);
          }
          break;
        case 4:
          if (!model.empty()) held.push_back(p.share(0, static_cast<std::uint32_t>(model.size()), t.pool()));
          break;
        default: {
          const auto n = static_cast<std::uint16_t>(std::min<std::size_t>(model.size(), below(200)));
          ASSERT_TRUE(n == 0 || p.pull(n, t.pool()));
        }
      }
      ASSERT_EQ(all_of(p), model);
      expect_sound(p);
      if (model.empty()) break;
    }
  }
  EXPECT_EQ(t.used(), 0U);
}

#ifdef TERN_ASAN
TEST(PacketDeathTest, WritingPastTheEndIsFound) {
  TestPool t;
  Packet p = make(t.pool(), pattern(64));
  EXPECT_DEATH(p.data()[64] = std::byte{1}, "use-after-poison");
  EXPECT_DEATH(p.data()[-1] = std::byte{1}, "use-after-poison");
}
#endif

// ---- PacketStash: what one has done with is what he writes next.
TEST(PacketStash, ComesOutAsItWentInAndTheRestGoesBack) {
  TestPool t(127);
  {
    PacketStash stash;
    const PacketPool pool{t.pool().raw(), &stash};
    std::vector<rte_mbuf*> given;
    for (int round = 0; round < 3; ++round) {
      std::vector<Packet> all;
      for (int i = 0; i < 70; ++i) all.push_back(t.pool().alloc());
      given.clear();
      for (Packet& p : all) {
        given.push_back(p.mbuf());
        stash.give(std::move(p), t.pool().raw());
      }
      EXPECT_EQ(t.pool().used(), 64U); // the others had no place
      for (int i = 0; i < 10; ++i) EXPECT_EQ(pool.alloc().mbuf(), given[static_cast<std::size_t>(i)]);
      stash.flush();
      EXPECT_EQ(t.pool().used(), 0U);
      EXPECT_EQ(stash.take(), nullptr);
    }
    // One in, one out: its places do not wear out.
    for (int i = 0; i < 1000; ++i) {
      Packet p = t.pool().alloc();
      rte_mbuf* const m = p.mbuf();
      stash.give(std::move(p), t.pool().raw());
      ASSERT_EQ(stash.take(), m) << i;
      rte_pktmbuf_free(m);
    }
  }
  EXPECT_EQ(t.pool().used(), 0U);
}

TEST(PacketStash, KeepsNothingThatSomebodyElseHas) {
  TestPool t(63), other(63);
  PacketStash stash;
  const auto kept = [&](Packet p) {
    stash.give(std::move(p), t.pool().raw());
    rte_mbuf* const m = stash.take();
    if (m != nullptr) rte_pktmbuf_free(m);
    return m != nullptr;
  };
  EXPECT_TRUE(kept(make(t.pool(), pattern(100))));
  EXPECT_FALSE(kept(Packet{}));
  EXPECT_FALSE(kept(make(other.pool(), pattern(100))));
  EXPECT_FALSE(kept(make_chain(t.pool(), pattern(100), 50)));
  Packet whole = make(t.pool(), pattern(100));
  EXPECT_FALSE(kept(whole.share(10, 50, t.pool())));
  EXPECT_FALSE(kept(whole.same()));
  EXPECT_EQ(all_of(whole), pattern(100));
  whole.reset();
  EXPECT_EQ(t.pool().used(), 0U);
  EXPECT_EQ(other.pool().used(), 0U);
}

} // namespace packet_test
} // namespace tern
