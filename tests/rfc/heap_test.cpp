// No heap: two engines open, exchange megabytes over a path that loses and reorders, and close, while every `new` of
// this program is counted.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <deque>
#include <new>
#include <span>

#include "support/eal.hpp"
#include "tcp/engine.hpp"
#include "tcp/side_memory.hpp"
#include "wire/tcp_inl.hpp"

namespace {
bool counting = false;
std::size_t allocations = 0;

void* allocate(std::size_t n, std::size_t alignment) {
  if (counting) ++allocations;
  void* const p = std::aligned_alloc(alignment, (n + alignment - 1) / alignment * alignment);
  return p != nullptr ? p : throw std::bad_alloc{};
}
constexpr std::size_t usual = alignof(std::max_align_t);
} // namespace

void* operator new(std::size_t n) {
  return allocate(n, usual);
}
void* operator new[](std::size_t n) {
  return allocate(n, usual);
}
void* operator new(std::size_t n, std::align_val_t a) {
  return allocate(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a) {
  return allocate(n, static_cast<std::size_t>(a));
}
void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  if (counting) ++allocations;
  return std::malloc(n);
}
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept {
  if (counting) ++allocations;
  return std::malloc(n);
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete[](void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::size_t) noexcept {
  std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete(void* p, const std::nothrow_t&) noexcept {
  std::free(p);
}
void operator delete[](void* p, const std::nothrow_t&) noexcept {
  std::free(p);
}

namespace tern::tcp {
namespace {

// What runs inside is the engine's.
template <class Call>
void engine(Call&& call) {
  counting = true;
  call();
  counting = false;
}

constexpr std::uint32_t total = 2'000'000;

struct End {
  explicit End(PacketPool p) : env{settings, counters, p, memory.pools()} {}
  Settings settings;
  TcpCounters counters;
  SideMemory memory{SideCounts::for_busy(64)};
  Env env;
  Tcb tcb;
  std::deque<Packet> arriving;
  std::uint32_t sent = 0, received = 0;
  std::uint32_t emitted = 0; // segments
  bool closed = false;
};

void arrive(End& e, Packet p, Instant now) {
  Outcome out;
  engine([&] {
    wire::Tcp h;
    ASSERT_EQ(wire::parse_tcp(p.bytes(), h), wire::Verdict::ok);
    const std::uint32_t text = p.length() - h.header_length;
    p.trim_front(h.header_length);
    segment_arrives(e.env, e.tcb, {.h = h, .payload = text != 0 ? &p : nullptr, .text = text}, now, out);
    if (!out.has(event_data)) return;
    const std::uint32_t n = out.data.length();
    out.data.clear();
    e.received += n;
    release_received(e.env, e.tcb, n, out);
  });
}

void talk(End& e, Instant now) {
  static const std::array<std::byte, 8192> bytes{};
  engine([&] {
    Outcome out;
    timer_fires(e.env, e.tcb, now, out);
    while (e.sent < total) {
      const auto piece = std::span{bytes}.first(std::min<std::size_t>(bytes.size(), total - e.sent));
      const std::uint32_t n = (e.sent / 50'000) % 2 == 0 ? send_static(e.env, e.tcb, piece, now)
                                                         : send_copy(e.env, e.tcb, piece, now);
      e.sent += n;
      if (n < piece.size()) break;
    }
    if (e.sent == total && !e.closed) e.closed = true, close(e.env, e.tcb, now, out);
  });
}

void emit(End& from, End& to, Instant now) {
  TxBurst burst;
  for (bool more = true; more;) {
    engine([&] { more = output(from.env, from.tcb, now, burst); });
    if (burst.size() == 0) break;
    for (std::size_t i = 0; i < burst.size(); ++i) {
      const std::uint32_t n = ++from.emitted;
      if (n % 41 == 7) continue; // lost
      if (n % 29 == 3 && !to.arriving.empty())
        to.arriving.push_front(std::move(burst[i])); // overtakes
      else
        to.arriving.push_back(std::move(burst[i]));
    }
    burst.clear();
  }
}

TEST(Heap, IsNotAskedForAnythingWhateverHappensToASegment) {
  test::TestPool pool{8191};
  {
    End a{pool.pool()}, b{pool.pool()};
    Instant now = Instant{} + Duration::seconds(100);
    engine([&] {
      open_active(a.env, a.tcb, Seq{0xffff'fff0}, 1, 1460, 536, now);
      open_active(b.env, b.tcb, Seq{0xffff'ff00}, 2, 1460, 536, now);
    });
    const auto done = [](const End& e) {
      return e.tcb.state == State::TimeWait || e.tcb.state == State::Closed;
    };
    for (int ms = 0; ms < 300'000 && !(done(a) && done(b)); ++ms) {
      now = now + Duration::ms(1);
      for (auto [e, other] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
        std::deque<Packet> here;
        here.swap(e->arriving);
        for (Packet& p : here) arrive(*e, std::move(p), now);
        talk(*e, now);
        emit(*e, *other, now);
      }
    }
    for (End* e : {&a, &b}) {
      EXPECT_EQ(e->received, total);
      EXPECT_GT(e->emitted, 1000u);
      EXPECT_GT(e->counters.get(Counter::out_of_order_in), 0u);
      EXPECT_GT(e->counters.get(Counter::retransmit_fast), 0u);
      engine([&] { release(e->env, e->tcb); });
    }
    EXPECT_EQ(allocations, 0u);
    engine([] {
      int* volatile some = new int;
      delete some;
    });
    EXPECT_EQ(allocations, 1u); // they are counted
  }
  EXPECT_EQ(pool.used(), 0u);
}

} // namespace
} // namespace tern::tcp
