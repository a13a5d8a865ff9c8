// The client of one core: opens connections, asks, checks the answers, closes, and measures each step.
#pragma once

#include <algorithm>
#include <memory>
#include <variant>

#include "app/client/catch_up.hpp"
#include "app/client/fates.hpp"
#include "app/client/http_reader.hpp"
#include "app/client/load.hpp"
#include "app/client/names.hpp"
#include "app/client/pace.hpp"
#include "app/client/plain_reader.hpp"
#include "app/client/stalled.hpp"
#include "app/client/visit.hpp"
#include "app/client/way.hpp"
#include "base/prefetch.hpp"
#include "base/token_bucket.hpp"
#include "runtime/core.hpp"

namespace tern::app {

template <class Port>
class Client {
 public:
  using TheCore = Core<Port, Client>;

  // `owners`: which core each entry of the port's table leads to (flow/port_pool.hpp); `core`: this one.
  Client(const LoadPlan& plan, LoadStats& stats, const LoadControl& control, const PortTable& ports,
         std::span<const std::uint16_t> owners, std::uint16_t core, std::uint32_t records)
      : plan_(plan),
        stats_(stats),
        control_(control),
        pool_(ports, owners, core),
        names_(names_of(plan, pool_)),
        visits_(std::make_unique<Visit[]>(records)),
        records_(records),
        fates_(plan, stats, records),
        http_(plan.response, plan.verify && plan.payload == PayloadKind::http, plan.response.empty(),
              plan.targets.size()),
        catch_up_(4ULL * plan.in_progress),
        stalled_(plan.keeps()),
        way_(plan, stats) {
    stats.pairs = pairs_of(plan, owners, core);
  }
  void attach(TheCore& core) { core_ = &core; }

  // Once a turn: opens, asks and closes what is due. Whether anything was.
  bool drive(Instant now) {
    const std::uint64_t before = acts_;
    act(now);
    return acts_ != before;
  }
  // Nothing new starts. Those that wait for their turn ask; those that keep their connection close it.
  void stop(Instant now) {
    stopping_ = true;
    if (all_opened() && live_ == 0) return;
    if (all_busy_) stats_.load.add(Load::never_asked, overdue(plan_.rps * plan_.share, ask_due_, now));
    if (!held_back_) return;
    std::uint64_t owed = overdue(offered_rate(), due_, now);
    if (plan_.connections != 0) owed = std::min(owed, plan_.connections - stats_.load.get(Load::attempted));
    stats_.load.add(Load::never_opened, owed);
  }
  [[nodiscard]] bool all_opened() const {
    return plan_.rests || (plan_.connections != 0 && stats_.load.get(Load::attempted) >= plan_.connections);
  }
  // Of a rate the last has its time, too: else the others would seem to have come at a higher one.
  [[nodiscard]] bool all_over(Instant now) const {
    return all_opened() && live_ == 0 && (!paces() || now >= due_);
  }
  // The rate of opens is no longer offered: the last has had its time until the next would have come. Those that stay and
  // ask again are a load for longer.
  [[nodiscard]] bool all_offered(Instant now) const { return paces() && all_opened() && now >= due_; }
  // Nothing more begins.
  [[nodiscard]] bool time_is_up(Instant now) const { return begun_ != Instant{} && now > last_due(); }
  // Once all are opened and one is completed: when one was last opened, or heard of; who is then still waited for is never
  // answered. Before that, `now`.
  [[nodiscard]] Instant last_active(Instant now) const {
    return all_opened() && stats_.load.get(Load::completed) != 0 ? active_at_ : now;
  }
  [[nodiscard]] std::uint64_t live() const { return live_ + bad_open(); }
  [[nodiscard]] bool stopping() const { return stopping_; }
  // When there is next something to do that no packet brings; for who wants to sleep until then.
  [[nodiscard]] Instant next_due(Instant now) const {
    Instant next = now + Duration::ms(1);
    if (paced_) next = std::min(next, due_);
    if (plan_.think > Duration{} && line_.size() != 0)
      next = std::min(next, visits_[line_.first()].since + plan_.think);
    if (plan_.rps > 0 && line_.size() != 0) next = std::min(next, ask_due_);
    return next;
  }
  // At the end: what is still open counts as unfinished, at its age.
  void give_up(Instant now) {
    for (std::uint32_t i = 0; i < records_; ++i) {
      Visit& v = visits_[i];
      if (v.phase == Phase::hostile) end_bad(i, v);
      if (v.phase == Phase::free) continue;
      stats_.load.add(Load::unfinished);
      if (v.phase == Phase::connecting) stats_.connect.record(age(v, now));
      if (v.phase == Phase::connecting && now - v.since > Duration::seconds(1))
        fates_.failed(i, Load::connect_timeout);
      if (v.phase == Phase::asking) stats_.response.record(age(v, now));
      v.phase = Phase::free;
      --live_;
    }
    show_live();
    stats_.load.add(Load::not_compared, http_.not_compared());
    const double withheld = way_.withheld().as_seconds() * offered_rate();
    stats_.load.add(Load::withheld, static_cast<std::uint64_t>(std::max(withheld, 0.0)));
    fates_.end(http_, core_->handle().network());
  }
  [[nodiscard]] const HttpReader& http() const { return http_; }

