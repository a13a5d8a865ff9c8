// The client of a benchmark on one core: opens connections, asks, checks the answer, closes, and measures
// each step.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/counters.hpp"
#include "flow/port_pool.hpp"
#include "observe/histogram.hpp"
#include "runtime/core.hpp"

namespace tern::app {

enum class Load : std::uint8_t {
  attempted,
  established,
  completed,
  requests,
  connect_timeout,
  refused,
  reset,
  response_timeout,
  short_response,
  bad_byte,
  unfinished,
  no_port, // an open that found no free port, or no record: tried again later
  late,    // paced opens that came more than a millisecond after their time
  count_
};

struct ClientStats {
  Counters<Load> load;
  observe::Histogram connect;
  observe::Histogram first_byte;
  observe::Histogram response;
  observe::Histogram close;
  std::atomic<std::uint64_t> live{0};
};

struct ClientPlan {
  std::vector<Endpoint> targets;
  Sources sources;
  PortRange ports;
  std::string_view request;
  std::string_view response; // what is expected, byte for byte
  bool verify = false;
  double cps = 0;                  // 0: as many as can be
  std::uint32_t in_progress = 256; // closed loop: so many are opening, asking or closing at once
  std::uint32_t hold = 0;          // and so many more stay open, the oldest asking as a new one opens
  std::uint64_t connections = 0;   // 0: until stopped
  Duration timeout = Duration::seconds(60);
  std::uint64_t seed = 1;
};

template <class Port>
class Client {
 public:
  using TheCore = Core<Port, Client>;

  Client(const ClientPlan& plan, ClientStats& stats, std::uint32_t records)
      : plan_(plan),
        stats_(stats),
        table_(wire::Toeplitz{}, 1, plan.ports, plan.seed),
        pool_(table_, one_owner_, 0),
        states_(records) {
    for (const Endpoint& t : plan.targets) cursors_.push_back(pool_.cursor(t, plan.seed));
  }
  void attach(TheCore& core) { core_ = &core; }

  // Once a turn: opens what is due.
  void drive(Instant now) {
    if (stopping_) return;
    // The first connection finds the way (ARP, routes) for all: until it stands the others would only wait in
    // a queue.
    if (stats_.load.get(Load::established) == 0) {
      if (live_ == 0) (void)open(now);
      return;
    }
    std::uint32_t want = most_a_turn;
    if (plan_.cps > 0) {
      if (due_ == Instant{}) due_ = now;
    } else {
      const std::uint64_t busy = live_ - held();
      want = busy < plan_.in_progress
                 ? std::min<std::uint32_t>(most_a_turn, plan_.in_progress - static_cast<std::uint32_t>(busy))
                 : 0;
    }
    for (; want != 0; --want) {
      if (plan_.connections != 0 && stats_.load.get(Load::attempted) >= plan_.connections) return;
      Instant intended = now;
      if (plan_.cps > 0) {
        if (due_ > now) return;
        intended = due_;
        if (now - due_ > Duration::ms(1)) stats_.load.add(Load::late);
      }
      if (!open(intended)) return;
      if (plan_.cps > 0) due_ = due_ + interval();
    }
  }
  // Nothing new starts; those that are held ask now.
  void stop() {
    stopping_ = true;
    while (!waiting_.empty()) release_oldest();
  }
  [[nodiscard]] bool all_opened() const {
    return plan_.connections != 0 && stats_.load.get(Load::attempted) >= plan_.connections;
  }
  [[nodiscard]] std::uint64_t live() const { return live_; }
  // At the end: what is still open counts as unfinished, at its age.
  void give_up(Instant now) {
    for (std::uint32_t i = 0; i < states_.size(); ++i) {
      State& s = states_[i];
      if (!s.open) continue;
      stats_.load.add(Load::unfinished);
      (s.asked ? stats_.response : stats_.connect).record(age(s, now));
      s.open = false;
      --live_;
    }
  }

  // ---- Handler
  void on_connected(Connection c) {
    State& s = states_[c.index()];
    const Instant now = core_->now();
    stats_.load.add(Load::established);
    stats_.connect.record(age(s, now));
    s.connected = true;
    if (plan_.hold == 0) return ask(c, s, now);
    waiting_.push_back(c);
    if (waiting_.size() > plan_.hold || stopping_) release_oldest();
  }
  void on_data(Connection c, Payload& p) {
    State& s = states_[c.index()];
    if (s.got == 0) stats_.first_byte.record(age(s, core_->now()));
    while (!p.empty()) {
      const auto piece = p.front();
      if (plan_.verify) check(s, piece);
      s.got += static_cast<std::uint32_t>(piece.size());
      p.drop(static_cast<std::uint32_t>(piece.size()));
    }
    if (s.got < plan_.response.size() || s.answered) return;
    s.answered = true;
    stats_.load.add(Load::requests);
    stats_.response.record(age(s, core_->now()));
    s.since = core_->now();
  }
  void on_peer_closed(Connection c) { c.close(); }
  void on_closed(Connection c, CloseReason why) {
    State& s = states_[c.index()];
    if (!s.open) return;
    s.open = false;
    --live_;
    if (s.answered && !s.bad && s.got == plan_.response.size() && why == CloseReason::Done) {
      stats_.load.add(Load::completed);
      stats_.close.record(age(s, core_->now()));
    } else {
      stats_.load.add(cause(s, why));
      if (!s.answered) (s.asked ? stats_.response : stats_.connect).record(age(s, core_->now()));
    }
  }
  void on_tick(Instant now) {
    stats_.live.store(live_, std::memory_order_relaxed);
    if (now.ms32() % 256 == 0) expire(now);
  }

