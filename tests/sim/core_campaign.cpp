#include "core_campaign.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "run_log.hpp"
#include "sim/invariants.hpp"
#include "speaker.hpp"
#include "weather.hpp"

namespace tern::campaign {
namespace {

constexpr Instant core_patience = Instant{} + Duration::seconds(900);
constexpr Instant core_patience_with_a_crowd =
    Instant{} + Duration::seconds(250); // in foul weather some never end
constexpr Instant core_end = Instant{} + Duration::seconds(1500);

class CoreWorld {
 public:
  CoreWorld(std::uint64_t seed, PacketPool packets)
      : random_(seed),
        net_(seed),
        packets_(packets),
        stage_(net_, packets),
        fair_(random_.chance(0.6)),
        crowd_(is_crowd(seed)) {}

  Result run(const Watch& watch);

 private:
  struct Machine {
    std::unique_ptr<Speaker> speaker;
    std::unique_ptr<CoreMachine> host;
  };

  void build();
  void add_machine(std::size_t i);
  void plan_talk(std::size_t i, bool few_ports);
  void open(std::size_t i);
  void end_all();
  void check_engines();
  void judge(Result& r);
  void judge_talk(const Talk& t);
  void judge_stream(const Talk& t, unsigned from);
  [[nodiscard]] bool must_end_well(const Talk& t) const;
  void judge_machine(Machine& m, Result& r);

