// Client, balancer and backends over cables that lose, repeat, reorder and damage, both ways on both sides:
// every byte arrives, every end is told, and nothing is left behind.
#include <algorithm>
#include <cstring>

#include "support/lb_rig.hpp"

namespace tern::app::lb {
namespace lb_lossy_test {

using test::End;
using test::LbRig;

// A connection's text: its number, then what follows from it.
std::string text_of(std::uint32_t number, std::size_t n) {
  std::string s(n + 4, '\0');
  std::memcpy(s.data(), &number, 4);
  std::uint32_t seed = number;
  for (std::size_t i = 4; i < s.size(); ++i)
    s[i] = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return s;
}
std::size_t size_of(std::uint32_t number, unsigned turn) {
  constexpr std::size_t sizes[] = {0, 1, 60, 1448, 5000, 70'000, 200'000};
  return sizes[(number * 2654435761U >> (8 * turn)) % std::size(sizes)];
}

void campaign(std::uint64_t seed, Duration limit) {
  LbRig r(
      [] {
        ServiceConfig v = LbRig::service(3, Balance::maglev);
        v.timeouts.connect = Duration::seconds(20);
        return v;
      }(),
      {.impair = {.loss = 0.02,
                  .duplicate = 0.01,
                  .corrupt = 0.005,
                  .reorder = 0.02,
                  .delay = Duration::ms(2),
                  .jitter = Duration::ms(1),
                  .seed = seed}});
  // Each end closes once it has said all and heard the other's end: first the client, then the backend.
  r.world.on_end = [&](End& e) {
    if (e.c.listener() == 0xff || e.got.size() < 4) return;
    std::uint32_t number = 0;
    std::memcpy(&number, e.got.data(), 4);
    r.world.send_all(e.c, text_of(number + 1000, size_of(number, 2)), true);
  };
  std::vector<End*> clients;
  for (std::uint32_t i = 0; i < 40; ++i) {
    clients.push_back(&r.connect());
    r.world.send_all(clients.back()->c, text_of(i, size_of(i, 1)), true);
    r.run(Duration::ms(20));
  }
  const Instant end = r.now + limit;
  const auto all_closed = [&] { return std::ranges::all_of(clients, [](End* e) { return e->closed; }); };
  while (!all_closed() && r.now < end) r.run(Duration::ms(50));
  r.run(Duration::seconds(200), Duration::ms(50)); // what is still closing gets there, by retransmission
  for (std::uint32_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(clients[i]->why, CloseReason::Done) << "seed " << seed << " client " << i;
    EXPECT_TRUE(clients[i]->got == text_of(i + 1000, size_of(i, 2))) << "seed " << seed << " client " << i;
  }
  std::uint32_t served = 0;
  for (End* b : r.world.accepted) {
    if (b->got.empty()) continue; // a try that the balancer gave up
    std::uint32_t number = 0;
    ASSERT_GE(b->got.size(), 4U);
    std::memcpy(&number, b->got.data(), 4);
    ASSERT_LT(number, clients.size());
    EXPECT_TRUE(b->got == text_of(number, size_of(number, 1))) << "seed " << seed << " client " << number;
    ++served;
  }
  EXPECT_EQ(served, clients.size());
  EXPECT_GT(r.balancer.shard.tcp_counters.get(tcp::Counter::out_of_order_in), 0U);
  r.expect_nothing_left();
}

TEST(Lossy, EveryByteArrivesAndNothingIsLeft) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) campaign(seed, Duration::seconds(300));
}

} // namespace lb_lossy_test
} // namespace tern::app::lb
