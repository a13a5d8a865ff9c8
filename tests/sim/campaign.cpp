#include "campaign.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "party.hpp"
#include "run_log.hpp"
#include "weather.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::campaign {

using sim::Random;
using tcp::CloseReason;

namespace {

constexpr Instant patience = Instant{} + Duration::seconds(1200); // then whoever still lives is aborted
constexpr Instant the_end = Instant{} + Duration::seconds(2000);  // by then all must be at rest

Plan random_plan(Random& r, bool fair, bool may_wait) {
  Plan p;
  p.total = r.chance(0.1) ? 0 : r.chance(0.1) ? r.between(1, 600'000) : r.skewed(17);
  p.write_most = static_cast<std::uint32_t>(std::min<std::uint64_t>(r.skewed(16), pattern_most));
  // Small writes are few: a run is not to spend its time on one connection's single bytes.
  p.write_most = std::max<std::uint32_t>(p.write_most, static_cast<std::uint32_t>(p.total / 400 + 1));
  p.write_kind = static_cast<int>(r.below(4));
  if (r.chance(0.3)) p.think = Duration::us(static_cast<std::int64_t>(r.skewed(18)));
  if (r.chance(0.3)) p.read_delay = Duration::us(static_cast<std::int64_t>(r.skewed(19)));
  p.pauses = r.chance(0.2);
  p.wait_for_eof = may_wait && r.chance(0.5);
  if (!fair && r.chance(0.3)) {
    p.end = r.chance(0.5)   ? End::Abort
            : r.chance(0.4) ? End::Release
            : r.chance(0.5) ? End::Drain
                            : End::CloseFirst;
    p.end_after = r.between(0, p.total * 2);
  }
  return p;
}

// Serves connections that nobody planned: sends them away.
class Ghost final : public sim::App {
 public:
  void established(EngineHost& h, ConnId id) override {
    ++served;
    h.abort(id);
  }
  void data(EngineHost& h, ConnId id, Packet text) override { h.release_received(id, text.length()); }
  std::uint32_t served = 0;
};

class World {
 public:
  World(std::uint64_t seed, PacketPool packets)
      : random_(seed), net_(seed), packets_(packets), fair_(random_.chance(0.6)) {}

  Result run(const Watch& watch);

 private:
  struct Machine {
    Ip4 address;
    std::unique_ptr<EngineHost> host;
    bool scarce = false; // too few records for what it is asked to do
  };
  struct Flow {
    std::size_t client = 0;
    std::size_t server = 0;
    Port from;
    Port to;
    std::unique_ptr<Party> a;
    std::unique_ptr<Party> b;
    bool simultaneous = false;
  };

  void build();
  void add_machine(std::size_t i);
  void add_flow(std::size_t i);
  void add_faults();
  void spray(std::size_t victim);
  void judge(Result& result) const;
  void judge(const Flow& f, Result& result) const;
  void judge_stream(const Flow& f, const Party& from, const Party& to, Result& result) const;
  static void say(Result& r, std::string what) {
    if (!r.wrong) r.wrong = std::move(what);
  }

  Random random_;
  sim::Network net_;
  PacketPool packets_;
  bool fair_; // nothing happens that a TCP need not survive
  std::vector<Machine> machines_;
  std::vector<std::unique_ptr<Flow>> flows_;
  std::vector<sim::LinkId> links_;
  Ghost ghost_;
};

void World::add_machine(std::size_t i) {
  Random r = random_.split(100 + i);
  sim::EngineHostSettings s;
  s.tcp = random_settings(r, fair_);
  s.key = {r.next(), r.next()};
  s.cookies = r.chance(0.15)  ? tcp::CookieMode::Always
              : r.chance(0.2) ? tcp::CookieMode::Never
                              : tcp::CookieMode::Auto;
  Machine m;
  m.address = Ip4{10, 0, 0, static_cast<std::uint8_t>(i + 1)};
  if (!fair_ && r.chance(0.2)) {
    m.scarce = true;
    s.records = {.recovery = static_cast<std::uint32_t>(r.below(3)),
                 .tx_log = static_cast<std::uint32_t>(r.below(20)),
                 .reassembly = static_cast<std::uint32_t>(r.below(3)),
                 .ranges = static_cast<std::uint32_t>(r.below(10)),
                 .send_queues = static_cast<std::uint32_t>(r.below(4)),
                 .pieces = static_cast<std::uint32_t>(r.below(20))};
  }
  m.host = std::make_unique<EngineHost>(fmt::format("h{}", i + 1), m.address, packets_, s);
  if (s.cookies == tcp::CookieMode::Never && r.chance(0.7)) {
    // Numbers beside the wrap-around. A cookie is its own number, so only where there are none.
    auto draw = std::make_shared<Random>(r.split(1));
    m.host->choose_isn = [draw](Port, Ip4, Port) {
      return Seq{0U - static_cast<std::uint32_t>(draw->below(100'000))};
    };
  }
  machines_.push_back(std::move(m));
}

void World::build() {
  const std::size_t hosts = random_.between(2, 4);
  for (std::size_t i = 0; i < hosts; ++i) add_machine(i);
  const bool routed = hosts > 2 || random_.chance(0.3);
  const sim::NodeId router = routed ? net_.add_router("r", Ip4{10, 0, 0, 254}) : 0;
  std::vector<sim::NodeId> ids;
  for (Machine& m : machines_) ids.push_back(net_.add_host(m.host->name(), m.address, *m.host));
  Random r = random_.split(1);
  if (!routed) {
    links_.push_back(net_.add_link(ids[0], ids[1], random_link(r, fair_), random_link(r, fair_)));
  } else {
    for (const sim::NodeId id : ids)
      links_.push_back(net_.add_link(id, router, random_link(r, fair_), random_link(r, fair_)));
  }
  const std::size_t flows = random_.between(1, 8);
  for (std::size_t i = 0; i < flows; ++i) add_flow(i);
  for (Machine& m : machines_)
    m.host->listen(Port{80}, [this, address = m.address](Ip4 remote, Port port) -> sim::App& {
      for (auto& f : flows_)
        if (machines_[f->server].address == address && machines_[f->client].address == remote &&
            f->from == port && !f->simultaneous && !f->b->was_established() && !f->b->over())
          return *f->b;
      return ghost_; // a cookie's ACK that came twice makes a connection that nobody planned
    });
  if (!fair_) add_faults();
}

void World::add_flow(std::size_t i) {
  Random r = random_.split(200 + i);
  auto f = std::make_unique<Flow>();
  f->client = r.below(machines_.size());
  f->server = (f->client + 1 + r.below(machines_.size() - 1)) % machines_.size();
  f->from = Port{static_cast<std::uint16_t>(1000 + i)};
  f->simultaneous = r.chance(0.08);
  f->to = f->simultaneous ? Port{static_cast<std::uint16_t>(2000 + i)} : Port{80};
  const auto stream = static_cast<std::uint32_t>(2 * i);
  const bool a_waits = r.chance(0.3);
  Plan client = random_plan(r, fair_, a_waits);
  // Under cookies a lost third segment is mended by what the client says next; one that only listens waits
  // for ever. In fair weather every client has something to say.
  if (fair_ && client.wait_for_eof && client.total == 0) client.total = 1;
  f->a = std::make_unique<Party>(net_, packets_, client, stream, stream + 1, r.split(1));
  f->b = std::make_unique<Party>(net_, packets_, random_plan(r, fair_, !a_waits), stream + 1, stream,
                                 r.split(2));
  Flow& flow = *f;
  net_.after(Duration::us(static_cast<std::int64_t>(r.below(3'000'000))), [this, &flow] {
    EngineHost& h = *machines_[flow.client].host;
    flow.a->opens(h, h.connect(flow.from, machines_[flow.server].address, flow.to, *flow.a));
    if (!flow.simultaneous) return;
    EngineHost& other = *machines_[flow.server].host;
    flow.b->opens(other, other.connect(flow.to, machines_[flow.client].address, flow.from, *flow.b));
  });
  flows_.push_back(std::move(f));
}

// Segments from off the path, at the numbers of a blind attacker.
void World::spray(std::size_t victim) {
  Random r = random_.split(300 + victim);
  for (int i = 0; i < 30; ++i) {
    const Flow& f = *flows_[r.below(flows_.size())];
    wire::Tcp h;
    h.src = f.from;
    h.dst = f.to;
    h.seq = Seq{r.word()};
    h.ack = Seq{r.word()};
    constexpr std::uint8_t kinds[] = {wire::tcp_flag::rst, wire::tcp_flag::syn,
                                      wire::tcp_flag::rst | wire::tcp_flag::ack, wire::tcp_flag::ack,
                                      wire::tcp_flag::fin};
    h.flags = kinds[r.below(std::size(kinds))];
    h.window = static_cast<std::uint16_t>(r.word());
    sim::Frame frame;
    wire::emit_tcp(h, sim::start_ip(frame, wire::emitted_length(h)).data());
    sim::seal_tcp(frame, machines_[f.client].address, machines_[f.server].address, sim::Ecn::not_ect);
    net_.inject(std::move(frame), Duration::ms(static_cast<std::int64_t>(r.below(5000))));
  }
}

void World::add_faults() {
  Random r = random_.split(2);
  for (int i = 0; i < 4; ++i) {
    const sim::LinkId link = links_[r.below(links_.size())] + static_cast<sim::LinkId>(r.below(2));
    const Duration when = random_ms(r, 1, 10'000);
    switch (r.below(4)) {
      case 0:
        net_.after(when, [this, link, d = random_ms(r, 10, 4000)] { net_.link(link).pause(d, net_.now()); });
        break;
      case 1:
        net_.after(when, [this, link, mtu = r.between(576, 1500)] {
          net_.link(link).settings().mtu = static_cast<std::uint16_t>(mtu);
        });
        break;
      case 2:
        net_.after(when, [this, link, d = random_ms(r, 1, 300)] { net_.link(link).settings().delay = d; });
        break;
      default:
        break;
    }
  }
  if (r.chance(0.3)) spray(0);
  if (r.chance(0.1)) {
    const std::size_t which = r.below(machines_.size());
    net_.after(random_ms(r, 1, 5'000), [this, which] {
      for (auto& f : flows_) {
        if (f->client == which && !f->a->over() && f->a->begun()) f->a->host_crashed();
        if (f->server == which && !f->b->over() && f->b->was_established()) f->b->host_crashed();
      }
      machines_[which].host->crash();
    });
  }
}

// What one side read is what the other wrote: all of it if the FIN was reached, else a beginning of it.
void World::judge_stream(const Flow& f, const Party& from, const Party& to, Result& result) const {
  const std::string name = fmt::format("flow {}:{}", machines_[f.client].host->name(), f.from.raw());
  if (from.wrong()) say(result, fmt::format("{}: {}", name, *from.wrong()));
  if (to.read() > from.accepted())
    say(result, fmt::format("{}: read {} of {} written", name, to.read(), from.accepted()));
  if (to.eof() && to.read() != from.accepted())
    say(result, fmt::format("{}: FIN after {} of {} bytes", name, to.read(), from.accepted()));
  if (from.reason() == CloseReason::Done && from.all_written() && !to.crashed() && to.was_established() &&
      !to.struck() && !to.gave_up() && to.reason() != CloseReason::TimedOut && to.read() != from.accepted())
    say(result, fmt::format("{}: done, but {} of {} bytes were read", name, to.read(), from.accepted()));
  result.bytes += to.read();
}

void World::judge(const Flow& f, Result& result) const {
  judge_stream(f, *f.a, *f.b, result);
  judge_stream(f, *f.b, *f.a, result);
  const std::string name = fmt::format("flow {}:{}", machines_[f.client].host->name(), f.from.raw());
  for (const Party* p : {f.a.get(), f.b.get()}) {
    if (!p->over()) {
      if (p->was_established() || p == f.a.get()) say(result, name + ": never ended");
      ++result.ends["never opened"];
      continue;
    }
    if (!p->crashed() && p->reason() == CloseReason::None) say(result, name + ": ended without a reason");
    ++result.ends[p->crashed() ? "crashed" : tcp::name_of(p->reason())];
    if (fair_ && p->reason() != CloseReason::Done)
      say(result, fmt::format("{}: ended by '{}' in fair weather{}", name, tcp::name_of(p->reason()),
                              p->gave_up() ? " (patience ended)" : ""));
  }
}

void World::judge(Result& result) const {
  for (const auto& f : flows_) judge(*f, result);
  if (ghost_.served != 0) result.ends["ghost"] += ghost_.served;
  for (const Machine& m : machines_) {
    if (m.host->broken()) say(result, *m.host->broken());
    if (m.host->open_connections() + m.host->half_open() + m.host->time_waits() != 0)
      say(result, fmt::format("{}: {} connections, {} half open, {} in TIME-WAIT are left", m.host->name(),
                              m.host->open_connections(), m.host->half_open(), m.host->time_waits()));
    if (m.host->records().used() != 0)
      say(result,
          fmt::format("{}: {} records were not given back", m.host->name(), m.host->records().used()));
    for (std::size_t i = 0; i < tcp::TcpCounters::size; ++i) {
      const auto c = static_cast<tcp::Counter>(i);
      if (m.host->count(c) != 0) result.counters[tcp::name_of(c)] += m.host->count(c);
    }
  }
  if (packets_.used() != 0) say(result, fmt::format("{} packets were not given back", packets_.used()));
}

Result World::run(const Watch& watch) {
  Result result;
  build();
  RunLog log{net_, watch};
  net_.at(patience, [this] {
    for (auto& f : flows_) f->a->give_up(), f->b->give_up();
  });
  const bool rested = net_.run_to_rest(the_end);
  if (!rested) say(result, "never came to rest");
  judge(result);
  log.write(result);
  result.connections = static_cast<std::uint32_t>(flows_.size());
  result.weather =
      fmt::format("{} hosts, {} flows, {} weather", machines_.size(), flows_.size(), fair_ ? "fair" : "foul");
  return result;
}

} // namespace

Result run(std::uint64_t seed, PacketPool packets, const Watch& watch) {
  return play<World>(seed, packets, watch);
}

} // namespace tern::campaign