 private:
  struct State {
    Instant since; // when the present step began: the open (as intended), the request, the response's end
    std::uint32_t got = 0;
    std::uint32_t generation = 0;
    bool open = false, connected = false, asked = false, answered = false, bad = false;
  };
  static constexpr std::uint32_t most_a_turn = 32;

  static std::uint64_t age(const State& s, Instant now) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>((now - s.since).as_ns(), 1));
  }
  [[nodiscard]] std::uint64_t held() const { return std::min<std::uint64_t>(waiting_.size(), plan_.hold); }
  [[nodiscard]] Duration interval() {
    // Even pacing: the fraction of a nanosecond is carried, so the rate is exact.
    carry_ += 1e9 / plan_.cps;
    const auto whole = static_cast<std::int64_t>(carry_);
    carry_ -= static_cast<double>(whole);
    return Duration::ns(whole);
  }

  bool open(Instant intended) {
    const std::size_t t = next_target_++ % plan_.targets.size();
    const Endpoint& target = plan_.targets[t];
    for (unsigned tries = 16; tries != 0; --tries) {
      const auto draw = pool_.next(cursors_[t], plan_.sources);
      if (!draw) continue;
      const Endpoint local = draw->local();
      const Connecting made = target.ip.is_v4()
                                  ? core_->connect(FlowKey4{target.ip.v4(), local.ip.v4(),
                                                            Be16{target.port.raw()}, Be16{local.port.raw()}})
                                  : core_->connect(FlowKey6{target.ip, local.ip, Be16{target.port.raw()},
                                                            Be16{local.port.raw()}});
      if (made.error == ConnectError::port_taken) continue;
      if (made.error != ConnectError::none) break;
      State& s = states_[made.connection.index()];
      s = State{};
      s.since = intended;
      s.open = true;
      ++live_;
      stats_.load.add(Load::attempted);
      return true;
    }
    stats_.load.add(Load::no_port);
    return false;
  }
  void ask(Connection c, State& s, Instant now) {
    s.asked = true;
    s.since = now;
    c.send(StaticBytes{plan_.request});
  }
  void release_oldest() {
    const Connection c = waiting_.front();
    waiting_.pop_front();
    if (Connection live = c; live.alive()) ask(live, states_[live.index()], core_->now());
  }
  void check(State& s, std::span<const std::byte> piece) {
    const std::size_t end = s.got + piece.size();
    if (end > plan_.response.size() ||
        std::memcmp(piece.data(), plan_.response.data() + s.got, piece.size()) != 0)
      s.bad = true;
  }
  [[nodiscard]] Load cause(const State& s, CloseReason why) const {
    if (s.bad) return Load::bad_byte;
    if (why == CloseReason::Refused) return Load::refused;
    if (why == CloseReason::Reset) return Load::reset;
    if (why == CloseReason::TimedOut || why == CloseReason::Aborted)
      return s.connected ? Load::response_timeout : Load::connect_timeout;
    return Load::short_response;
  }
  // Who has made no step for too long is ended: on_closed counts why.
  void expire(Instant now) {
    if (now - last_expiry_ < Duration::seconds(1)) return;
    last_expiry_ = now;
    Shard& shard = core_->shard();
    for (std::uint32_t i = 0; i < shard.connections.fresh(); ++i)
      if (states_[i].open && now - states_[i].since > plan_.timeout &&
          (states_[i].asked || !states_[i].connected))
        shard.handle(shard.connections.at(i)).abort();
  }

  const ClientPlan& plan_;
  ClientStats& stats_;
  PortTable table_;
  static constexpr std::uint16_t one_owner_[1] = {0};
  PortPool pool_;
  std::vector<PortCursor> cursors_;
  std::vector<State> states_;      // by the connection's index: reused as the records are, last in first out
  std::deque<Connection> waiting_; // open and not asking yet, oldest first
  TheCore* core_ = nullptr;
  std::uint64_t live_ = 0;
  std::size_t next_target_ = 0;
  Instant due_;
  Instant last_expiry_;
  double carry_ = 0;
  bool stopping_ = false;
};

// The answering side: the response to every whole request, then FIN.
class Responder {
 public:
  Responder(std::size_t request_size, std::string_view response)
      : request_size_(request_size), response_(response) {}
  void on_data(Connection c, Payload& p) {
    const std::uint64_t got = (request_size_ == p.size() ? 0 : c.user()) + p.size();
    p.drop_all();
    if (got < request_size_) return c.set_user(got);
    c.send(StaticBytes{response_});
    c.close();
  }

 private:
  std::size_t request_size_;
  std::string_view response_;
};

} // namespace tern::app
