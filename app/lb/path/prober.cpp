#include "app/lb/path/prober.hpp"

#include <algorithm>

#include "app/lb/guard/proxy_protocol.hpp"

namespace tern::app::lb {

std::string_view name_of(Because b) {
  static constexpr std::string_view names[] = {"not checked yet",
                                               "check passed",
                                               "connection refused",
                                               "unreachable",
                                               "no answer in time",
                                               "connection ended before the answer",
                                               "unexpected HTTP status",
                                               "answer is not HTTP",
                                               "clients' connections failed",
                                               "tried again"};
  return names[static_cast<std::size_t>(b)];
}

Prober::Prober(Backends& backends, Dials& dials, LbCounters& counters, std::uint64_t seed)
    : backends_(backends), dials_(dials), counters_(counters), random_(seed | 1) {}

void Prober::publish(std::shared_ptr<const Plan> plan) {
  plan_ = std::move(plan);
  if (targets_.size() < plan_->backends.size()) targets_.resize(plan_->backends.size());
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    const bool used =
        i < plan_->backends.size() && plan_->backends[i].service != Plan::none && !plan_->backends[i].gone;
    Target& t = targets_[i];
    const bool same = used && t.holder == plan_->backends[i].serial;
    if (!same) {
      t.connection.abort();
      t = Target{.serial = static_cast<std::uint16_t>(t.serial + 1)};
      if (!used) continue;
      t.holder = plan_->backends[i].serial;
      t.service = plan_->backends[i].service;
      t.remote = plan_->backends[i].config.address;
    }
    const CheckConfig& c = config_of(t).check;
    t.request = "GET " + c.path + " HTTP/1.1\r\nHost: " + (c.host.empty() ? t.remote.to_string() : c.host) +
                "\r\nUser-Agent: tern\r\nConnection: close\r\n\r\n";
    // The interval may be shorter now.
    const bool waits = t.phase == Target::Phase::waiting || t.phase == Target::Phase::told;
    if (same && waits && c.kind != CheckKind::none && core_ != nullptr)
      t.due = std::min(t.due, core_->now() + spread(c));
  }
}

void Prober::end() {
  for (Target& t : targets_) t.connection.abort();
  targets_.clear();
}

void Prober::tick(Instant now, bool starved) {
  if (starved) starved_ = now;
  constexpr std::size_t a_tick = 64; // so 2,048 backends are looked at every 32 ms
  for (std::size_t n = std::min(a_tick, targets_.size()); n != 0; --n) {
    if (next_ >= targets_.size()) next_ = 0;
    const auto slot = static_cast<Slot>(next_++);
    if (targets_[slot].service != Plan::none) look(slot, targets_[slot], now);
  }
}

void Prober::look(Slot slot, Target& t, Instant now) {
  const CheckConfig& c = config_of(t).check;
  if (t.phase == Target::Phase::opening || t.phase == Target::Phase::asked) {
    if (now < t.due) return;
    missed(slot, t, Because::silent);
    return t.connection.abort();
  }
  if (c.kind == CheckKind::none) {
    const bool out = !backends_.up(slot);
    if (out && !t.left_alone) t.due = now + leave_alone;
    t.left_alone = out;
    if (out && now >= t.due) backends_.set_up(slot, true, Because::tried_again);
    return;
  }
  if (backends_.admin(slot) == Admin::maintain) { // whatever is done to it, the next check begins anew
    t.known = false;
    t.good = t.bad = 0;
    return;
  }
  if (now < t.due) return;
  t.connection.abort(); // the last one's, if its end is still not told
  t.begun = now;
  t.due = now + c.timeout;
  begin(slot, t);
}

void Prober::begin(Slot slot, Target& t) {
  ++t.serial;
  t.got = 0;
  t.phase = Target::Phase::opening;
  const Connecting made = dials_.connect(*core_, slot, mark | std::uint64_t{t.serial} << 32 | slot);
  if (made) {
    t.connection = made.connection;
    return;
  }
  if (made.error == ConnectError::no_record || made.error == ConnectError::no_port) return skip(t);
  verdict(slot, t, false, Because::unreachable);
  t.phase = Target::Phase::waiting;
}

// What we lack is no fault of the backend's. Whatever is still heard of this check is not listened to.
void Prober::skip(Target& t) {
  counters_.add(Count::checks_skipped);
  ++t.serial;
  t.phase = Target::Phase::waiting;
  t.due = core_->now() + spread(config_of(t).check);
}

