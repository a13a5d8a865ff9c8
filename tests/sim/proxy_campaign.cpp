#include "proxy_campaign.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "app/lb/path/splice.hpp"
#include "guest.hpp"
#include "run_log.hpp"
#include "weather.hpp"

namespace tern::campaign {
namespace {

namespace lb = app::lb;

constexpr Instant proxy_patience = Instant{} + Duration::seconds(900);
constexpr Instant proxy_end = Instant{} + Duration::seconds(1500);
constexpr Ip4 balancer_ip{10, 0, 2, 1};
constexpr std::uint16_t first_port = 2000; // of the client of conversation 0
constexpr Ip4 backend_ip(std::size_t i) {
  return {10, 0, 3, static_cast<std::uint8_t>(i + 1)};
}

// What one end of a conversation says, after the number that a client's text begins with.
std::string text_of(std::uint32_t number, bool up, std::size_t n) {
  std::string s(n, '\0');
  std::uint32_t seed = 2 * number + (up ? 1 : 0) + 1;
  for (char& c : s) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return s;
}

struct Conversation {
  std::size_t client = 0;
  std::string up, down;
  bool client_waits = false; // else it half-closes once it has said all
  bool backend_waits = false;
  std::uint64_t client_aborts = ~0ULL;
  std::uint64_t backend_aborts = ~0ULL;
  unsigned resets = 0;    // that the balancer sent the client
  Guest* guest = nullptr; // the client's end
};

// A machine of clients, or a backend.
struct Machine {
  std::unique_ptr<Crowd> crowd;
  std::unique_ptr<sim::CoreHost<Crowd>> host;
};

class ProxyWorld {
 public:
  ProxyWorld(std::uint64_t seed, PacketPool packets)
      : random_(seed), net_(seed), packets_(packets), fair_(random_.chance(0.6)) {}
  Result run(const Watch& watch);

 private:
  struct Balancer { // destroyed in the other order: what its Core holds, it holds to the last
    Balancer(const lb::ServiceConfig& c, std::uint32_t pairs, const sim::CoreHostSettings& s,
             PacketPool packets, PortRange ports)
        : shared(1, 1024, {3, 4}),
          splice(shared, std::make_shared<lb::Plan>(lb::make_plan({.services = {c}})), pairs, true, "sim"),
          host("lb", balancer_ip, packets, s, splice),
          plan(host.network().self(), steering, {.ports = ports}),
          dialer(plan, 0) {
      host.core().handle().set_dialer(&dialer);
    }
    lb::Shared shared;
    lb::Splice splice;
    sim::CoreHost<lb::Splice> host;
    io::Steering steering;
    DialPlan plan;
    Dialer dialer;
  };

  void say(const std::string& what) {
    if (!wrong_) wrong_ = what;
  }
  [[nodiscard]] sim::CoreHostSettings settings(sim::Random r) const;
  void add_machine(const std::string& name, Ip4 ip, sim::Random r);
  void add_balancer(std::size_t backends);
  void build();
  void plan_conversation(std::uint32_t number);
  void open(std::uint32_t number);
  void end_all();
  void note_reset(sim::Bytes frame);
  void judge(Result& r);
  void judge_backends();
  void judge_end(std::uint32_t number, const Guest& g, const std::string& whole, const char* who);
  void judge_shard(Shard& s, const std::string& who, Result& r);