  // ---- Handler
  void on_connected(Connection c) {
    Visit& v = visits_[c.index()];
    const Instant now = core_->now();
    if (v.phase != Phase::connecting) [[unlikely]] {
      if (v.phase == Phase::hostile) bad_connected(c, v);
      return; // or it was given up
    }
    stats_.load.add(Load::established);
    stats_.connect.record(age(v, now));
    v.set(Visit::connected);
    fates_.stands(c.index());
    --opening_;
    if (plan_.rps > 0) return stand_in_line(c.index(), v, now);
    if (plan_.keeps() || plan_.concurrency == 0) return ask(c, v, now);
    stand_in_line(c.index(), v, now);
    if (line_.size() > ramped(plan_.concurrency, now - begun_, plan_.ramp)) ask_first();
  }
  void on_data(Connection c, Payload& p) {
    Visit& v = visits_[c.index()];
    if (v.phase != Phase::asking) {
      if (v.phase == Phase::hostile) return sip(v, p);
      v.set(Visit::bad); // text that nobody asked for
      return p.drop_all();
    }
    const Instant now = active_at_ = core_->now();
    if (!v.has(Visit::first_seen)) {
      v.set(Visit::first_seen);
      stats_.first_byte.record(age(v, now));
    }
    const std::uint32_t before = p.size();
    const bool whole =
        plan_.payload == PayloadKind::tcp ? read_plain(plan_, stats_, v, p) : read_http(c, v, p);
    stats_.load.add(Load::response_bytes, before - p.size());
    if (whole) answered(c, v, now);
  }
  void on_writable(Connection c) { // the rest of a request that is longer than the send buffer
    Visit& v = visits_[c.index()];
    if (v.phase != Phase::asking || v.unsent() == 0) return;
    const std::string_view request = v.left == 0 ? plan_.last_request : plan_.request;
    v.unsent() -= c.send(StaticBytes{request.substr(request.size() - v.unsent())});
  }
  void on_peer_closed(Connection c) {
    Visit& v = visits_[c.index()];
    if (v.phase == Phase::asking && plan_.payload == PayloadKind::http && HttpReader::ends_here(v)) {
      (void)http_.finish(v, fates_.target(c.index()));
      answered(c, v, core_->now());
    }
    c.close();
  }
  void on_closed(Connection c, CloseReason why) {
    Visit& v = visits_[c.index()];
    if (v.phase == Phase::free) return;
    if (v.phase == Phase::hostile) [[unlikely]]
      return end_bad(c.index(), v);
    if (v.phase == Phase::waiting) line_.leave(visits_.get(), c.index());
    if (v.phase == Phase::connecting) --opening_;
    if (plan_.payload == PayloadKind::http) http_.forget(v, fates_.target(c.index()));
    --live_;
    const bool done =
        why == CloseReason::Done || (why == CloseReason::Aborted && plan_.closer == Closer::reset);
    if (v.phase == Phase::closing && done && !v.has(Visit::bad)) {
      active_at_ = core_->now();
      stats_.load.add(Load::completed);
      stats_.close.record(age(v, active_at_));
    } else {
      const Load failed = cause(v, why);
      stats_.load.add(failed);
      fates_.failed(c.index(), failed);
      // Who waited in vain enters at his age; a refusal or a reset is no quick answer.
      const bool waited = why == CloseReason::TimedOut || (why == CloseReason::Aborted && !v.has(Visit::bad));
      if (waited && v.phase == Phase::connecting) stats_.connect.record(age(v, core_->now()));
      if (waited && v.phase == Phase::asking) stats_.response.record(age(v, core_->now()));
    }
    v.phase = Phase::free;
  }
  void on_tick(Instant now) {
    show_live();
    stats_.starved.store(starved_after_ == stats_.load.get(Load::attempted), std::memory_order_relaxed);
    for (std::size_t i = 0; i < vices; ++i)
      stats_.bad_open[i].store(bad_[i].size(), std::memory_order_relaxed);
    if (bad_open() != 0) let_sip(now);
    expire(now);
  }

