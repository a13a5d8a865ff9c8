#include "speaker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace tern::campaign {
namespace {

bool is_pattern(const Payload& p, std::uint32_t stream, std::uint64_t from) {
  std::vector<std::byte> bytes(p.size());
  (void)p.peek(bytes);
  for (std::size_t at = 0; at < bytes.size(); at += pattern_most) {
    const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size() - at, pattern_most));
    if (std::memcmp(bytes.data() + at, pattern(stream, from + at, n).data(), n) != 0) return false;
  }
  return true;
}

} // namespace

Talk* Speaker::talk_of(Connection c, unsigned& end) {
  const std::uint64_t w = c.user();
  if (w == 0) return nullptr;
  end = (w - 1) & 1;
  return &stage_.talks[(w - 1) / 2];
}

void Speaker::on_accept(Connection c) {
  const Endpoint from = c.remote();
  const auto at = stage_.by_client.find({from.ip.v4().host(), from.port.raw()});
  if (at == stage_.by_client.end() || stage_.talks[at->second].ends[1].open) {
    ++stage_.ghosts; // a cookie's ACK that came twice
    return c.abort();
  }
  c.set_user(word(at->second, 1));
  opened(c);
}

void Speaker::opened(Connection c) {
  unsigned end = 0;
  Talk* t = talk_of(c, end);
  if (t == nullptr) return stage_.say("opened, and nobody knows it");
  if (t->ends[end].open) stage_.say("opened twice");
  t->ends[end].open = true;
  speak(c);
}

std::uint32_t Speaker::write_once(Connection c, std::uint32_t stream, std::uint64_t from, std::uint32_t n) {
  const auto bytes = pattern(stream, from, n);
  switch (random_.below(3)) {
    case 0:
      return c.send(bytes);
    case 1:
      return c.send(StaticBytes{bytes});
    default:
      break;
  }
  Packet p = stage_.packets.alloc();
  if (!p || !p.append_copy(bytes, stage_.packets)) return 0;
  Payload payload{std::move(p)};
  const std::uint32_t taken = c.send(payload);
  if (taken + payload.size() != n)
    stage_.say(fmt::format("send took {} of {} and left {}", taken, n, payload.size()));
  return taken;
}

void Speaker::speak(Connection c) {
  unsigned end = 0;
  Talk* t = talk_of(c, end);
  if (t == nullptr) return;
  Side& e = t->ends[end];
  while (!e.parted && e.written < e.total) {
    const auto n = static_cast<std::uint32_t>(
        std::min<std::uint64_t>({random_.between(1, e.write_most), e.total - e.written, pattern_most}));
    const std::uint32_t taken = write_once(c, t->stream + end, e.written, n);
    if (taken > n) stage_.say("send took more than there was");
    e.written += taken;
    if (taken < n) return later(c); // on_writable comes; the clock is for those who found no packet
  }
  maybe_part(c, e);
}

void Speaker::later(Connection c) {
  stage_.net.after(Duration::ms(200), [this, c] {
    if (!c.alive()) return;
    speak(c);
    host_->turn();
  });
}

void Speaker::maybe_part(Connection c, Side& e) {
  if (e.parted || e.written < e.total) return;
  if (e.parting == Parting::CloseAfterPeer && !e.eof) return;
  e.parted = true;
  switch (e.parting) {
    case Parting::CloseAtOnce:
    case Parting::CloseAfterPeer:
      return c.close();
    case Parting::Drain:
      return c.drain();
    case Parting::Release:
      return c.release();
    case Parting::Abort:
      return c.abort();
  }
}

void Speaker::on_data(Connection c, Payload& p) {
  unsigned end = 0;
  Talk* t = talk_of(c, end);
  if (t == nullptr) return p.drop_all();
  Side& e = t->ends[end];
  if (e.over || e.eof) stage_.say("text after the end");
  if (e.parted && e.parting >= Parting::Drain) stage_.say("text after it was let go");
  if (!is_pattern(p, t->stream + 1 - end, e.read)) stage_.say(fmt::format("wrong byte near {}", e.read));
  std::uint32_t take = p.size();
  const bool last_chance = c.state() == tcp::State::TimeWait || c.state() == tcp::State::Closed;
  if (e.pauses && !last_chance && random_.chance(0.05)) { // some now, the rest when it pleases
    take = static_cast<std::uint32_t>(random_.below(take + 1));
    c.pause_reading();
    stage_.net.after(Duration::ms(static_cast<std::int64_t>(random_.between(1, 2000))), [this, c]() mutable {
      if (!c.alive()) return;
      c.resume_reading();
      host_->turn();
    });
  }
  e.read += take;
  p.drop(take);
}

void Speaker::on_peer_closed(Connection c) {
  unsigned end = 0;
  Talk* t = talk_of(c, end);
  if (t == nullptr) return;
  Side& e = t->ends[end];
  if (e.eof) stage_.say("the peer closed twice");
  if (e.parted && e.parting >= Parting::Drain) stage_.say("called after it was let go");
  e.eof = true;
  maybe_part(c, e);
}

void Speaker::on_closed(Connection c, CloseReason why) {
  unsigned end = 0;
  Talk* t = talk_of(c, end);
  if (t == nullptr) return;
  Side& e = t->ends[end];
  if (e.over) stage_.say("closed twice");
  e.over = true;
  e.reason = why;
}

} // namespace tern::campaign
