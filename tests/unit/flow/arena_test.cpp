#include "flow/arena.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/pool.hpp"

namespace tern {
namespace arena_test {

constexpr std::uint64_t mib = 1 << 20;

TEST(Arena, PieceIsZeroedAlignedAndWritable) {
  auto piece = process_arena().take({"words", 1000, 8});
  ASSERT_EQ(piece.size(), 8192U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece.data()) % 4096, 0U);
  const auto* bytes = static_cast<unsigned char*>(piece.data());
  for (std::size_t i = 0; i < piece.size(); ++i) ASSERT_EQ(bytes[i], 0);
  std::memset(piece.data(), 0xff, piece.size());
}

TEST(Arena, BigPieceStartsOnAHugePageAndSaysItsPages) {
  Arena arena({.reach = 64 * mib});
  auto piece = arena.take({"connections", 10000, 256});
  EXPECT_EQ(piece.size(), 4 * mib);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece.data()) % (2 * mib), 0U);
  const auto all = arena.reservations();
  ASSERT_EQ(all.size(), 1U);
  const std::string text = all[0].to_string();
  EXPECT_TRUE(text.starts_with("reserved 4 MiB for 10000 connections (256 B each, ")) << text;
  EXPECT_NE(text.find(to_string(all[0].pages)), std::string::npos) << text;
}

