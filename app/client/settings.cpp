#include "app/client/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "app/server/responder.hpp"
#include "observe/units.hpp"
#include "runtime/shard.hpp"

namespace tern::app {

using settings::Range;

void declare(settings::Schema& s, LoadSettings& l, std::vector<OfPort<Prefix>>* sources) {
  s.group("load", "What to offer");
  s.add("cps", l.cps,
        "connections a second: open loop, evenly paced; max: closed loop, as fast as they are answered");
  s.add("concurrency", l.concurrency,
        "hold so many open: the oldest asks as a new one opens; with more than one request each, all ask",
        Range{0U, 20'000'000U});
  s.add("in_progress", l.in_progress,
        "with --cps max: connections that are opening, asking or closing at once; at a rate nothing is "
        "bounded until opens are late: then four times as many, or more where more helps",
        Range{1U, 1U << 20});
  s.add("connections", l.connections,
        "stop after so many connections, or after --duration where that is given and over first (0: after "
        "--duration)");
  s.add("requests_per_connection", l.requests, "one after another; 0: until the run ends");
  s.add("rps", l.rps,
        "requests a second, on all connections that are kept: open loop, evenly paced; max: each asks when "
        "it may");
  s.add("think", l.think, "from a response to the next request on its connection",
        Range{Duration{}, Duration::seconds(3600)});
  s.add("request_size", l.request_size, "bytes of a request (http: at least)",
        Range{1U, Responder::most_request});
  s.add("response_size", l.response_size, "bytes of a response (http: of its body)",
        Range{1U, Responder::most_response});
  s.choice<PayloadKind>("payload", l.payload, "what is asked and answered",
                        {{"tcp", PayloadKind::tcp}, {"http", PayloadKind::http}});
  s.choice<Closer>("close", l.closer, "who ends a connection: FIN from one side, or the client's RST",
                   {{"client", Closer::client}, {"server", Closer::server}, {"reset", Closer::reset}});
  s.add("duration", l.duration,
        "how long to measure, after --ramp and --warmup; without these, from when the way to the target is "
        "found",
        Range{Duration::ms(10), Duration::seconds(86'400)});
  s.add("ramp", l.ramp, "time to reach the rate or the concurrency, evenly",
        Range{Duration{}, Duration::seconds(86'400)});
  s.add("warmup", l.warmup, "time at the full load before it is measured",
        Range{Duration{}, Duration::seconds(86'400)});
  constexpr const char* about_sources =
      "client addresses, single or whole blocks (10.1.0.7/16 is all of 10.1.0.0/16)";
  if (sources == nullptr)
    s.add("sources", l.sources, about_sources);
  else
    s.add("sources", *sources, std::string{about_sources} + "; one port's name it: 10.1.0.0/16@2");
  s.add("source_ports", l.source_ports, "client ports");
  s.add("timeout", l.timeout, "a connection that makes no step for so long has failed",
        Range{Duration::ms(1), Duration::seconds(3600)});
  s.add("verify", l.verify,
        "compare every byte of every response: with --payload http with the first of its target, with tcp "
        "with what "
        "tern server --mode respond answers");
  s.add("seed", l.seed,
        sources == nullptr ? "of the order of ports, and of the link's harm" : "of the order of ports");
}

namespace {

// How long a pair of endpoints rests after its connection, before it is used again.
double rest_seconds(const LoadSettings& l, const tcp::Settings& t) {
  if (l.closer == Closer::reset) return 0;
  // With timestamps the peer takes a new SYN at once, and our own record lets it go after a second
  // (RFC 6191).
  if (t.timestamps) return l.closer == Closer::client ? std::min(1.0, t.time_wait.as_seconds()) : 0;
  return t.time_wait.as_seconds();
}

double seconds_of(const LoadSettings& l) {
  if (!l.timed()) return 1e18; // their number ends the run, whenever that is
  return (l.duration + l.ramp + l.warmup).as_seconds() + 1;
}

// How long a connection stays open however fast its server is, where nothing bounds how many do.
double thinking_seconds(const LoadSettings& l) {
  return l.requests == 0 || l.concurrency != 0
             ? 0
             : std::min((l.requests - 1) * l.think.as_seconds(), seconds_of(l));
}

// How many the load opens at once however fast its server is.
std::uint64_t open_at_once(const LoadSettings& l) {
  const bool stay = l.requests != 1 && l.concurrency != 0; // they are held, and open once
  std::uint64_t n = l.concurrency;
  if (l.cps.is_max() && !stay) n += l.in_progress; // a bound of the closed loop alone
  return (l.connections != 0 ? std::min(n, l.connections) : n) + l.bad_connections();
}

// Of endpoints, that a connection can have.
struct Pairs {
  std::uint64_t addresses = 0;
  std::uint64_t ports = 0;
  std::uint64_t targets = 0;
  [[nodiscard]] std::uint64_t all() const { return addresses * ports * targets; }
  [[nodiscard]] std::string text() const {
    return fmt::format("{} sources x {} ports x {} targets", addresses, ports, targets);
  }
};
Pairs pairs_of(const LoadSettings& l, std::uint64_t targets) {
  Pairs p{.targets = targets};
  for (const Prefix& s : l.sources) p.addresses += s.count();
  p.ports = static_cast<std::uint64_t>(l.source_ports.last.raw() - l.source_ports.first.raw()) + 1;
  return p;
}

void check_sources(const settings::Schema& s, const LoadSettings& l, const NodeSettings& n,
                   std::uint64_t targets) {
  const tcp::Settings& t = n.tcp;
  if (l.source_ports.first.raw() == 0)
    s.fail("source_ports", "0 is no port; name a range that begins with 1 or more");
  for (const Prefix& p : l.sources) refuse_no_hosts(s, sources_option(s), which_port(n), p);
  for (const Prefix& p : l.sources)
    if (p.count() > 1U << 24)
      s.fail("sources",
             which_port(n) + p.to_string() + " is more than 16 million addresses; name a longer prefix");
  for (std::size_t i = 0; i < l.sources.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (l.sources[i].contains(l.sources[k].base()) || l.sources[k].contains(l.sources[i].base()))
        s.fail(sources_option(s), fmt::format("{}{} and {} overlap; name each address once", which_port(n),
                                              l.sources[k].to_string(), l.sources[i].to_string()));
  const Pairs pairs = pairs_of(l, targets);
  const std::string have =
      fmt::format("{}{} = {} connections at once", which_port(n), pairs.text(), pairs.all());
  constexpr const char* cure = "name a larger prefix, such as 10.1.0.0/16";
  const std::uint64_t open = open_at_once(l);
  if (pairs.all() < open)
    s.fail("sources", fmt::format("{}, fewer than the {} {}asked for; {}", have, open,
                                  n.number == 0 ? "" : "of its share that are ", cure));
  if (l.cps.is_max()) return;
  const double rest =
      l.requests == 0 ? 0 : std::min(rest_seconds(l, t), seconds_of(l)); // else none ends before the run
  const char* others = t.timestamps ? ", or --close server" : ", or a shorter --time-wait, or --close reset";
  double resting = static_cast<double>(l.cps.per_second) * (rest + thinking_seconds(l)) + l.concurrency;
  if (l.connections != 0) resting = std::min(resting, static_cast<double>(l.connections));
  if (static_cast<double>(pairs.all()) < resting)
    s.fail("sources",
           fmt::format("{}, fewer than the {:.0f} that are open{} at {} rate; {}{}", have, resting,
                       rest > 0 ? " or rest in TIME-WAIT" : "", n.number == 0 ? "this" : "its share of this",
                       cure, rest > 0 ? others : ""));
}

} // namespace

void check(const settings::Schema& s, const LoadSettings& l, const NodeSettings& n, std::uint64_t targets) {
  if (l.requests == 0 && l.connections != 0)
    s.fail("connections", "with --requests-per-connection 0 none ends before the run does; give --duration");
  if (l.requests == 0 && l.concurrency == 0 && !l.cps.is_max())
    s.fail("requests_per_connection", "0 keeps every connection: say how many with --concurrency");
  if (l.requests == 1 && l.think > Duration{})
    s.fail("think", "one request is followed by none; see --requests-per-connection");
  if (!l.rps.is_max()) {
    if (l.rps.per_second == 0) s.fail("rps", "0 asks nothing; give a rate, or max");
    if (l.requests == 1)
      s.fail("rps", "a connection with one request is paced by --cps; see --requests-per-connection");
    if (l.concurrency == 0) s.fail("rps", "on how many connections? see --concurrency");
    if (l.think > Duration{}) s.fail("rps", "either a rate of requests, or --think");
  }
  if (l.closer == Closer::server && l.requests > Responder::most_counted)
    s.fail("requests_per_connection",
           fmt::format("a server that closes counts to {}; choose --close client", Responder::most_counted));
  if (!l.cps.is_max() && l.cps.per_second == 0) s.fail("cps", "0 opens nothing; give a rate, or max");
  check_sources(s, l, n, targets);
}

LoadPlan plan_of(const LoadSettings& l, const LoadTexts& texts, std::vector<Endpoint> targets) {
  LoadPlan p;
  p.targets = std::move(targets);
  for (const Prefix& source : l.sources)
    p.sources.add(source.first(), static_cast<std::uint32_t>(source.count()));
  p.ports = {l.source_ports.first.raw(), l.source_ports.last.raw()};
  p.payload = l.payload;
  p.closer = l.closer;
  p.request = texts.request;
  p.last_request = texts.last_request.empty() ? texts.request : texts.last_request;
  p.response = texts.response;
  p.verify = l.verify;
  p.in_progress = l.in_progress;
  p.concurrency = l.concurrency;
  // Closed loop: whoever keeps connections and does not say how many keeps as many as may be in progress.
  if (p.concurrency == 0 && l.requests != 1 && l.cps.is_max()) p.concurrency = l.in_progress;
  p.connections = l.connections;
  p.requests = l.requests;
  p.think = l.think;
  p.rps = l.rps.is_max() ? 0 : static_cast<double>(l.rps.per_second);
  p.bad = l.bad;
  p.ramp = l.ramp;
  p.settles = l.ramp + l.warmup > Duration{};
  if (l.timed() && !l.searched) p.offered = l.ramp + l.warmup + l.duration;
  p.timeout = l.timeout;
  p.seed = l.seed;
  return p;
}

namespace {

// Of n things, those of one core: they differ by one at most.
template <class N>
N part(N n, std::uint32_t core, std::uint32_t cores) {
  return n / cores + (core < n % cores ? 1 : 0);
}

} // namespace

LoadPlan share_of(const LoadPlan& whole, std::uint32_t core, std::uint32_t cores) {
  LoadPlan p = whole;
  // A share of nothing would be no limit: where there are fewer connections than cores, the last of these rest.
  for (const std::uint64_t limit : {whole.connections, std::uint64_t{whole.concurrency}})
    if (limit != 0) cores = static_cast<std::uint32_t>(std::min<std::uint64_t>(cores, limit));
  if (core >= cores) {
    p.rests = true;
    p.bad = {};
    return p;
  }
  p.share = 1.0 / cores;
  p.concurrency = part(whole.concurrency, core, cores);
  p.in_progress = std::max(1U, part(whole.in_progress, core, cores));
  p.connections = part(whole.connections, core, cores);
  for (std::size_t i = 0; i < vices; ++i) p.bad[i] = part(whole.bad[i], core, cores);
  p.seed = whole.seed + core;
  return p;
}

std::string http_request(const settings::Schema& s, const LoadSettings& l, const std::string& host,
                         bool last) {
  std::string text = "GET / HTTP/1.1\r\nHost: " + host + "\r\n";
  if (last && l.closer == Closer::server) text += "Connection: close\r\n";
  constexpr std::string_view pad = "X-Pad: \r\n"; // its least
  if (l.request_size > 4096) s.fail("request_size", "a request with --payload http has 4096 bytes at most");
  if (text.size() + 2 < l.request_size) {
    const std::size_t lacks = l.request_size - text.size() - 2;
    text += "X-Pad: " + std::string(std::max(lacks, pad.size()) - pad.size(), 'q') + "\r\n";
  }
  return text + "\r\n";
}

namespace {

// Open loop: what comes in two seconds may be under way at once, for a server that is slow to answer.
std::uint64_t flowing(const LoadSettings& l) {
  if (l.cps.is_max()) return 0;
  const auto rate = static_cast<double>(l.cps.per_second);
  const double all = std::min(2 * rate, 2e6) + rate * thinking_seconds(l);
  return static_cast<std::uint64_t>(
      std::min(all, l.connections != 0 ? static_cast<double>(l.connections) : 1e18));
}

} // namespace

std::uint32_t connection_records(const LoadSettings& l) {
  const std::uint64_t all =
      std::uint64_t{l.concurrency} + 4 * l.in_progress + 4096 + flowing(l) + l.bad_connections();
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(all, 1U << 30));
}

void derive_records(settings::Schema& s) {
  for (const char* name : {"max_connections", "time_wait_records"}) s.derived(name, "what the load wants");
}

const char* sources_option(const settings::Schema& s) {
  return s.given("sources") ? "sources" : "ip";
}

const char* connections_option(const settings::Schema& s, const LoadSettings& l, bool searches) {
  // A search may try any rate; and the few that every run has are nobody's wish.
  if (s.given("max_connections") || searches) return "max_connections";
  const std::pair<std::uint64_t, const char*> parts[] = {{4096, "max_connections"},
                                                         {l.concurrency, "concurrency"},
                                                         {4 * l.in_progress, "in_progress"},
                                                         {flowing(l), "cps"},
                                                         {l.bad_connections(), "attack"}};
  return std::max_element(std::begin(parts), std::end(parts),
                          [](const auto& a, const auto& b) { return a.first < b.first; })
      ->second;
}

namespace {

constexpr double most_closes = 4e6; // no core closes more a second
constexpr double bytes_each = 43;   // a TIME-WAIT record, its share of a chunk, its place in the flow table

double closes_a_second(const LoadSettings& l) {
  return l.cps.is_max() ? most_closes : static_cast<double>(l.cps.per_second) * 1.1;
}
double time_wait_wanted(const LoadSettings& l, Duration time_wait) {
  double wanted = closes_a_second(l) * std::min(seconds_of(l), time_wait.as_seconds());
  // Connections that stay close once, at the end.
  if (l.requests == 0) wanted = static_cast<double>(connection_records(l));
  if (l.connections != 0) wanted = std::min(wanted, static_cast<double>(l.connections) + 1000);
  return wanted;
}

} // namespace

std::uint32_t time_wait_records(const LoadSettings& l, const NodeSettings& n) {
  std::uint64_t room = std::min(process_arena().memory(), compact_reach);
  if (n.memory.n > n.packet_memory.n) room = std::min(room, n.memory.n - n.packet_memory.n);
  constexpr double least = 65536;
  const double most = std::max(static_cast<double>(room) / 4 / bytes_each, least);
  return static_cast<std::uint32_t>(std::clamp(time_wait_wanted(l, n.tcp.time_wait), least, most));
}

bool client_keeps_time_wait(const LoadSettings& l) {
  return l.closer == Closer::client || l.requests == 0;
}

std::uint32_t connections_ready(const LoadSettings& l) {
  constexpr std::uint32_t most = 2'000'000; // half a GB, a second or two
  return std::min(connection_records(l), most);
}

void make_time_waits_ready(ShardSettings& s, const LoadSettings& l, bool four) {
  constexpr std::uint32_t most = 24'000'000; // 0.8 GB of IPv4, a second or two
  (four ? s.time_waits_ready4 : s.time_waits_ready6) =
      std::min(l.cps.is_max() ? s.time_wait_records / 2 : s.time_wait_records, most);
}

std::uint64_t most_pairs(const LoadSettings& l, std::uint64_t targets) {
  return pairs_of(l, targets).all();
}

std::uint64_t rest_of_pairs(const LoadSettings& l, std::uint64_t targets) {
  const std::uint64_t all = most_pairs(l, targets);
  return std::max<std::uint64_t>(all + all / 8, 65'536);
}

std::string time_wait_line(const LoadSettings& l, Duration time_wait, std::uint64_t pairs,
                           std::uint32_t records) {
  const double wanted = std::min(time_wait_wanted(l, time_wait), static_cast<double>(pairs));
  const bool short_of = static_cast<double>(records) < wanted;
  return fmt::format("TIME-WAIT: up to {} records in {:.0f} s of {} B, {}; room for {}{}",
                     observe::short_count(wanted), std::min(seconds_of(l), time_wait.as_seconds()),
                     static_cast<int>(bytes_each), observe::short_bytes(wanted * bytes_each),
                     observe::short_count(static_cast<double>(records)),
                     short_of ? ": beyond it the oldest go early, counted; --time-wait shortens it" : "");
}

namespace {

// A server that closes first has each pair in TIME-WAIT after its connection, for as long as ours has, as far as we know. Where
// they come again before that is over, it lets their SYN in for its newer timestamp, as tern and Linux do, or answers late.
std::string met_again_line(const LoadSettings& l, const tcp::Settings& t, const Pairs& pairs) {
  const auto have = static_cast<double>(pairs.all());
  const double window = std::min(t.time_wait.as_seconds(), seconds_of(l));
  double needed = window * (l.cps.is_max() ? most_closes : static_cast<double>(l.cps.per_second));
  if (l.connections != 0) needed = std::min(needed, static_cast<double>(l.connections));
  const bool others =
      l.requests == 0 || (l.cps.is_max() && l.requests != 1); // opens are few, nobody knows how many
  if (others || have >= needed) return {};
  if (l.cps.is_max())
    return fmt::format(
        "sources: {}: after {} connections pairs come again, while the server may still have them in "
        "TIME-WAIT; tern and Linux let a newer timestamp in at once, others answer late: a larger --sources "
        "prefix puts it off",
        pairs.text(), observe::short_count(have));
  constexpr double most_ports = 64'512;
  const double ports = std::ceil(needed / static_cast<double>(pairs.addresses * pairs.targets));
  const double addresses = std::ceil(needed / static_cast<double>(pairs.ports * pairs.targets));
  return fmt::format(
      "sources: {}: at this rate each pair comes again after {}: opens wait where connections last "
      "longer, and the server still has it in TIME-WAIT (tern and Linux let a newer timestamp in at once, "
      "others answer late); {:.0f} --sources{} are enough for none to come again so soon",
      pairs.text(), observe::short_time_us(1e6 * have / static_cast<double>(l.cps.per_second)), addresses,
      ports <= most_ports ? fmt::format(" or {:.0f} --source-ports", ports) : "");
}

} // namespace

std::string sources_line(const LoadSettings& l, const tcp::Settings& t, std::uint64_t targets) {
  const double rest = rest_seconds(l, t);
  const Pairs pairs = pairs_of(l, targets);
  if (l.closer == Closer::server && t.timestamps) return met_again_line(l, t, pairs);
  if (!l.cps.is_max() || l.requests != 1 || rest * most_closes < static_cast<double>(pairs.all())) return {};
  return fmt::format(
      "sources: {}, and each pair rests {:.4g} s in TIME-WAIT: {} connections a second at most; a "
      "larger --sources prefix{} lifts that",
      pairs.text(), rest, observe::short_count(static_cast<double>(pairs.all()) / rest),
      t.timestamps ? ", or --close server," : ", or a shorter --time-wait,");
}

} // namespace tern::app