  sim::Random random_;
  sim::Network net_;
  PacketPool packets_;
  bool fair_; // nothing happens that a proxied TCP need not survive
  std::size_t clients_ = 0;
  std::vector<Machine> machines_; // of clients, then backends
  std::unique_ptr<Balancer> balancer_;
  sim::NodeId balancer_node_ = 0;
  std::vector<Conversation> conversations_;
  std::optional<std::string> wrong_;
};

sim::CoreHostSettings ProxyWorld::settings(sim::Random r) const {
  sim::CoreHostSettings s;
  s.shard.tcp = random_settings(r, fair_);
  s.shard.secret = {r.next(), r.next()};
  s.shard.flow_seed = {r.next(), r.next()};
  s.shard.connections = 1024;
  s.shard.syn_records = 1024;
  s.shard.time_wait_records = 4096;
  s.shard.long_connections = 256;
  return s;
}

void ProxyWorld::add_machine(const std::string& name, Ip4 ip, sim::Random r) {
  Machine m;
  m.crowd = std::make_unique<Crowd>(net_, r.split(1));
  m.crowd->complain = [this, name](const std::string& what) { say(name + ": " + what); };
  m.crowd->pausing = r.chance(0.3) ? 0.1 : 0;
  m.crowd->introduce = [this](Guest& g) {
    if (g.number >= conversations_.size()) return say("a number that nobody has");
    const Conversation& talk = conversations_[g.number];
    g.out = talk.down;
    g.waits = talk.backend_waits;
    g.abort_after = talk.backend_aborts;
  };
  m.host = std::make_unique<sim::CoreHost<Crowd>>(name, ip, packets_, settings(r.split(2)), *m.crowd);
  m.crowd->on_stage(*m.host);
  machines_.push_back(std::move(m));
}

void ProxyWorld::add_balancer(std::size_t backends) {
  sim::Random r = random_.split(2);
  lb::ServiceConfig c;
  c.name = "web";
  c.listen = {{Ip{}, Port{80}, Port{80}}};
  c.balance = static_cast<lb::Balance>(r.below(5));
  c.send_proxy = lb::ProxyProtocol::none;
  c.timeouts.connect = fair_ ? Duration::seconds(60) : random_ms(r, 500, 5000);
  if (!fair_ && r.chance(0.3)) c.timeouts.idle = random_ms(r, 1'000, 30'000);
  if (!fair_ && r.chance(0.5)) c.check.kind = lb::CheckKind::tcp;
  for (std::size_t i = 0; i < backends; ++i) {
    c.backends.push_back({.name = fmt::format("b{}", i), .address = {Ip{backend_ip(i)}, Port{8080}}});
    // Nobody listens there. One of them in any weather: a client is given to another backend.
    if (i == 0 && r.chance(0.3)) c.backends.back().address.port = Port{8081};
    if (!fair_ && r.chance(0.1)) c.backends.back().address.ip = Ip{Ip4{10, 0, 9, 9}};
  }
  sim::CoreHostSettings s = settings(r.split(1));
  tcp::Settings& t = s.shard.tcp; // as `tern lb` sets it
  t.send_buffer = std::max({t.send_buffer, t.receive_buffer + 256, t.receive_buffer_max + 256});
  if (!fair_ && r.chance(0.3)) s.shard.connections = static_cast<std::uint32_t>(r.between(4, 60));
  const std::uint16_t last = !fair_ && r.chance(0.3) ? 1063 : 65'535;
  const auto pairs = !fair_ && r.chance(0.2) ? static_cast<std::uint32_t>(r.between(1, 20)) : 512U;
  balancer_ = std::make_unique<Balancer>(c, pairs, s, packets_, PortRange{1024, last});
  if (!fair_ && r.chance(0.3))
    balancer_->shared.bank.set_limit(0, static_cast<std::uint32_t>(r.between(1, 10)));
  if (!fair_ && r.chance(0.3))
    balancer_->shared.service_bank.set_limit(0, static_cast<std::uint32_t>(r.between(1, 30)));
  balancer_->host.listen(Port{80}, r.chance(0.2) ? tcp::CookieMode::Always : tcp::CookieMode::Auto);
}

void ProxyWorld::build() {
  clients_ = random_.between(1, 3);
  const std::size_t backends = random_.between(2, 4);
  for (std::size_t i = 0; i < clients_; ++i)
    add_machine(fmt::format("client{}", i), {10, 0, 1, static_cast<std::uint8_t>(i + 1)},
                random_.split(100 + i));
  for (std::size_t i = 0; i < backends; ++i) {
    add_machine(fmt::format("backend{}", i), backend_ip(i), random_.split(200 + i));
    machines_.back().host->listen(Port{8080});
  }
  add_balancer(backends);
  const sim::NodeId router = net_.add_router("r", Ip4{10, 0, 255, 254});
  sim::Random r = random_.split(1);
  const auto link = [&](sim::NodeId id) {
    sim::LinkSettings there = random_link(r, fair_);
    sim::LinkSettings back = random_link(r, fair_);
    if (fair_) there.mtu = back.mtu = 1500;
    net_.add_link(id, router, there, back);
  };
  for (Machine& m : machines_) link(net_.add_host(m.host->name(), m.host->address(), *m.host));
  balancer_node_ = net_.add_host("lb", balancer_ip, balancer_->host);
  link(balancer_node_);
  const auto talks = static_cast<std::uint32_t>(random_.between(10, 120));
  conversations_.resize(talks);
  for (std::uint32_t i = 0; i < talks; ++i) plan_conversation(i);
}

void ProxyWorld::plan_conversation(std::uint32_t number) {
  sim::Random r = random_.split(1'000'000 + number);
  Conversation& t = conversations_[number];
  t.client = r.below(clients_);
  t.up.assign(reinterpret_cast<const char*>(&number), 4);
  t.up += text_of(number, true, r.chance(0.2) ? r.skewed(17) : r.below(3000));
  t.down = text_of(number, false, r.chance(0.2) ? r.skewed(18) : r.below(3000));
  switch (r.below(3)) { // who ends first
    case 0:
      t.client_waits = true;
      break;
    case 1:
      t.backend_waits = true;
      break;
    default:
      break;
  }
  if (!fair_ && r.chance(0.1)) t.client_aborts = r.below(t.up.size() + t.down.size());
  if (!fair_ && r.chance(0.1)) t.backend_aborts = r.below(t.up.size() + t.down.size());
  net_.after(Duration::us(static_cast<std::int64_t>(r.below(20'000'000))), [this, number] { open(number); });
}

void ProxyWorld::open(std::uint32_t number) {
  Conversation& t = conversations_[number];
  Machine& m = machines_[t.client];
  const Connecting made =
      m.host->connect(Port{static_cast<std::uint16_t>(first_port + number)}, balancer_ip, Port{80});
  if (!made) return say("a client could not even begin");
  Guest& g = m.crowd->expect(made.connection);
  g.number = number;
  g.known = true;
  g.out = t.up;
  g.waits = t.client_waits;
  g.abort_after = t.client_aborts;
  t.guest = &g;
  m.host->turn();
}

void ProxyWorld::end_all() {
  const auto abort_all = [](Shard& s) {
    for (std::uint32_t i = 0; i < s.connections.fresh(); ++i)
      if (s.connections.at(i).has(ConnectionRecord::in_use)) s.handle(s.connections.at(i)).abort();
  };
  for (Machine& m : machines_) {
    abort_all(m.host->shard());
    m.host->turn();
  }
  balancer_->splice.on_drain(); // no more checks
  abort_all(balancer_->host.shard());
  balancer_->host.turn();
}

// What was heard is a beginning of what was said; all of it if the end was reached.
void ProxyWorld::judge_end(std::uint32_t number, const Guest& g, const std::string& whole, const char* who) {
  const auto wrong = [&](const char* what) {
    say(fmt::format("conversation {}, {}: {}: {} bytes of {}, ended by '{}'", number, who, what, g.in.size(),
                    whole.size(), tcp::name_of(g.why)));
  };
  if (!whole.starts_with(g.in)) wrong("a wrong byte");
  if (g.peer_closed && g.in.size() != whole.size()) wrong("an end that hides a part");
  if (!g.over) wrong("never ended");
  if (fair_ && (g.in.size() != whole.size() || g.why != CloseReason::Done))
    wrong("not whole in fair weather");
}

void ProxyWorld::judge_shard(Shard& s, const std::string& who, Result& r) {
  if (s.connections.used() + s.syn4.slots.used() + s.time_wait4.streams.size() + s.flows.size() +
          s.side.used() !=
      0)
    say(fmt::format(
        "{}: {} connections, {} half open, {} in TIME-WAIT, {} in the table, {} side records are left", who,
        s.connections.used(), s.syn4.slots.used(), s.time_wait4.streams.size(), s.flows.size(),
        s.side.used()));
  for (std::size_t i = 0; i < tcp::TcpCounters::size; ++i) {
    const auto c = static_cast<tcp::Counter>(i);
    if (s.tcp_counters.get(c) != 0) r.counters[tcp::name_of(c)] += s.tcp_counters.get(c);
  }
}

void ProxyWorld::note_reset(sim::Bytes frame) {
  const auto ip = sim::view_ip(frame);
  const auto tcp = ip ? sim::view_tcp(*ip) : std::nullopt;
  if (!tcp || !tcp->h.has(wire::tcp_flag::rst)) return;
  const std::size_t number = tcp->h.dst.raw() - std::size_t{first_port};
  if (tcp->h.src == Port{80} && number < conversations_.size()) ++conversations_[number].resets;
}

// A conversation comes to one backend; to another only after the balancer reset the client, and what proves a handshake
// was in the text that the client had sent again by then: a cookie (README, Limits).
void ProxyWorld::judge_backends() {
  std::vector<unsigned> heard(conversations_.size());
  for (std::size_t i = clients_; i < machines_.size(); ++i)
    for (const auto& g : machines_[i].crowd->guests()) {
      if (!g->known || g->number >= heard.size()) continue; // a try that was given up, or a check
      ++heard[g->number];
      judge_end(g->number, *g, conversations_[g->number].up, "backend");
    }
  std::uint64_t again = 0;
  for (std::size_t i = 0; i < heard.size(); ++i) {
    if (heard[i] <= 1) continue;
    again += heard[i] - 1;
    if (fair_ || heard[i] > 1 + conversations_[i].resets)
      say(fmt::format("conversation {} came to {} backends, and was reset {} times", i, heard[i],
                      conversations_[i].resets));
  }
  const std::uint64_t cookies = balancer_->host.shard().tcp_counters.get(tcp::Counter::syn_cookie_valid);
  if (again > cookies) say(fmt::format("{} came to a backend again, by {} cookies", again, cookies));
}

void ProxyWorld::judge(Result& r) {
  judge_backends();
  for (std::size_t i = clients_; i < machines_.size(); ++i)
    for (const auto& g : machines_[i].crowd->guests()) r.bytes += g->in.size();
  for (std::uint32_t i = 0; i < conversations_.size(); ++i) {
    const Conversation& t = conversations_[i];
    if (t.guest == nullptr) continue;
    ++r.connections;
    r.bytes += t.guest->in.size();
    ++r.ends[t.guest->over ? tcp::name_of(t.guest->why) : "never ended"];
    judge_end(i, *t.guest, t.down, "client");
  }
  const lb::Splice& splice = balancer_->splice;
  std::uint64_t ended = 0;
  for (std::size_t i = 0; i < lb::LbCounters::size; ++i) {
    const auto c = static_cast<lb::Count>(i);
    const std::uint64_t n = splice.counters().get(c);
    if (n != 0) r.counters["lb_" + std::string(lb::name_of(c))] += n;
    if (c >= lb::Count::ended_done && c <= lb::Count::ended_no_memory) ended += n;
  }
  if (ended != splice.counters().get(lb::Count::accepted))
    say(fmt::format("{} accepted, {} ended", splice.counters().get(lb::Count::accepted), ended));
  std::uint32_t credits = splice.open_of_service(0);
  for (lb::Slot s = 0; s < 4; ++s) credits += splice.purse().open(s);
  if (splice.pairs() + credits != 0)
    say(fmt::format("{} pairs, {} credits are left", splice.pairs(), credits));
  judge_shard(balancer_->host.shard(), "lb", r);
  for (Machine& m : machines_) judge_shard(m.host->shard(), m.host->name(), r);
  machines_.clear();
  balancer_.reset();
  if (packets_.used() != 0) say(fmt::format("{} packets were not given back", packets_.used()));
}

Result ProxyWorld::run(const Watch& watch) {
  Result r;
  build();
  const Watch own = [this, &watch](const sim::Network& net, const sim::Sighting& s) {
    if (s.what == sim::Sighting::What::sent && s.node == balancer_node_) note_reset(s.frame);
    if (watch) watch(net, s);
  };
  RunLog log{net_, own};
  net_.at(proxy_patience, [this] { end_all(); });
  if (!net_.run_to_rest(proxy_end)) say("never came to rest");
  r.weather = fmt::format("{} clients, {} backends, {} conversations, {} weather", clients_,
                          machines_.size() - clients_, conversations_.size(), fair_ ? "fair" : "foul");
  judge(r);
  r.wrong = wrong_;
  log.write(r);
  return r;
}

} // namespace

Result run_proxy(std::uint64_t seed, PacketPool packets, const Watch& watch) {
  return play<ProxyWorld>(seed, packets, watch);
}

} // namespace tern::campaign
