#include "guest.hpp"

#include <algorithm>
#include <cstring>

namespace tern::campaign {

Guest& Crowd::expect(Connection c) {
  guests_.push_back(std::make_unique<Guest>());
  c.set_user(guests_.size());
  return *guests_.back();
}

void Crowd::speak(Connection c) {
  Guest* const g = of(c);
  if (g == nullptr || c.state() == tcp::State::SynSent) return;
  while (!g->parted && g->said < g->out.size()) {
    const std::size_t n = std::min<std::size_t>(g->out.size() - g->said, random_.between(1, 30'000));
    const std::uint32_t taken = c.send(std::string_view{g->out}.substr(g->said, n));
    g->said += taken;
    if (taken == n) continue;
    // on_writable comes; the clock is for those who found no packet.
    net_.after(Duration::ms(200), [this, c] {
      if (!c.alive()) return;
      speak(c);
      host_->turn();
    });
    return;
  }
  maybe_part(c, *g);
}

void Crowd::maybe_part(Connection c, Guest& g) {
  if (g.parted || !g.known) return;
  if (g.said + g.in.size() >= g.abort_after) {
    g.parted = true;
    return c.abort();
  }
  if (g.said != g.out.size() || (g.waits && !g.peer_closed)) return;
  g.parted = true;
  c.close();
}

void Crowd::on_data(Connection c, Payload& p) {
  Guest* const g = of(c);
  if (g == nullptr) return p.drop_all();
  if (g->peer_closed || g->over) complain("text after the end");
  const bool last_chance = c.state() == tcp::State::TimeWait || c.state() == tcp::State::Closed;
  if (!last_chance && random_.chance(pausing)) {
    c.pause_reading();
    net_.after(Duration::ms(static_cast<std::int64_t>(random_.between(1, 2000))), [this, c]() mutable {
      if (!c.alive()) return;
      c.resume_reading();
      host_->turn();
    });
    return;
  }
  const std::size_t before = g->in.size();
  g->in.resize(before + p.size());
  (void)p.peek(std::as_writable_bytes(std::span{g->in}).subspan(before));
  p.drop_all();
  if (!g->known && g->in.size() >= 4) {
    std::memcpy(&g->number, g->in.data(), 4);
    g->known = true;
    introduce(*g);
    return speak(c);
  }
  maybe_part(c, *g);
}

void Crowd::on_peer_closed(Connection c) {
  Guest* const g = of(c);
  if (g == nullptr) return c.abort();
  if (g->peer_closed) complain("the peer closed twice");
  g->peer_closed = true;
  if (!g->known) return c.abort(); // it never said who it was
  maybe_part(c, *g);
}

void Crowd::on_closed(Connection c, CloseReason why) {
  Guest* const g = of(c);
  if (g == nullptr) return;
  if (g->over) complain("closed twice");
  g->over = true;
  g->why = why;
}

} // namespace tern::campaign
