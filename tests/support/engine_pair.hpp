// Two engines wired back to back, without links or a simulator: the least that a test of the engine needs.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/eal.hpp"
#include "tcp/engine.hpp"
#include "tcp/side_memory.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::test {

// One host with one connection.
class Host {
 public:
  explicit Host(PacketPool packets, tcp::Settings how = {}, std::uint32_t records = 64)
      : settings(how),
        side_({.recovery = records,
               .tx_log = records * 64,
               .reassembly = records,
               .ranges = records * 16,
               .send_queues = records,
               .pieces = records * 64}),
        env{settings, counters, packets, side_.pools()} {}
  ~Host() {
    tcp::release(env, tcb);
    EXPECT_EQ(side_.used(), 0U);
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // What the connection sends now.
  std::vector<Packet> output(Instant now) {
    std::vector<Packet> all;
    tcp::TxBurst burst;
    bool more = true;
    while (more) {
      more = tcp::output(env, tcb, now, burst);
      if (burst.size() == 0) break;
      for (std::size_t i = 0; i < burst.size(); ++i) all.push_back(std::move(burst[i]));
      burst.clear();
    }
    return all;
  }

  // A segment arrives; text is taken at once unless `hold`.
  tcp::Outcome arrive(Packet p, Instant now) {
    wire::Tcp h;
    if (!p.contiguous()) {
      EXPECT_TRUE(p.pull(static_cast<std::uint16_t>(std::min(60U, p.length())), env.packets));
    }
    EXPECT_EQ(wire::parse_tcp(p.bytes(), h), wire::Verdict::ok);
    return arrive(h, std::move(p), now);
  }
  tcp::Outcome arrive(const wire::Tcp& h, Packet p, Instant now) {
    tcp::Outcome out;
    tcp::Segment s{.h = h, .payload = nullptr, .text = p ? p.length() - h.header_length : 0};
    if (s.text != 0) {
      p.trim_front(h.header_length);
      s.payload = &p;
    }
    tcp::segment_arrives(env, tcb, s, now, out);
    note(out);
    return out;
  }
  void note(tcp::Outcome& out) {
    events |= out.events;
    if (!out.has(tcp::event_data)) return;
    Packet data = out.data.take();
    const std::size_t at = received.size();
    received.resize(at + data.length());
    data.copy_out(0, {reinterpret_cast<std::byte*>(received.data()) + at, data.length()});
    if (!hold) tcp::release_received(env, tcb, data.length(), out);
  }
  tcp::Outcome timer(Instant now) {
    tcp::Outcome out;
    tcp::timer_fires(env, tcb, now, out);
    note(out);
    return out;
  }
  std::uint32_t send(const std::string& text, Instant now) {
    return tcp::send_copy(env, tcb, std::as_bytes(std::span{text}), now);
  }

  tcp::Settings settings;
  tcp::TcpCounters counters;
  bool hold = false;
  std::uint32_t events = 0;
  std::string received;
  tcp::Tcb tcb;

 private:
  tcp::SideMemory side_;

 public:
  tcp::Env env;
};

} // namespace tern::test