  sim::Random random_;
  sim::Network net_;
  PacketPool packets_;
  Stage stage_;
  bool fair_; // nothing happens that a TCP need not survive
  bool crowd_;
  std::vector<Machine> machines_;
  std::optional<RunLog> log_; // while it runs
  std::uint64_t events_ = 0;
};

void CoreWorld::add_machine(std::size_t i) {
  sim::Random r = random_.split(100 + i);
  sim::CoreHostSettings s;
  s.shard.tcp = random_settings(r, fair_);
  s.shard.secret = {r.next(), r.next()};
  s.shard.flow_seed = {r.next(), r.next()};
  s.shard.connections = 4096;
  s.shard.syn_records = r.chance(0.3) ? static_cast<std::uint32_t>(r.between(4, 64)) : 4096;
  s.shard.time_wait_records = 8192;
  s.shard.long_connections = 512;
  if (!fair_ && !crowd_ && r.chance(0.3)) { // too little of everything
    s.shard.connections = static_cast<std::uint32_t>(r.between(8, 200));
    s.shard.time_wait_records = static_cast<std::uint32_t>(r.between(16, 200));
    s.shard.long_connections = static_cast<std::uint32_t>(r.between(1, 16));
  }
  if (!fair_ && r.chance(0.2)) s.receive_ring = static_cast<std::uint32_t>(r.between(8, 64));
  Machine m;
  m.speaker = std::make_unique<Speaker>(stage_, r.split(1));
  const Ip4 address{10, 0, 1, static_cast<std::uint8_t>(i + 1)};
  m.host = std::make_unique<CoreMachine>(fmt::format("core{}", i + 1), address, packets_, s, *m.speaker);
  m.speaker->on_stage(*m.host);
  m.host->listen(Port{80}, r.chance(0.2) ? tcp::CookieMode::Always : tcp::CookieMode::Auto);
  machines_.push_back(std::move(m));
}

// A path that is narrower than the interface is for the bare engines' campaign, whose hosts hear ICMP; here
// only in foul weather, where looking for black holes must do.
sim::LinkSettings core_link(sim::Random& r, bool fair) {
  sim::LinkSettings l = random_link(r, fair);
  if (fair) l.mtu = 1500;
  return l;
}

Parting random_parting(sim::Random& r, bool fair, bool waits) {
  if (!fair && r.chance(0.15)) return r.chance(0.5) ? Parting::Abort : Parting::Release;
  if (waits) return Parting::CloseAfterPeer;
  // Whoever lets go while the other still speaks loses what it says: not in fair weather.
  return !fair && r.chance(0.2) ? Parting::Drain : Parting::CloseAtOnce;
}

void CoreWorld::plan_talk(std::size_t i, bool few_ports) {
  sim::Random r = random_.split(1'000'000 + i);
  Talk t;
  t.client = r.below(machines_.size());
  t.server = (t.client + 1 + r.below(machines_.size() - 1)) % machines_.size();
  t.port = Port{static_cast<std::uint16_t>(1000 + (few_ports ? r.below(20) : i))};
  t.stream = static_cast<std::uint32_t>(2 * i);
  const bool client_waits = r.chance(0.5);
  for (unsigned end = 0; end < 2; ++end) {
    Side& e = t.ends[end];
    e.total = r.chance(0.1) ? r.skewed(18) : r.skewed(12);
    const std::uint64_t write = std::max(r.skewed(16), e.total / 300 + 1);
    e.write_most = static_cast<std::uint32_t>(std::min<std::uint64_t>(write, pattern_most));
    e.pauses = r.chance(0.1);
    e.parting = random_parting(r, fair_, client_waits == (end == 0));
  }
  stage_.talks.push_back(t);
  // Few ports: tuples come again, mostly in TIME-WAIT.
  const std::uint64_t span_us = few_ports ? 100'000'000 : 4'000'000;
  net_.after(Duration::us(static_cast<std::int64_t>(r.below(span_us))), [this, i] { open(i); });
}

void CoreWorld::open(std::size_t i) {
  Talk& t = stage_.talks[i];
  CoreMachine& host = *machines_[t.client].host;
  // One talk at a time for a client's port, whoever the server is: how the server knows whose it is.
  const auto name = std::pair{host.address().host(), t.port.raw()};
  if (const auto before = stage_.by_client.find(name); before != stage_.by_client.end()) {
    const Talk& old = stage_.talks[before->second];
    if (!old.ends[0].over || (old.ends[1].open && !old.ends[1].over)) return;
  }
  const Connecting c = host.connect(t.port, machines_[t.server].host->address(), Port{80});
  if (c.error != ConnectError::none) return; // in use, in TIME-WAIT, or no record
  if (const auto before = stage_.by_client.find(name); before != stage_.by_client.end())
    stage_.talks[before->second].swallowed = log_->swallowed(host.address(), t.port);
  log_->begin_anew(host.address(), t.port);
  stage_.by_client[name] = i;
  t.begun = true;
  Connection opened = c.connection;
  opened.set_user(Speaker::word(i, 0));
  host.turn();
}

void CoreWorld::build() {
  const std::size_t hosts = crowd_ ? random_.between(8, 12) : random_.between(2, 12);
  for (std::size_t i = 0; i < hosts; ++i) add_machine(i);
  const sim::NodeId router = net_.add_router("r", Ip4{10, 0, 255, 254});
  sim::Random r = random_.split(1);
  for (Machine& m : machines_) {
    const sim::NodeId id = net_.add_host(m.host->name(), m.host->address(), *m.host);
    net_.add_link(id, router, core_link(r, fair_), core_link(r, fair_));
  }
  const bool many = random_.chance(0.15);
  const std::size_t talks = crowd_ ? random_.between(2500, 4000)
                            : many ? random_.between(1000, 3000)
                                   : random_.between(20, 400);
  const bool few_ports = !crowd_ && random_.chance(0.3);
  stage_.talks.reserve(talks);
  for (std::size_t i = 0; i < talks; ++i) plan_talk(i, few_ports);
}

// The engines' invariants, of a few connections at a time: all of them after every event would cost a square.
void CoreWorld::check_engines() {
  if (++events_ % 8 != 0 || stage_.wrong || machines_.empty()) return;
  Machine& m = machines_[events_ / 8 % machines_.size()];
  const Shard& s = m.host->shard();
  for (std::uint64_t k = 0; k < 4 && s.connections.fresh() != 0; ++k) {
    const auto at = static_cast<std::uint32_t>((events_ * 7 + k * 13) % s.connections.fresh());
    const ConnectionRecord& c = s.connections.at(at);
    if (!c.has(ConnectionRecord::in_use)) continue;
    if (const auto what = sim::broken_invariant(s.env, c.tcb))
      stage_.say(
          fmt::format("{}, record {} in {}: {}", m.host->name(), at, tcp::name_of(c.tcb.state), *what));
  }
}

void CoreWorld::end_all() {
  for (Machine& m : machines_) {
    Shard& s = m.host->shard();
    for (std::uint32_t i = 0; i < s.connections.fresh(); ++i)
      if (s.connections.at(i).has(ConnectionRecord::in_use)) s.handle(s.connections.at(i)).abort();
    m.host->turn();
  }
}

// What one side read is what the other wrote: all of it if the end was reached, else a beginning of it.
void CoreWorld::judge_stream(const Talk& t, unsigned from) {
  const Side& writer = t.ends[from];
  const Side& reader = t.ends[1 - from];
  const auto say = [&](const char* what) {
    stage_.say(fmt::format("core{}:{}: {}: {} read, {} written", t.client + 1, t.port.raw(), what,
                           reader.read, writer.written));
  };
  if (reader.read > writer.written) say("more than there was");
  if (reader.eof && reader.read != writer.written) say("the end came early");
  if (must_end_well(t) && writer.reason == CloseReason::Done && reader.read != writer.written)
    say("done, and not all");
}

bool CoreWorld::must_end_well(const Talk& t) const {
  const bool now = log_->swallowed(machines_[t.client].host->address(), t.port);
  return fair_ && !t.swallowed.value_or(now);
}

void CoreWorld::judge_talk(const Talk& t) {
  if (!t.begun) return;
  judge_stream(t, 0);
  judge_stream(t, 1);
  for (unsigned end = 0; end < 2; ++end) {
    const Side& e = t.ends[end];
    const auto say = [&](const std::string& what) {
      stage_.say(
          fmt::format("core{}:{}, {}: {}", t.client + 1, t.port.raw(), end == 0 ? "client" : "server", what));
    };
    if (!e.over && (e.open || end == 0)) say("never ended");
    if (e.over && e.reason == CloseReason::None) say("ended without a reason");
    if ((!e.over || e.reason != CloseReason::Done) && must_end_well(t))
      say(fmt::format("ended by '{}' in fair weather", tcp::name_of(e.reason)));
  }
}

void CoreWorld::judge_machine(Machine& m, Result& r) {
  Shard& s = m.host->shard();
  if (s.connections.used() + s.syn4.slots.used() + s.time_wait4.streams.size() + s.flows.size() != 0)
    stage_.say(fmt::format("{}: {} connections, {} half open, {} in TIME-WAIT, {} in the table are left",
                           m.host->name(), s.connections.used(), s.syn4.slots.used(),
                           s.time_wait4.streams.size(), s.flows.size()));
  if (s.side.used() != 0)
    stage_.say(fmt::format("{}: {} side records were not given back", m.host->name(), s.side.used()));
  for (std::size_t i = 0; i < s.listeners.size(); ++i) {
    const Listener& l = s.listeners[static_cast<std::uint8_t>(i)];
    if (l.open != 0 || l.opening != 0)
      stage_.say(
          fmt::format("{}: the listener counts {} open, {} opening", m.host->name(), l.open, l.opening));
  }
  for (std::size_t i = 0; i < tcp::TcpCounters::size; ++i) {
    const auto c = static_cast<tcp::Counter>(i);
    if (s.tcp_counters.get(c) != 0) r.counters[tcp::name_of(c)] += s.tcp_counters.get(c);
  }
  for (std::size_t i = 0; i < CoreCounters::size; ++i) {
    const auto c = static_cast<CoreCounter>(i);
    if (s.counters.get(c) != 0) r.counters[name_of(c)] += s.counters.get(c);
  }
}

void CoreWorld::judge(Result& r) {
  for (const Talk& t : stage_.talks) {
    judge_talk(t);
    for (const Side& e : t.ends) {
      r.bytes += e.read;
      if (t.begun) ++r.ends[e.over ? tcp::name_of(e.reason) : "never opened"];
    }
    r.connections += t.begun ? 1U : 0U;
  }
  if (stage_.ghosts != 0) r.ends["ghost"] += stage_.ghosts;
  r.hosts = static_cast<std::uint32_t>(machines_.size());
  for (Machine& m : machines_) judge_machine(m, r);
  machines_.clear(); // what their network layers still hold goes back too
  if (packets_.used() != 0) stage_.say(fmt::format("{} packets were not given back", packets_.used()));
  r.wrong = stage_.wrong;
}

Result CoreWorld::run(const Watch& watch) {
  Result r;
  build();
  log_.emplace(net_, watch);
  net_.after_event = [this] { check_engines(); };
  net_.at(crowd_ && !fair_ ? core_patience_with_a_crowd : core_patience, [this] { end_all(); });
  if (!net_.run_to_rest(core_end)) stage_.say("never came to rest");
  r.weather = fmt::format("{} cores, {} talks, {} weather", machines_.size(), stage_.talks.size(),
                          fair_ ? "fair" : "foul");
  judge(r);
  log_->write(r);
  return r;
}

} // namespace

Result run_cores(std::uint64_t seed, PacketPool packets, const Watch& watch) {
  return play<CoreWorld>(seed, packets, watch);
}

} // namespace tern::campaign
