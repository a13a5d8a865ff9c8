// What a proxied connection holds, and how fast it goes: a far reader gets the window that its way needs, a
// slow one does not.
#include "support/lb_rig.hpp"

namespace tern::app::lb {
namespace lb_window_test {

using test::End;
using test::LbRig;

test::LbRigSettings far_clients() {
  test::LbRigSettings s;
  s.client_delay = Duration::ms(20); // 40 ms there and back; the backend is next door
  s.shard.tcp.send_buffer = s.shard.tcp.receive_buffer_max + 256;
  s.packets = 32'767;
  return s;
}

TEST(LbWindow, FarReaderIsNotHeldToTheFirstWindow) {
  LbRig r(LbRig::service(), far_clients());
  End& client = r.connect();
  r.run(Duration::ms(100));
  ASSERT_EQ(r.world.accepted.size(), 1U);
  const std::string text(8'000'000, 'x');
  r.world.send_all(r.world.accepted[0]->c, text);
  r.run(Duration::seconds(2));
  // One window of 64 KiB each 40 ms would be 3.3 MB in these two seconds.
  EXPECT_EQ(client.got.size(), text.size());
}

TEST(LbWindow, ReaderThatStopsIsGivenNoMore) {
  LbRig r(LbRig::service(), far_clients());
  End& client = r.connect();
  client.reading = false;
  r.run(Duration::ms(100));
  ASSERT_EQ(r.world.accepted.size(), 1U);
  r.world.send_all(r.world.accepted[0]->c, std::string(8'000'000, 'x'));
  r.run(Duration::seconds(5));
  const auto held = r.count(Count::bytes_out) - client.c.unread();
  EXPECT_LE(held, 2U * 64 * 1024);
  client.reading = true;
  client.c.resume_reading();
  r.run(Duration::seconds(5));
  EXPECT_EQ(client.got.size(), 8'000'000U);
}

} // namespace lb_window_test
} // namespace tern::app::lb