// ± the jitter, so that checks do not march in step.
Duration Prober::spread(const CheckConfig& c) {
  random_ ^= random_ << 13, random_ ^= random_ >> 7, random_ ^= random_ << 17;
  const double share = static_cast<double>(random_ >> 11) * 0x1p-53; // 0 to 1
  const double factor = 1 + c.jitter * (2 * share - 1);
  return Duration::ns(static_cast<std::int64_t>(static_cast<double>(c.interval.as_ns()) * factor));
}

void Prober::missed(Slot slot, Target& t, Because why) {
  if (starved_ >= t.begun) return skip(t);
  verdict(slot, t, false, why);
}

void Prober::verdict(Slot slot, Target& t, bool passed, Because why) {
  const CheckConfig& c = config_of(t).check;
  counters_.add(passed ? Count::checks_passed : Count::checks_failed);
  t.phase = Target::Phase::told;
  t.due = core_->now() + spread(c);
  if (t.was_up && !backends_.up(slot))
    t.good = 0; // clients found it down: what it was good for before tells nothing
  t.good = passed ? t.good + 1 : 0;
  t.bad = passed ? 0 : t.bad + 1;
  const bool first = !std::exchange(t.known, true);
  if (passed && (first || t.good >= c.rise)) backends_.set_up(slot, true, why);
  if (!passed && (first || t.bad >= c.fall)) backends_.set_up(slot, false, why);
  t.was_up = backends_.up(slot);
}

Prober::Target* Prober::of(std::uint64_t word) {
  Target& t = targets_[static_cast<Slot>(word)];
  return t.serial == static_cast<std::uint16_t>(word >> 32) ? &t : nullptr;
}

void Prober::connected(Connection c, std::uint64_t word) {
  Target* const t = of(word);
  if (t == nullptr || t->phase != Target::Phase::opening) return c.abort();
  const auto slot = static_cast<Slot>(word);
  const ServiceConfig& s = config_of(*t);
  if (s.check.kind ==
      CheckKind::tcp) { // that it could be opened is all; RST leaves no TIME-WAIT on either end
    verdict(slot, *t, true, Because::check_passed);
    return c.abort();
  }
  ProxyHeader room;
  std::span<const std::byte> header;
  if (s.send_proxy != ProxyProtocol::none) header = proxy_header_local(s.send_proxy, room);
  if (c.send(header) != header.size() || c.send(std::string_view{t->request}) != t->request.size()) {
    skip(*t);
    return c.abort();
  }
  t->phase = Target::Phase::asked;
}

void Prober::data(Connection c, std::uint64_t word, Payload& p) {
  Target* const t = of(word);
  if (t == nullptr || t->phase != Target::Phase::asked) return p.drop_all();
  while (!p.empty() && t->got < status_line) {
    const auto piece = p.front();
    const std::size_t n = std::min(piece.size(), status_line - t->got);
    std::memcpy(t->line.data() + t->got, piece.data(), n);
    t->got = static_cast<std::uint8_t>(t->got + n);
    p.drop(static_cast<std::uint32_t>(n));
  }
  p.drop_all();
  if (t->got < status_line) return;
  const std::string_view line(t->line.data(), status_line);
  const auto digit = [&](std::size_t i) { return line[i] >= '0' && line[i] <= '9'; };
  const bool http = line.starts_with("HTTP/1.") && line[8] == ' ' && digit(9) && digit(10) && digit(11);
  const int status = http ? (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0') : 0;
  const StatusRange& wanted = config_of(*t).check.status;
  const bool passed = http && status >= wanted.first && status <= wanted.last;
  verdict(static_cast<Slot>(word), *t, passed,
          passed ? Because::check_passed : (http ? Because::bad_status : Because::not_http));
  c.drain();
}

void Prober::closed(std::uint64_t word, CloseReason why) {
  Target* const t = of(word);
  if (t == nullptr) return;
  if (t->phase != Target::Phase::told) {
    const auto slot = static_cast<Slot>(word);
    const bool opening = t->phase == Target::Phase::opening;
    if (opening && why == CloseReason::Refused)
      verdict(slot, *t, false, Because::refused);
    else if (opening && why == CloseReason::Unreachable)
      verdict(slot, *t, false, Because::unreachable);
    else
      missed(slot, *t, t->phase == Target::Phase::asked ? Because::ended : Because::silent);
  }
  t->phase = Target::Phase::waiting;
}

} // namespace tern::app::lb
