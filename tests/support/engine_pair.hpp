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

#include "base/pool.hpp"
#include "support/eal.hpp"
#include "tcp/engine.hpp"
#include "tcp/reassembly.hpp"
#include "tcp/recovery/recovery.hpp"

#include "tcp/recovery/tx_log.hpp"
#include "tcp/send_queue.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::test {

// Side records on the heap.
template <class T>
class HeapPool {
 public:
  explicit HeapPool(std::uint32_t n)
      : memory_(std::make_unique<Storage[]>(Pool<T>::bytes_for(n) / sizeof(Storage) + 1)),
        pool_(memory_.get(), n) {}
  ~HeapPool() { unpoison(memory_.get(), Pool<T>::bytes_for(pool_.capacity())); }
  Pool<T>* get() { return &pool_; }

 private:
  struct alignas(64) Storage {
    std::byte b[64];
  };
  std::unique_ptr<Storage[]> memory_;
  Pool<T> pool_;
};

// One host with one connection.
class Host {
 public:
  explicit Host(PacketPool packets, tcp::Settings how = {}, std::uint32_t records = 64)
      : settings(how),
        recovery_(records),
        log_(records * 64),
        reassembly_(records),
        ranges_(records * 16),
        queues_(records),
        pieces_(records * 64),
        env{settings,
            counters,
            packets,
            {recovery_.get(), log_.get(), reassembly_.get(), ranges_.get(), queues_.get(), pieces_.get()}} {}
  ~Host() {
    tcp::release(env, tcb);
    EXPECT_EQ(recovery_.get()->used(), 0U);
    EXPECT_EQ(log_.get()->used(), 0U);
    EXPECT_EQ(reassembly_.get()->used(), 0U);
    EXPECT_EQ(ranges_.get()->used(), 0U);
    EXPECT_EQ(queues_.get()->used(), 0U);
    EXPECT_EQ(pieces_.get()->used(), 0U);
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
  HeapPool<tcp::Recovery> recovery_;
  HeapPool<tcp::TxLogBlock> log_;
  HeapPool<tcp::Reassembly> reassembly_;
  HeapPool<tcp::ReassemblyRange> ranges_;
  HeapPool<tcp::SendQueue> queues_;
  HeapPool<tcp::PieceBlock> pieces_;

 public:
  tcp::Env env;
};

} // namespace tern::test