TEST(Arena, OfAPieceThatHoldsManyTheManyAreTold) {
  Arena arena({.reach = 64 * mib});
  const auto piece = arena.take({.name = "TIME-WAIT", .count = 1, .bytes_each = 3'440'020, .holds = 100'000});
  const std::string text = arena.reservations().at(0).to_string();
  EXPECT_TRUE(text.starts_with("reserved 4 MiB for 100000 TIME-WAIT (34 B each, ")) << text;
}

TEST(Arena, GivenBackPieceIsTakenAgainZeroed) {
  Arena arena({.reach = 4 * mib});
  void* first = nullptr;
  for (int round = 0; round < 3; ++round) { // thrice 2 MiB in 4 MiB: only if each is given back
    auto piece = arena.take({"blocks", 2 * mib - 4096, 1});
    if (first == nullptr) first = piece.data();
    EXPECT_EQ(piece.data(), first);
    EXPECT_EQ(static_cast<unsigned char*>(piece.data())[5], 0);
    std::memset(piece.data(), 0xee, piece.size());
    EXPECT_EQ(arena.reserved(), piece.size());
  }
  EXPECT_EQ(arena.reserved(), 0U);
  EXPECT_TRUE(arena.reservations().empty());
}

TEST(Arena, PoisonOfADeadSlabDoesNotOutliveIt) {
  Arena arena({.reach = 4 * mib});
  for (int round = 0; round < 2; ++round) {
    auto piece = arena.take({"numbers", 100, 8});
    std::memset(piece.data(), round, piece.size()); // faults under ASan if the first round's poison stayed
    Pool<std::uint64_t> pool(piece.data(), 100);
    EXPECT_NE(pool.take(), nullptr);
  }
}

TEST(Arena, RequestBeyondMemoryIsRefusedWithTheArithmetic) {
  Arena arena({.memory = 64 * mib});
  auto held = arena.take({"timers", 1 << 20, 8});
  const std::vector<ArenaRequest> wanted = {{"connections", 200'000, 256},
                                            {"flow table entries", 1 << 20, 12}};
  try {
    arena.require(wanted);
    FAIL() << "fits";
  } catch (const ArenaError& e) {
    EXPECT_STREQ(
        e.what(),
        "memory: 200000 connections x 256 B = 49 MiB + 1048576 flow table entries x 12 B = 12 MiB = 62 MiB, "
        "and 8 MiB reserved already, = 70 MiB: more than the 64 MiB available; lower the limits");
    EXPECT_EQ(e.why, ArenaError::Why::memory);
    EXPECT_EQ(e.memory, 64 * mib);
    ASSERT_EQ(e.asked.size(), 3U);
    EXPECT_EQ(e.asked[0].name, "connections");
    EXPECT_EQ(e.asked[2].name, "timers");
  }
  EXPECT_THROW((void)arena.take({"connections", 1 << 18, 256}), ArenaError);
  EXPECT_NO_THROW((void)arena.take({"connections", 200'000, 256}));
}

TEST(Arena, RequestBeyondTheReachOrOverflowingIsRefused) {
  Arena arena({.memory = ~std::uint64_t{0}});
  try { // more than memory, too: but of that no more would help
    (void)arena.take({"connections", std::uint64_t{1} << 30, 256});
    ADD_FAILURE() << "fits";
  } catch (const ArenaError& e) {
    EXPECT_EQ(e.why, ArenaError::Why::reach);
    EXPECT_NE(std::string_view{e.what()}.find("32-bit record pointers reach"), std::string_view::npos)
        << e.what();
  }
  EXPECT_THROW((void)arena.take({"connections", ~std::uint64_t{0}, 256}), ArenaError);
  EXPECT_THROW((void)arena.take({"connections", ~std::uint64_t{0}, 1}), ArenaError);
}

TEST(Arena, FirstPageIsNeverGivenOut) {
  Arena arena({.reach = 2 * mib});
  auto piece = arena.take({"bytes", 1, 1});
  EXPECT_GT(piece.data(), arena.base());
}

std::size_t resident_pages(const ArenaPiece& piece) {
  std::vector<unsigned char> pages(piece.size() / 4096);
  EXPECT_EQ(mincore(piece.data(), piece.size(), pages.data()), 0);
  return static_cast<std::size_t>(
      std::count_if(pages.begin(), pages.end(), [](auto p) { return (p & 1) != 0; }));
}

TEST(Arena, PiecesAreResidentAtOnceOnlyWhereThatWasAskedFor) {
  Arena arena({.reach = 64 * mib, .huge_pages = false});
  auto lazy = arena.take({"records", 3 * mib, 1});
  EXPECT_EQ(resident_pages(lazy), 0U);
  auto scattered = arena.take({"table", 3 * mib, 1, 3 * mib});
  EXPECT_EQ(resident_pages(scattered), scattered.size() / 4096);
  auto begun = arena.take({"records", 8 * mib / 64, 64, 3 * mib / 64});
  EXPECT_GE(resident_pages(begun), 3 * mib / 4096);
  EXPECT_LE(resident_pages(begun), 4 * mib / 4096); // on pages of 2 MiB, or not
  arena.set_prefault(true);
  auto eager = arena.take({"records", 3 * mib, 1});
  EXPECT_EQ(resident_pages(eager), eager.size() / 4096);
  EXPECT_EQ(arena.huge_bytes(), 0U);
}

struct Record {
  std::uint32_t before = 0;
  CompactHook hook;
  std::uint64_t id = 0;
};
static_assert(sizeof(Record) == 24);
using Records = CompactList<Record, &Record::hook>;

struct Left {
  std::uint64_t a;
};
struct Right {
  std::uint64_t b;
};
struct Both : Left, Right {};

TEST(CompactPtr, NullAndRoundTrip) {
  auto piece = process_arena().take({"words", 16, 8});
  auto* words = static_cast<std::uint64_t*>(piece.data());
  EXPECT_EQ(CompactPtr<std::uint64_t>{}.get(), nullptr);
  EXPECT_FALSE(CompactPtr<std::uint64_t>{nullptr});
  const auto p = CompactPtr<std::uint64_t>::pointer_to(words[3]);
  EXPECT_EQ(p.get(), words + 3);
  EXPECT_EQ(&*p, words + 3);
  const CompactPtr<const void> v = p;
  EXPECT_EQ(v.get(), words + 3);
  EXPECT_EQ(CompactPtr<std::uint64_t>::from_raw(p.raw()), p);
}

TEST(CompactPtr, CastsToASecondBaseMoveThePointer) {
  auto piece = process_arena().take({"objects", 1, sizeof(Both)});
  auto* both = new (piece.data()) Both{};
  const CompactPtr<Both> p{both};
  const CompactPtr<Right> right = p;
  EXPECT_EQ(right.get(), static_cast<Right*>(both));
  EXPECT_NE(right.raw(), p.raw());
  EXPECT_EQ(CompactPtr<Both>::static_cast_from(right), p);
  EXPECT_EQ(CompactPtr<Right>{CompactPtr<Both>{}}.get(), nullptr);
}

TEST(CompactPtr, ReachesTheLastGranuleOf32GiB) {
  (void)process_arena();
  const auto last = CompactPtr<std::uint64_t>::from_raw(~0U);
  EXPECT_EQ(reinterpret_cast<std::byte*>(last.get()) - arena_base,
            static_cast<std::ptrdiff_t>(compact_reach - 8));
  EXPECT_EQ(CompactPtr<std::uint64_t>{last.get()}, last);
}

TEST(CompactList, LinksSplicesAndUnlinksRecordsOfTwoPieces) {
  auto slots = process_arena().take({"slot heads", 2, sizeof(Records)});
  auto slab = process_arena().take({"records", 1000, sizeof(Record)});
  auto* heads = static_cast<Records*>(slots.data());
  new (&heads[0]) Records;
  new (&heads[1]) Records;
  auto* records = static_cast<Record*>(slab.data());
  for (std::uint64_t i = 0; i < 1000; ++i) {
    new (&records[i]) Record;
    records[i].id = i;
    heads[0].push_back(records[i]);
  }
  for (std::uint64_t i = 0; i < 1000; i += 2) heads[0].erase(Records::s_iterator_to(records[i]));
  EXPECT_EQ(heads[0].size(), 500U);
  heads[1].splice(heads[1].end(), heads[0]);
  EXPECT_TRUE(heads[0].empty());
  std::uint64_t next = 1;
  for (const Record& r : heads[1]) {
    EXPECT_EQ(r.id, next);
    next += 2;
  }
  EXPECT_EQ(next, 1001U);
  heads[1].clear();
}

} // namespace arena_test
} // namespace tern