 private:
  static constexpr std::uint32_t most_a_turn = 32;

  void show_live() {
    stats_.live.store(live_, std::memory_order_relaxed);
    stats_.live_peak.store(live_peak_, std::memory_order_relaxed);
  }
  void act(Instant now) {
    if (core_->congested()) return; // what waits behind the port is asked first; the clock of latencies runs
    paced_ = held_back_ = false;
    if (stopping_) return wind_down();
    if (begun_ == Instant{}) begun_ = now;
    if (way_.finding()) [[unlikely]] {
      find_way(now);
      if (way_.finding()) return;
    }
    // With no more to come none would make way: those that are held end by themselves.
    if (!plan_.keeps() && line_.size() != 0 && all_opened()) [[unlikely]]
      for (unsigned n = most_a_turn; n != 0 && line_.size() != 0; --n) ask_first();
    if (plan_.think > Duration{}) ask_again(now);
    if (plan_.rps > 0) ask_paced(now);
    keep_bad(now);
    const double rate = offered_rate();
    std::uint32_t want = wanted(rate, now);
    if (rate <= 0 || want == 0) due_ = now;
    paced_ = rate > 0 && want != 0 && !all_opened();
    const Instant until = std::min(now, last_due());
    for (; want != 0 && !all_opened(); --want) {
      if (rate <= 0) {
        if (!open(now, now)) return;
        continue;
      }
      if (due_ > until) return;
      const bool late = now - due_ > Duration::ms(1);
      const std::uint64_t busy = under_way();
      held_back_ = late && !catch_up_.room(moving(busy, now), stats_.load.get(Load::attempted) - busy, now);
      if (held_back_) return;
      if (!late) catch_up_.on_time(busy, now);
      if (!open(due_, now)) {
        starved_at_ = now;
        held_back_ = true;
        return;
      }
      if (late && due_ > starved_at_) stats_.load.add(Load::late);
      due_ = due_ + interval(rate, due_, carry_);
    }
  }

