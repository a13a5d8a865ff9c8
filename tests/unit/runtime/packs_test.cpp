// Cores on ports that cut segments themselves (TSO): text passes in packs, and nothing else changes.
#include <string>

#include "support/core_pair.hpp"

namespace tern {
namespace packs_test {

constexpr std::uint32_t size = 3'000'000;

struct Sender {
  void on_connected(Connection c) { on_writable(c); }
  void on_writable(Connection c) {
    const std::size_t n = c.send(std::string_view{text}.substr(sent));
    sent += n;
  }
  void on_data(Connection c, Payload& p) {
    while (!p.empty()) {
      const auto piece = p.front();
      got.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      p.drop(static_cast<std::uint32_t>(piece.size()));
    }
    if (got.size() == text.size()) c.close();
  }
  void on_closed(Connection, CloseReason r) { reason = r; }
  std::string text;
  std::size_t sent = 0;
  std::string got;
  CloseReason reason = CloseReason::None;
};
struct Echo {
  void on_data(Connection c, Payload& p) { c.send(p); }
  void on_peer_closed(Connection c) { c.close(); }
};

struct Packs : testing::TestWithParam<bool> {
  test::CorePair<Sender, Echo> p{{}, 0, {}, {true, true, true}, {.tso = GetParam()}};
};

TEST_P(Packs, EchoIsExactAndTheScoreboardsAgree) {
  for (std::uint32_t i = 0; i < size; ++i) p.client_handler.text += static_cast<char>(i * 2654435761U >> 24);
  ASSERT_TRUE(p.server.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}}));
  ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none);
  p.run(Duration::seconds(2));
  EXPECT_EQ(p.client_handler.got, p.client_handler.text);
  EXPECT_EQ(p.client_handler.reason, CloseReason::Done);
  const CoreCounters& sent = p.client.shard.counters;
  EXPECT_EQ(p.server.shard.counters.get(CoreCounter::rx_packets), sent.get(CoreCounter::tx_packets));
  const std::uint64_t packs = sent.get(CoreCounter::tx_packs);
  const std::uint64_t in_packs = sent.get(CoreCounter::tx_packed_segments);
  EXPECT_EQ(packs != 0, GetParam());
  if (GetParam()) {
    EXPECT_GT(in_packs, 9 * packs);            // many in each
    EXPECT_GT(in_packs, size / 1448 / 10 * 9); // and nearly all of them
    EXPECT_LT(sent.get(CoreCounter::tx_packets), size / 1448 / 2);
  }
  // Nothing was taken for lost, neither by us nor by the peer.
  for (const auto& node : {&p.client.shard.tcp_counters, &p.server.shard.tcp_counters}) {
    for (const auto c : {tcp::Counter::duplicate_in, tcp::Counter::retransmit_tlp,
                         tcp::Counter::retransmit_fin, tcp::Counter::drop_beyond_window})
      EXPECT_EQ(node->get(c), 0U) << tcp::name_of(c);
  }
}

INSTANTIATE_TEST_SUITE_P(Ports, Packs, testing::Bool(),
                         [](const auto& p) { return p.param ? "ThatCut" : "ThatDoNot"; });

} // namespace packs_test
} // namespace tern
