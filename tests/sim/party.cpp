#include "party.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace tern::campaign {
namespace {

constexpr std::uint32_t period = 65'521; // prime: a shift by any power of two shows

const std::array<std::byte, period + pattern_most>& text() {
  static const auto made = [] {
    std::array<std::byte, period + pattern_most> a{};
    sim::Random r{0x7465'7874};
    for (std::size_t i = 0; i < period; ++i) a[i] = static_cast<std::byte>(r.next());
    for (std::size_t i = period; i < a.size(); ++i) a[i] = a[i - period];
    return a;
  }();
  return made;
}

} // namespace

std::span<const std::byte> pattern(std::uint32_t stream, std::uint64_t offset, std::uint32_t length) {
  return std::span{text()}.subspan((stream * 4099ULL + offset) % period, length);
}

void Party::established(EngineHost& h, ConnId id) {
  if (established_) say("established twice");
  host_ = &h;
  id_ = id;
  established_ = true;
  write();
}

void Party::writable(EngineHost&, ConnId id) {
  if (!mine(id)) return say("writable after the end");
  write();
}

std::uint32_t Party::write_once(std::uint32_t n) {
  const std::span<const std::byte> bytes = pattern(own_, written_, n);
  const int kind = plan_.write_kind == 3 ? static_cast<int>(random_.below(3)) : plan_.write_kind;
  if (kind == 1) return host_->send_static(id_, bytes);
  if (kind == 0) return host_->send(id_, bytes);
  Packet p = packets_.alloc();
  if (!p || !p.append_copy(bytes, packets_)) return 0;
  const std::uint32_t taken = host_->send_packet(id_, p);
  const std::uint32_t left = p ? p.length() : 0;
  if (taken + left != n) say(fmt::format("send took {} of {} and left {}", taken, n, left));
  return taken;
}

void Party::write() {
  if (writing_ || thinking_ || !established_ || ended_ || over_) return;
  writing_ = true;
  while (!over_ && !ended_ && written_ < plan_.total) {
    const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(
        {random_.between(1, plan_.write_most), plan_.total - written_, pattern_most}));
    const std::uint32_t taken = write_once(n);
    if (taken > n) say("send took more than there was");
    written_ += taken;
    strike();
    if (over_ || ended_) break;
    if (taken < n || plan_.think > Duration{}) {
      // Whoever was cut short is called when there is room; the clock is for those who ran out of packets.
      thinking_ = true;
      const Duration wait = taken < n ? Duration::ms(50) : plan_.think;
      net_.after(wait, [this, id = id_] {
        thinking_ = false;
        if (mine(id)) write();
      });
      break;
    }
  }
  writing_ = false;
  if (!over_) maybe_end();
}

void Party::maybe_end() {
  if (ended_ || !established_ || written_ < plan_.total) return;
  if (plan_.wait_for_eof && !eof_) return;
  ended_ = true;
  host_->close(id_);
}

void Party::strike() {
  if (over_ || struck_ || written_ + read_ < plan_.end_after) return;
  struck_ = ended_ = true;
  if (plan_.end != End::Drain) held_.clear();
  if (plan_.end == End::Abort)
    host_->abort(id_);
  else if (plan_.end == End::Release)
    host_->orphan(id_);
  else if (plan_.end == End::Drain)
    host_->orphan(id_, tcp::Farewell::Drain);
  else
    host_->close(id_);
}

void Party::data(EngineHost& h, ConnId id, Packet p) {
  if (over_) return say("text after the end");
  if (id != id_) return say("text of another connection");
  if (eof_) return say("text after the peer's FIN");
  std::array<std::byte, 2048> bytes;
  for (std::uint32_t at = 0; at < p.length(); at += sizeof bytes) {
    const std::uint32_t n = p.copy_out(at, bytes);
    const auto expected = pattern(theirs_, read_ + at, n);
    if (std::memcmp(bytes.data(), expected.data(), n) != 0)
      return say(fmt::format("wrong byte near {}", read_ + at));
  }
  const std::uint32_t n = p.length();
  read_ += n;
  if (plan_.read_delay <= Duration{}) {
    p.reset();
    h.release_received(id, n);
  } else {
    held_.push_back(std::move(p));
    net_.after(plan_.read_delay, [this, which = id_] {
      if (mine(which)) let_go();
    });
  }
  strike();
  if (over_ || !plan_.pauses || paused_ || !random_.chance(0.02)) return;
  paused_ = true;
  h.pause_reading(id);
  net_.after(Duration::ms(static_cast<std::int64_t>(random_.between(1, 3000))), [this, which = id_] {
    paused_ = false;
    if (mine(which)) host_->resume_reading(which);
  });
}

void Party::let_go() {
  if (held_.empty()) return;
  const std::uint32_t n = held_.front().length();
  held_.pop_front();
  host_->release_received(id_, n);
}

void Party::peer_closed(EngineHost&, ConnId id) {
  if (!mine(id)) return say("peer_closed after the end");
  if (eof_) say("peer_closed twice");
  eof_ = true;
  maybe_end();
}

void Party::closed(EngineHost&, ConnId id, tcp::CloseReason why) {
  if (over_) return say("closed twice");
  if (id_ != 0 && id != id_) return say("closed for another connection");
  over_ = true;
  reason_ = why;
  held_.clear();
}

void Party::give_up() {
  if (over_ || host_ == nullptr) return;
  gave_up_ = true;
  held_.clear();
  host_->abort(id_);
}

} // namespace tern::campaign