  void find_way(Instant now) {
    const double rate = offered_rate();
    if (rate > 0 && !all_opened()) way_.put_off(due_ == Instant{} ? now : due_, now);
    if (rate <= 0 || due_ < now) due_ = now;
    way_.look(http_.learns(), begun_, now);
    if (way_.learning() && line_.size() != 0) ask_first();
    if (!way_.finding() || due_ > now || all_opened() || wanted(rate, now) == 0) return;
    if (!way_.room(live_, http_.learns(), active_at_, now)) return;
    if (open(now, now) && rate > 0) due_ = due_ + interval(rate, due_, carry_);
  }
  // Nothing is due at or behind the end of what is offered.
  [[nodiscard]] Instant last_due() const {
    if (plan_.offered <= Duration{}) return Instant::at_ns(INT64_MAX);
    return begun_ + plan_.offered + way_.stood() - Duration::ns(1);
  }
  [[nodiscard]] double offered_rate() const {
    return plan_.share * control_.cps.load(std::memory_order_relaxed);
  }
  // Opens at a rate, of connections that ask once.
  [[nodiscard]] bool paces() const {
    return !plan_.keeps() && control_.cps.load(std::memory_order_relaxed) > 0;
  }
  [[nodiscard]] std::uint64_t overdue(double rate, Instant due, Instant now) const {
    if (now - due <= Duration::ms(1)) return 0;
    return due_between(rate, due - begun_, std::min(now, last_due()) - begun_, plan_.ramp);
  }
  static std::uint64_t age(const Visit& v, Instant now) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>((now - v.since).as_ns(), 1));
  }
  // Opening, asking or closing; of connections that stay, opening.
  [[nodiscard]] std::uint64_t under_way() const {
    return plan_.keeps() ? opening_ : live_ - std::min(line_.size(), plan_.concurrency);
  }
  // Of them, those that do not wait for a retransmission.
  [[nodiscard]] std::uint64_t moving(std::uint64_t busy, Instant now) {
    const std::uint32_t ever_used = core_->shard().connections.fresh();
    return busy - std::min(busy, stalled_.count(visits_.get(), ever_used, now));
  }
  // How many to open this turn, at most.
  [[nodiscard]] std::uint32_t wanted(double rate, Instant now) const {
    if (rate < 0) return 0; // paused
    std::uint64_t room = most_a_turn;
    if (plan_.keeps() && plan_.concurrency != 0) {
      const std::uint32_t n = ramped(plan_.concurrency, now - begun_, plan_.ramp);
      room = live_ < n ? n - live_ : 0;
    }
    if (rate == LoadControl::closed_loop) {
      const std::uint64_t busy = under_way();
      const std::uint32_t most = ramped(plan_.in_progress, now - begun_, plan_.ramp);
      room = std::min<std::uint64_t>(room, busy < most ? most - busy : 0);
    }
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(room, most_a_turn));
  }
  // Even pacing: the fraction of a nanosecond is carried, so the rate is exact.
  [[nodiscard]] Duration interval(double rate, Instant due, double& carry) const {
    carry += gap_ns(rate, due - begun_, plan_.ramp);
    const auto whole = static_cast<std::int64_t>(carry);
    carry -= static_cast<double>(whole);
    return Duration::ns(whole);
  }

  using Either = std::variant<Names<FlowKey4>, Names<FlowKey6>>;
  static Either names_of(const LoadPlan& plan, const PortPool& pool) {
    if (plan.targets.front().ip.is_v4()) return Names<FlowKey4>(pool, plan.targets, plan.sources, plan.seed);
    return Names<FlowKey6>(pool, plan.targets, plan.sources, plan.seed);
  }
  bool open(Instant intended, Instant now) {
    const std::uint32_t made = dial();
    if (made == nobody) {
      const std::uint64_t opened = stats_.load.get(Load::attempted);
      if (opened != starved_after_) stats_.load.add(Load::no_port); // once, however many turns it waits
      starved_after_ = opened;
      return false;
    }
    Visit& v = visits_[made];
    v.begin(intended, now);
    v.left = plan_.requests == 0 ? Visit::forever : plan_.requests;
    v.phase = Phase::connecting;
    active_at_ = now;
    live_peak_ = std::max(live_peak_, ++live_);
    ++opening_;
    stats_.load.add(Load::attempted);
    return true;
  }
  // A SYN to the next target; the fresh visit that stands for it. Nobody: no port is free, or no record.
  static constexpr std::uint32_t nobody = UINT32_MAX;
  [[nodiscard]] std::uint32_t dial() {
    return std::visit([this](auto& names) { return this->dial(names); }, names_);
  }
  template <class Key>
  [[nodiscard]] std::uint32_t dial(Names<Key>& names) {
    Shard& shard = core_->shard();
    for (unsigned tries = 16; tries != 0; --tries) {
      const auto* const next = names.take(shard.hasher, [&](FlowHash later) { shard.flows.prefetch(later); });
      if (next == nullptr) continue;
      const Connecting made = core_->handle().open(next->key, next->hash);
      if (made.error == ConnectError::port_taken) continue;
      if (made.error != ConnectError::none) break;
      ++acts_;
      visits_[made.connection.index()] = Visit{};
      fates_.begins(made.connection.index(), next->target);
      return made.connection.index();
    }
    return nobody;
  }
  void stand_in_line(std::uint32_t i, Visit& v, Instant now) {
    v.phase = Phase::waiting;
    v.begin(now);
    line_.join(visits_.get(), i);
  }
  void ask(Connection c, Visit& v, Instant now) {
    v.phase = Phase::asking;
    v.begin(now);
    v.got = 0;
    v.expect = 0;
    v.clear(Visit::http_body | Visit::http_chunked | Visit::http_to_end | Visit::first_seen);
    v.set(Visit::asked);
    if (v.left != Visit::forever) --v.left;
    const std::string_view request = v.left == 0 ? plan_.last_request : plan_.request;
    v.unsent() = static_cast<std::uint32_t>(request.size()) - c.send(StaticBytes{request});
  }
  Connection leave_line(std::uint32_t i) {
    ++acts_;
    line_.leave(visits_.get(), i);
    line_.aim(visits_.get(), [this](std::uint32_t soon) {
      core_->shard().prefetch({FlowKind::connection, soon});
      const std::uint32_t then = visits_[soon].next;
      if (then != Visit::none) prefetch_to_write(&visits_[then]);
    });
    visits_[i].phase = Phase::asking; // until it is told what to do
    return connection(i);
  }
  [[nodiscard]] Connection connection(std::uint32_t i) {
    Shard& shard = core_->shard();
    return shard.handle(shard.connections.at(i));
  }
  void ask_first() {
    const std::uint32_t i = line_.first();
    ask(leave_line(i), visits_[i], core_->now());
  }
  // Those that have thought for long enough: all thoughts take the same time, so who came first is due first.
  void ask_again(Instant now) {
    for (unsigned n = 4 * most_a_turn; n != 0 && line_.size() != 0; --n) {
      const std::uint32_t i = line_.first();
      if (now - visits_[i].since < plan_.think) return;
      ask(leave_line(i), visits_[i], now);
    }
  }
  // Open loop on kept connections: when a request is due, the one that has waited longest makes it. Where all
  // are busy it is made as soon as one is not, and its time counts from when it was due.
  void ask_paced(Instant now) {
    const double rate = plan_.rps * plan_.share;
    if (ask_due_ == Instant{}) ask_due_ = now;
    const Instant until = std::min(now, last_due());
    for (unsigned n = 4 * most_a_turn; n != 0 && ask_due_ <= until; --n) {
      if (line_.size() == 0) {
        all_busy_ = true;
        return;
      }
      const std::uint32_t i = line_.first();
      if (!all_busy_ && now - ask_due_ > Duration::ms(1)) stats_.load.add(Load::late);
      ask(leave_line(i), visits_[i], now);
      visits_[i].begin(ask_due_, now);
      ask_due_ = ask_due_ + interval(rate, ask_due_, ask_carry_);
    }
    if (ask_due_ > now) all_busy_ = false;
  }

  // ---- Bad clients (--attack), on connections of their own.
  //   mute   opens and never says a word
  //   slow   asks, and takes a byte a second of the answer: more its window never holds, from the SYN on
  static constexpr std::uint32_t sip_bytes = 1;
  [[nodiscard]] std::uint64_t bad_open() const { return bad_[0].size() + bad_[1].size(); }
  static Bad counter_of(Vice vice, Bad of_mute) {
    constexpr auto apart = static_cast<unsigned>(Bad::slow_opened) - static_cast<unsigned>(Bad::mute_opened);
    return static_cast<Bad>(static_cast<unsigned>(of_mute) + (vice == Vice::slow ? apart : 0));
  }
  void keep_bad(
      Instant now) { // all at once, and in place of those that ended no more a second than there are
    unsigned most = most_a_turn / 4; // a turn: the good ones open too
    for (std::size_t i = 0; i < vices; ++i) {
      const Bad opened = counter_of(static_cast<Vice>(i), Bad::mute_opened);
      for (; bad_[i].size() < plan_.bad[i] && most != 0 && bad_pace_[i].has(now); --most) {
        const std::uint32_t made = dial();
        if (made == nobody) return;
        if (static_cast<Vice>(i) == Vice::slow) connection(made).begin_window(sip_bytes);
        Visit& v = visits_[made];
        v.phase = Phase::hostile;
        v.begin(now);
        v.left = static_cast<std::uint32_t>(i);
        bad_[i].join(visits_.get(), made);
        if (bad_[i].size() > stats_.bad_open_peak[i].load(std::memory_order_relaxed))
          stats_.bad_open_peak[i].store(bad_[i].size(), std::memory_order_relaxed);
        (void)bad_pace_[i].take(now);
        stats_.bad.add(opened);
      }
    }
  }
  void bad_connected(Connection c, Visit& v) {
    const auto vice = static_cast<Vice>(v.left);
    v.set(Visit::connected);
    stats_.bad.add(counter_of(vice, Bad::mute_established));
    if (vice == Vice::slow) c.send(StaticBytes{plan_.request});
  }
  // What it leaves stays unread, and the server's text unsent.
  void sip(Visit& v, Payload& p) {
    if (static_cast<Vice>(v.left) == Vice::mute) return p.drop_all();
    const std::uint32_t n = std::min(p.size(), v.expect);
    v.expect = 0;
    p.drop(n);
    stats_.bad.add(Bad::slow_bytes, n);
  }
  // Each slow reader once a second, the first time a second after it began: who was last at it is last in line.
  void let_sip(Instant now) {
    Line& slow = bad_[static_cast<std::size_t>(Vice::slow)];
    for (std::uint32_t n = slow.size() == 0 ? 0 : slow.size() / 1000 + 1; n != 0; --n) {
      const std::uint32_t i = slow.first();
      if (now - visits_[i].since < Duration::seconds(1)) return;
      Visit& v = visits_[i];
      v.begin(now);
      slow.leave(visits_.get(), i);
      slow.join(visits_.get(), i);
      if (!v.has(Visit::connected)) continue;
      // Nothing came for a second: on a kept connection that was the end of the answer.
      if (v.expect != 0 && plan_.keeps()) connection(i).send(StaticBytes{plan_.request});
      v.expect = sip_bytes;
      connection(i).resume_reading();
    }
  }
  void end_bad(std::uint32_t i, Visit& v) {
    bad_[v.left].leave(visits_.get(), i);
    if (!stopping_) stats_.bad.add(counter_of(static_cast<Vice>(v.left), Bad::mute_ended));
    v.phase = Phase::free;
  }

  void wind_down() {
    for (unsigned n = most_a_turn; n != 0 && bad_open() != 0; --n) {
      const std::uint32_t i = bad_[bad_[0].size() == 0 ? 1 : 0].first();
      end_bad(i, visits_[i]);
      connection(i).abort();
    }
    for (unsigned n = most_a_turn; n != 0 && line_.size() != 0; --n) {
      if (!plan_.keeps()) {
        ask_first();
        continue;
      }
      const std::uint32_t i = line_.first();
      end_visit(leave_line(i), visits_[i], true);
    }
  }

  void answered(Connection c, Visit& v, Instant now) {
    stats_.load.add(Load::requests);
    stats_.response.record(age(v, now));
    v.begin(now);
    if (v.left == 0 || v.has(Visit::http_last)) {
      if (v.left != 0 && v.left != Visit::forever && !stopping_) stats_.load.add(Load::cut_short);
      return end_visit(c, v, false);
    }
    if (stopping_) return end_visit(c, v, true);
    if (plan_.think > Duration{} || plan_.rps > 0) return stand_in_line(c.index(), v, now);
    ask(c, v, now);
  }
  // `ours`: the server does not know that it was the last.
  void end_visit(Connection c, Visit& v, bool ours) {
    v.phase = Phase::closing;
    v.begin(core_->now());
    if (plan_.closer == Closer::reset)
      c.abort();
    else if (ours || plan_.closer == Closer::client)
      c.close();
  }

  // True when the response is whole.
  bool read_http(Connection c, Visit& v, Payload& p) {
    const bool headless = !v.has(Visit::http_body);
    const HttpReader::Step step = http_.read(v, p, fates_.target(c.index()));
    if (headless && v.has(Visit::http_body) && http_.status() >= 400) stats_.load.add(Load::bad_status);
    if (step == HttpReader::Step::broken) {
      stats_.load.add(Load::not_http);
      v.set(Visit::bad);
      p.drop_all();
      c.abort();
      return false;
    }
    if (step == HttpReader::Step::whole && !p.empty()) {
      v.set(Visit::bad); // more than the response
      p.drop_all();
    }
    return step == HttpReader::Step::whole;
  }
  [[nodiscard]] Load cause(const Visit& v, CloseReason why) {
    if (v.has(Visit::bad)) return Load::bad_byte;
    if (why == CloseReason::Refused) return Load::refused;
    if (why == CloseReason::Unreachable) return Load::unreachable;
    if (why == CloseReason::Reset) return Load::reset;
    if (why == CloseReason::TimedOut || why == CloseReason::Aborted) {
      if (v.phase == Phase::closing) stats_.load.add(Load::never_closed);
      return v.has(Visit::connected) ? Load::response_timeout : Load::connect_timeout;
    }
    return Load::short_response;
  }
  // Who has made no step for too long is ended: on_closed counts why. A share of the visits each tick, so
  // that ten million of them don't hold a turn up: each is looked at some sixteen times in its time-out.
  void expire(Instant now) {
    Shard& shard = core_->shard();
    const std::uint32_t all = shard.connections.fresh();
    const auto ticks = static_cast<std::uint32_t>(std::max<std::int64_t>(plan_.timeout.as_ms() / 16, 1));
    for (std::uint32_t n = std::min(all, all / ticks + 1); n != 0; --n) {
      if (++next_looked_at_ >= all) next_looked_at_ = 0;
      const Visit& v = visits_[next_looked_at_];
      const bool steps = v.phase != Phase::free && v.phase != Phase::waiting && v.phase != Phase::hostile;
      if (steps && v.tired(now, plan_.timeout)) shard.handle(shard.connections.at(next_looked_at_)).abort();
    }
  }

  const LoadPlan& plan_;
  LoadStats& stats_;
  const LoadControl& control_;
  PortPool pool_;
  Either names_;
  std::unique_ptr<Visit[]> visits_; // by the connection's index
  std::uint32_t records_;
  Fates fates_;
  Line line_; // open and not asking: held, or thinking
  HttpReader http_;
  TheCore* core_ = nullptr;
  std::uint64_t live_ = 0;
  std::uint64_t live_peak_ = 0;
  std::uint64_t opening_ = 0;
  std::uint64_t acts_ = 0; // opens, and those called out of the line, so far
  std::uint32_t next_looked_at_ = 0;
  Instant begun_;
  Instant active_at_; // one was opened, sent text, or was completed
  Instant due_;
  bool held_back_ = false; // an open is due, and too many are under way, or there is no port or record for it
  bool paced_ = false;     // that is when there is next something to open
  // What was due by then waited for a port or a record: a note tells, and it is not the tester's fault.
  Instant starved_at_;
  std::uint64_t starved_after_ = ~std::uint64_t{0}; // opens
  double carry_ = 0;
  CatchUp catch_up_;
  Stalled stalled_;
  std::array<TokenBucket, vices> bad_pace_{{{plan_.bad[0], plan_.bad[0]}, {plan_.bad[1], plan_.bad[1]}}};
  Way way_;
  Instant ask_due_; // --rps: the next request
  double ask_carry_ = 0;
  bool all_busy_ = false; // a request is late because no connection was free, not because we were
  std::array<Line, vices> bad_;
  bool stopping_ = false;
};

} // namespace tern::app
