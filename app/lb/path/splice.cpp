#include "app/lb/path/splice.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "app/lb/guard/proxy_protocol.hpp"

namespace tern::app::lb {
namespace {

// A leg whose other one is gone may deliver what it was given before it is reset, but not for ever: where timeouts say
// nothing of a pair that has half ended, this.
constexpr Duration parting_patience = Duration::seconds(60);

// Of the records that a tick looks at, and the pairs that it resets for want of packets: each gives back dozens.
constexpr std::uint32_t looks_a_tick = 1024;
constexpr std::uint32_t watched_a_tick = 128; // by a new plan's patience, for which there is no hurry
constexpr std::uint32_t shed_a_tick = 16;

// The connections' user word: never 0, which is a connection that was turned away.
constexpr std::uint64_t in_pair = 1ULL << 63;
constexpr std::uint64_t is_backend = 1ULL << 32;

constexpr Side side_of(std::uint64_t word) {
  return (word & is_backend) != 0 ? Side::backend : Side::client;
}
constexpr std::size_t at(Side s) {
  return static_cast<std::size_t>(s);
}
constexpr std::uint8_t end_came = 1;
constexpr std::uint8_t end_passed_on = 2;

// Whether pairs that are there have timeouts that they had not.
bool other_patience(const Plan& before, const Plan& now) {
  for (std::size_t i = 0; i < std::min(before.services.size(), now.services.size()); ++i) {
    const TimeoutConfig& was = before.services[i].config.timeouts;
    const TimeoutConfig& is = now.services[i].config.timeouts;
    if (was.idle != is.idle || was.half_closed != is.half_closed) return true;
  }
  return false;
}

} // namespace

Splice::Splice(Shared& shared, std::shared_ptr<const Plan> plan, std::uint32_t pairs, bool checks,
               const std::string& who)
    : shared_(shared),
      purse_(shared.bank),
      service_purse_(shared.service_bank),
      pair_memory_(process_arena().take({who + " proxied pairs", pairs, sizeof(Pair)})),
      wheel_memory_(process_arena().take({who + " proxied pairs' timers", 1, sizeof(Wheel::Heads)})),
      standing_memory_(
          process_arena().take({who + " proxied pairs' pace, for want of packets", pairs, sizeof(Standing)})),
      pairs_(pair_memory_.data(), pairs),
      standing_(static_cast<Standing*>(standing_memory_.data()), pairs) {
  std::uninitialized_value_construct_n(standing_.data(), pairs);
  if (checks) prober_.emplace(shared.backends, dials_, counters_, std::uint64_t{0x9e37'79b9'7f4a'7c15});
  publish(std::move(plan));
}

void Splice::publish(std::shared_ptr<const Plan> plan) {
  const std::shared_ptr<const Plan> before = std::exchange(plan_, std::move(plan));
  if (before != nullptr && other_patience(*before, *plan_)) next_to_watch_ = 0;
  turns_.resize(std::max(turns_.size(), plan_->services.size()));
  of_service_.resize(turns_.size());
  by_load_ = false;
  for (std::size_t i = 0; i < plan_->services.size(); ++i) {
    const Plan::Service& s = plan_->services[i];
    if (of_service_[i].serial != s.serial) of_service_[i] = {.serial = s.serial};
    by_load_ = by_load_ || s.config.balance == Balance::least_connections;
  }
  slot_counts_.resize(std::max(slot_counts_.size(), plan_->backends.size()));
  others_.resize(slot_counts_.size());
  for (std::size_t i = 0; i < plan_->backends.size(); ++i) {
    const Plan::Backend& b = plan_->backends[i];
    dials_.point(static_cast<Slot>(i), b.config.address);
    if (slot_counts_[i].serial != b.serial) slot_counts_[i] = {.serial = b.serial};
  }
  if (prober_) prober_->publish(plan_);
}

std::uint64_t Splice::word_of(const Pair& p, Side s) const {
  return in_pair | (s == Side::backend ? is_backend : 0) | pairs_.index_of(&p);
}
Pair& Splice::pair_of(std::uint64_t word) const {
  return *pairs_.at(static_cast<std::uint32_t>(word));
}

Pair* Splice::pair_told_by(const ConnectionRecord& r) const {
  if (!r.has(ConnectionRecord::in_use) || (r.user & in_pair) == 0) return nullptr;
  Pair& p = pair_of(r.user);
  return side_of(r.user) == Side::client || p.client_open == 0 ? &p : nullptr;
}

void Splice::on_start(CoreHandle& core) {
  core_ = &core;
  wheel_.emplace(static_cast<Wheel::Heads*>(wheel_memory_.data()), core.now().ms32());
  if (prober_) prober_->start(core);
}

void Splice::on_drain() {
  if (prober_) prober_->end();
  prober_.reset();
}

// ---- Opening

// Whether a client may come in; `accepted` if so.
Count Splice::admit(Connection c, std::uint16_t service, SourceTicket& ticket) {
  const Plan::Service& s = plan_->services[service];
  const Endpoint client = c.remote();
  if (!s.open_to_all && !s.access.allows(client.ip)) return Count::ended_denied;
  if (!s.config.source.any()) return Count::accepted;
  const SourceVerdict v = shared_.sources.admit(service, client.ip, s.config.source, core_->now(), ticket);
  const bool in = v == SourceVerdict::admitted || v == SourceVerdict::uncounted;
  return in ? Count::accepted : Count::ended_source;
}

void Splice::on_accept(Connection c) {
  count(Count::accepted);
  const std::uint16_t service = plan_->service_of_listener[c.listener()];
  // SYNs went unanswered once it was full; this one was on its way, or another core was quicker.
  if (!service_purse_.take(service)) {
    set_full(service, true);
    count(Count::ended_full);
    return c.abort();
  }
  SourceTicket ticket;
  if (const Count refused = admit(c, service, ticket); refused != Count::accepted) {
    leave_service(service);
    count(refused);
    return c.abort();
  }
  Pair* const p = pairs_.take();
  if (p == nullptr) {
    shared_.sources.release(ticket);
    leave_service(service);
    count(Count::ended_no_memory);
    return c.abort();
  }
  if (!service_purse_.has(service)) set_full(service, true);
  ++of_service_[service].accepted;
  p->client = c;
  p->service = service;
  p->ticket = ticket;
  p->moved_ms = core_->now().ms32();
  c.set_user(word_of(*p, Side::client));
  open_backend(*p);
}

Slot Splice::choose(Pair& p, const Plan::Service& s) {
  const auto open = [&](Slot slot) {
    return shared_.backends.takes_new(slot) && slot != p.tried[0] && slot != p.tried[1] && purse_.has(slot);
  };
  const auto load = [&](Slot slot) { return purse_.open(slot) + others_[slot]; };
  const std::uint64_t hash = hash_for(s.config.balance, s.key, p.client.remote());
  std::uint32_t& turn = turns_[p.service];
  const Slot slot = s.primary.pick(turn, hash, open, load);
  return slot != no_slot ? slot : s.backup.pick(turn, hash, open, load);
}

// The next backend; without one the client is reset.
void Splice::open_backend(Pair& p) {
  const Plan::Service& s = service_of(p);
  std::optional<Count> ours; // what we lacked ourselves
  while (p.tries < s.config.tries) {
    const Slot slot = choose(p, s);
    if (slot == no_slot) break;
    ++p.tries;
    p.tried[1] = std::exchange(p.tried[0], slot);
    if (!purse_.take(slot)) continue; // another core was quicker
    count(Count::connect_tried);
    ++slot_counts_[slot].tried;
    const Connecting made = dials_.connect(*core_, slot, word_of(p, Side::backend));
    if (!made) {
      purse_.give_back(slot);
      if (made.error == ConnectError::no_port) {
        count(Count::connect_no_port);
        ours = Count::ended_no_port;
      } else if (made.error == ConnectError::no_record) {
        ours = Count::ended_no_memory;
      } else { // nobody to hand packets for it to
        count(Count::connect_no_route);
        ++slot_counts_[slot].failed;
        shared_.backends.failed(slot, s.config.check.fall, Because::unreachable);
      }
      continue;
    }
    p.slot = slot;
    p.credited = 1;
    p.backend = made.connection;
    p.backend_open = 1;
    return arm(p, s.config.timeouts.connect);
  }
  end(p, ours ? *ours : why_none(s));
  p.client.abort();
}

Count Splice::why_none(const Plan::Service& s) const {
  const bool some_up =
      std::ranges::any_of(s.slots, [&](Slot slot) { return shared_.backends.takes_new(slot); });
  const bool all_full = some_up && std::ranges::none_of(s.slots, [&](Slot slot) {
                          return shared_.backends.takes_new(slot) && purse_.has(slot);
                        });
  return all_full ? Count::ended_full : Count::ended_no_backend;
}

void Splice::on_connected(Connection c) {
  const std::uint64_t word = c.user();
  if ((word & in_pair) == 0) return prober_ ? prober_->connected(c, word) : c.abort();
  Pair& p = pair_of(word);
  const ProxyProtocol proxy = service_of(p).config.send_proxy;
  if (proxy != ProxyProtocol::none) {
    ProxyHeader room;
    const auto header = proxy_header(proxy, p.client.remote(), p.client.local(), room);
    if (c.send(header) != header.size()) { // without it the backend would take the client's text for it
      end(p, Count::ended_no_memory);
      c.abort();
      return p.client.abort();
    }
  }
  count(Count::connected);
  shared_.backends.connected(p.slot);
  ++slot_counts_[p.slot].connected;
  p.phase = Pair::Phase::open;
  pass_unread(p, Side::client);
  watch(p);
}

void Splice::backend_failed(Pair& p, CloseReason why) {
  const bool refused = why == CloseReason::Refused || why == CloseReason::Reset;
  const bool unreachable = why == CloseReason::Unreachable;
  count(refused       ? Count::connect_refused
        : unreachable ? Count::connect_unreachable
                      : Count::connect_timed_out);
  const ServiceConfig& s = service_of(p).config;
  // What came while packets were scarce may have been its answer.
  if (refused || unreachable || !shedding_.starved(core_->now(), s.timeouts.connect))
    shared_.backends.failed(p.slot, s.check.fall);
  ++slot_counts_[p.slot].failed;
  give_back_credit(p);
  open_backend(p);
}

// ---- Passing on

void Splice::on_data(Connection c, Payload& payload) {
  const std::uint64_t word = c.user();
  if ((word & in_pair) == 0) [[unlikely]]
    return word != 0 && prober_ ? prober_->data(c, word, payload) : payload.drop_all();
  Pair& p = pair_of(word);
  switch (p.phase) {
    case Pair::Phase::opening:
      return; // unread, and the window with it, until a backend is there
    case Pair::Phase::open:
      return pass_on(p, side_of(word), payload);
    case Pair::Phase::parting:
      return payload.drop_all();
    case Pair::Phase::finishing:
      return said_to_nobody(p, payload);
  }
}

void Splice::pass_on(Pair& p, Side from, Payload& payload) {
  const std::uint32_t n = p.leg(other(from)).forward(payload);
  count(from == Side::client ? Count::bytes_in : Count::bytes_out, n);
  p.moved_ms = core_->now().ms32();
}

void Splice::pass_unread(Pair& p, Side from) {
  const std::uint32_t n = p.leg(other(from)).forward_unread(p.leg(from));
  count(from == Side::client ? Count::bytes_in : Count::bytes_out, n);
  p.moved_ms = core_->now().ms32();
  pass_end(p, from);
}

// The end goes after the text before it.
void Splice::pass_end(Pair& p, Side from) {
  if (p.ended[at(from)] != end_came || p.phase != Pair::Phase::open || p.leg(from).unread() != 0) return;
  p.ended[at(from)] = end_passed_on;
  p.leg(other(from)).close();
}

void Splice::on_writable(Connection c) {
  const std::uint64_t word = c.user();
  if ((word & in_pair) == 0) return;
  Pair& p = pair_of(word);
  if (p.phase == Pair::Phase::open) pass_unread(p, other(side_of(word)));
}

void Splice::on_returned(Connection c, std::uint32_t bytes) {
  const std::uint64_t word = c.user();
  if ((word & in_pair) == 0) return;
  Pair& p = pair_of(word);
  p.moved_ms = core_->now().ms32();
  if (p.phase == Pair::Phase::parting) {
    if (c.unacknowledged() == 0) c.abort();
    return;
  }
  if (p.phase == Pair::Phase::finishing) return;
  Connection& source = p.leg(other(side_of(word)));
  if (c.unsent() == 0) source.widen();
  source.reopen(bytes);
}

void Splice::on_peer_closed(Connection c) {
  const std::uint64_t word = c.user();
  if ((word & in_pair) == 0) return c.abort(); // a check's: no more of its answer will come
  Pair& p = pair_of(word);
  p.ended[at(side_of(word))] = end_came;
  p.moved_ms = core_->now().ms32();
  pass_end(p, side_of(word));
  if (p.phase == Pair::Phase::open) watch(p);
}

// ---- The end

// Its client said all, and the backend has not taken it yet: the patience of watch() is what bounds that.
bool Splice::on_end_unread(Connection c) {
  const std::uint64_t word = c.user();
  if ((word & in_pair) == 0) return false;
  const Pair& p = pair_of(word);
  return p.phase == Pair::Phase::open && p.client_open != 0 && p.backend_open != 0;
}

// Why the pair ended: told once.
void Splice::end(Pair& p, Count why) {
  if (p.counted == 0) count(why);
  p.counted = 1;
}

void Splice::on_closed(Connection c, CloseReason why) {
  const std::uint64_t word = c.user();
  if ((word & in_pair) == 0) [[unlikely]]
    return word != 0 && prober_ ? prober_->closed(word, why) : void();
  Pair& p = pair_of(word);
  const Side side = side_of(word);
  if (side == Side::client)
    p.client_open = 0;
  else
    p.backend_open = 0;
  if (side == Side::backend && p.phase == Pair::Phase::opening && p.counted == 0) {
    if (p.client.alive()) return backend_failed(p, why);
    return give_back_credit(p); // its client's end, which is still to be told, says why
  }
  if (side == Side::backend) give_back_credit(p);
  // Whoever resets a pair here says why first; the end of the node's drain has no time for it.
  if (why == CloseReason::Aborted) end(p, Count::ended_killed);
  if (p.client_open == 0 && p.backend_open == 0) {
    if (p.phase == Pair::Phase::opening) end(p, Count::ended_client);
    return free(p);
  }
  // A leg that ended well has had its text and its end passed on, if only a moment ago; else there was no room for them,
  // and an end that looked like one would hide it.
  if (why == CloseReason::Done) pass_end(p, side);
  if (why == CloseReason::Done && p.ended[at(side)] == end_passed_on) return;
  end(p, side == Side::client ? Count::ended_client : Count::ended_backend);
  if (p.ended[at(side)] == end_passed_on && p.phase == Pair::Phase::open) return finish(p, other(side));
  part(p, other(side));
}

// One leg is gone before its time: the other is reset as soon as it has delivered what it was given.
void Splice::part(Pair& p, Side left) {
  Connection& c = p.leg(left);
  p.phase = Pair::Phase::parting;
  p.moved_ms = core_->now().ms32(); // patience begins here, however long nothing was said before
  if (c.unacknowledged() == 0 || c.state() == tcp::State::SynSent) return c.abort();
  watch_parting(p);
}

// One leg is gone, and had said all: the other gets that and its end, as it would have. What it still says itself is for
// nobody, and so is what of it was lent to the lost leg, which gives nothing back any more. A client's is thrown away, lest a
// reset takes from it what it has not read; it may hold its window shut for as long as any orphan may.
void Splice::finish(Pair& p, Side left) {
  p.phase = Pair::Phase::finishing;
  wheel_->cancel(p);
  Connection& c = p.leg(left);
  c.reopen(~0U);
  if (left == Side::client) return c.drain();
  p.moved_ms = core_->now().ms32();
  watch_parting(p);
  c.resume_reading(); // what the client had no room for
}

// By a backend whose client is gone. Once it has all of it, the end too, it is reset, as by any system whose program has
// closed: it would go on talking, and hold what its pair holds.
void Splice::said_to_nobody(Pair& p, Payload& payload) {
  payload.drop_all();
  if (p.backend.state() == tcp::State::FinWait2) p.backend.abort();
}

void Splice::give_back_credit(Pair& p) {
  if (p.credited != 0) purse_.give_back(p.slot);
  p.credited = 0;
}

void Splice::leave_service(std::uint16_t service) {
  service_purse_.give_back(service);
  if (!full_.empty()) [[unlikely]]
    set_full(service, !service_purse_.has(service));
}

// While a service is full its listeners here answer no SYN.
void Splice::set_full(std::uint16_t service, bool full) {
  if (const auto at = std::ranges::find(full_, service); full && at == full_.end())
    full_.push_back(service);
  else if (!full && at != full_.end())
    full_.erase(at);
  Listeners& all = core_->shard().listeners;
  const std::size_t n = std::min(all.size(), plan_->service_of_listener.size());
  for (std::size_t i = 0; i < n; ++i)
    if (plan_->service_of_listener[i] == service) all[static_cast<std::uint8_t>(i)].full = full;
}

void Splice::free(Pair& p) {
  end(p, Count::ended_done);
  shared_.sources.release(p.ticket);
  leave_service(p.service);
  wheel_->cancel(p);
  pairs_.give_back(&p);
}

void Splice::kill_all() {
  kill(no_slot);
}
void Splice::kill(Pair& p) {
  reset(p, Count::ended_killed);
}
void Splice::reset(Pair& p, Count why) {
  end(p, why);
  p.phase = Pair::Phase::parting;
  p.backend.abort();
  p.client.abort();
}
void Splice::kill(Slot slot) {
  Shard& shard = core_->shard();
  for (std::uint32_t i = 0; i < shard.connections.fresh(); ++i) {
    const ConnectionRecord& r = shard.connections.at(i);
    if (!r.has(ConnectionRecord::in_use) || (r.user & in_pair) == 0) continue;
    Pair& p = pair_of(r.user);
    if (slot != no_slot && p.slot != slot) continue;
    end(p, Count::ended_killed);
    p.phase = Pair::Phase::parting;
    shard.handle(r).abort();
  }
}

// ---- Time

void Splice::arm(Pair& p, Duration in) {
  const Tick due = (core_->now() + in).ms32();
  wheel_->arm(p, due);
}

Duration Splice::still_for(const Pair& p) const {
  return Duration::ms(core_->now().ms32() - p.moved_ms);
}

// The patience with a pair that is open, counted from its last movement; looked at lazily.
void Splice::watch(Pair& p) {
  const TimeoutConfig& t = service_of(p).config.timeouts;
  const bool half = p.ended[0] != 0 || p.ended[1] != 0;
  const Duration patience = half ? t.half_closed : t.idle;
  if (patience <= Duration{}) return;
  const Duration quiet = still_for(p);
  if (quiet < patience) return arm(p, patience - quiet);
  reset(p, Count::ended_idle);
}

// The same with the leg that is left.
void Splice::watch_parting(Pair& p) {
  const Duration half = service_of(p).config.timeouts.half_closed;
  const Duration patience = half > Duration{} ? half : parting_patience;
  const Duration quiet = still_for(p);
  if (quiet < patience) return arm(p, patience - quiet);
  p.client.abort();
  p.backend.abort();
}

void Splice::fire(Pair& p) {
  switch (p.phase) {
    case Pair::Phase::opening:
      return p.backend.abort(); // on_closed tries the next
    case Pair::Phase::open:
      return watch(p);
    case Pair::Phase::parting:
    case Pair::Phase::finishing:
      return watch_parting(p);
  }
}

void Splice::on_tick(Instant now) {
  wheel_->poll(now.ms32(), [this](Pair& p) { fire(p); });
  const tcp::Scarcity scarcity = core_->shard().env.scarcity;
  if (prober_) prober_->tick(now, Shedding::starves(scarcity));
  if (scarcity != tcp::Scarcity::none || shedding_.watches()) [[unlikely]]
    shed(now);
  if (next_to_watch_) [[unlikely]]
    watch_anew();
  settle();
}

// A plan's timeouts are for the pairs that are there, too.
void Splice::watch_anew() {
  next_to_watch_ = each_pair(*next_to_watch_, watched_a_tick, watched_a_tick, [this](Pair& p) {
    if (p.phase == Pair::Phase::open) watch(p);
  });
}

// For how long this pair's text has stood still, the way that it stood longer: only where some is held.
Duration Splice::standing(const Pair& p) {
  Standing& s = standing_[pairs_.index_of(&p)];
  const bool known = s.client == p.client.generation() && s.episode == shedding_.episode();
  s.client = p.client.generation();
  s.episode = shedding_.episode();
  Duration longest;
  for (const Side side : {Side::client, Side::backend}) {
    const Connection& reader = p.leg(side);
    const std::uint32_t taken = reader.acknowledged();
    Taking& to = s.to[at(side)];
    if (!known) to.begin(p.moved_ms, taken);
    const std::uint32_t held = reader.unacknowledged() + p.leg(other(side)).unread();
    longest = std::max(longest, to.look(core_->now().ms32(), held, taken, shedding_.floor()));
  }
  return longest;
}

// For want of packets, those who hold some and stood still the longest.
void Splice::shed(Instant now) {
  const bool before = shedding_.on();
  const bool on = shedding_.look(now, core_->shard().env.scarcity);
  if (on != before) shared_.shedding.fetch_add(on ? 1U : ~0U, std::memory_order_relaxed);
  if (!on) return;
  if (!before) next_to_shed_ = shed_in_round_ = 0;
  std::uint32_t n = 0;
  std::uint32_t told = 0; // of them, those whose end had no other reason before
  const auto next = each_pair(next_to_shed_, looks_a_tick, looks_a_tick, [&](Pair& p) {
    if (n == shed_a_tick || standing(p) < shedding_.still()) return;
    if (!p.client.alive() && !p.backend.alive()) return; // it was reset, and its end is still to come
    if (p.counted == 0) ++told;
    reset(p, Count::ended_scarce);
    ++n;
  });
  shared_.shed.fetch_add(told, std::memory_order_relaxed);
  shed_in_round_ += n;
  if (n == shed_a_tick) return; // there may be more where these were
  next_to_shed_ = next.value_or(0);
  if (!next) shedding_.round(now, std::exchange(shed_in_round_, 0));
}

// What cores owe each other, a few slots and services a tick.
void Splice::settle() {
  const auto slots = static_cast<Slot>(plan_->backends.size());
  for (Slot i = 0; i < std::min<Slot>(slots, 16); ++i) {
    if (next_to_settle_ >= slots) next_to_settle_ = 0;
    purse_.settle(next_to_settle_++);
  }
  const auto services = static_cast<std::uint16_t>(plan_->services.size());
  for (std::uint16_t i = 0; i < std::min<std::uint16_t>(services, 16); ++i) {
    if (next_service_ >= services) next_service_ = 0;
    service_purse_.settle(next_service_++);
  }
  for (std::size_t i = full_.size(); i-- != 0;) {
    const std::uint16_t s = full_[i];
    const bool full = !service_purse_.has(s);
    if (full) service_purse_.want(s);
    set_full(s, full); // of listeners that a reload brought, too
  }
  if (!by_load_) return;
  for (Slot i = 0; i < std::min<Slot>(slots, 64); ++i) {
    if (next_to_weigh_ >= slots) next_to_weigh_ = 0;
    const Slot s = next_to_weigh_++;
    shared_.loads.tell(core_->id(), s, purse_.open(s));
    others_[s] = shared_.loads.others(core_->id(), s);
  }
}

} // namespace tern::app::lb
