// tern client: a load for any TCP server, over any port.
#include <fmt/format.h>

#include "app/client/crew.hpp"
#include "app/command.hpp"
#include "app/server/responder.hpp"
#include "observe/text.hpp"
#include "runtime/signals.hpp"

namespace tern::app {

ClientSettings::ClientSettings() {
  load.closer = Closer::client; // of a server that we don't know nothing else can be counted on
  node.idle = IdlePolicy::Busy;
}

namespace {

void declare_client_settings(settings::Schema& s, ClientSettings& c) {
  s.group("target", "Whom to ask");
  s.add("target", c.targets,
        "servers: an address or a block of them, with a port or a range (repeat for more)");
  declare(s, c.load);
  declare(s, c.search);
  declare(s, c.output);
  declare_port_options(s, c.node);
  declare_tcp_options(s, c.node);
}

// Its own addresses, where no sources are given.
std::vector<Prefix> own_sources(const settings::Schema& s, const ClientSettings& c, bool four) {
  std::vector<Prefix> own;
  for (const Prefix& p : c.node.ip)
    if (p.base().is_v4() == four) own.emplace_back(p.base(), static_cast<std::uint8_t>(four ? 32 : 128));
  if (own.empty()) s.fail("ip", fmt::format("no IPv{} address, and the target has one", four ? 4 : 6));
  return own;
}

// Nobody answers an address that is the whole network's.
void refuse_broadcast(const settings::Schema& s, const ClientSettings& c, const Prefix& source) {
  for (const Prefix& ip : c.node.ip) {
    if (!ip.base().is_v4() || ip.length() > 30 || !source.base().is_v4()) continue;
    const std::uint32_t hosts = 0xffff'ffffU >> ip.length();
    const Ip4 last{Be32{ip.base().v4().host() | hosts}};
    if (source.contains(Ip{last}))
      s.fail("sources", fmt::format("{} holds {}, the broadcast address of {}; name blocks without it",
                                    source.to_string(), Ip{last}.to_string(), ip.to_string()));
  }
}

ClientSettings completed(const settings::Schema& s, const ClientSettings& given) {
  ClientSettings c = given;
  if (c.targets.empty()) s.fail("target", "no target given; name a server: --target 10.0.0.2:80");
  const bool four = c.targets.front().addresses.base().is_v4();
  std::uint64_t targets = 0;
  for (const TargetRange& t : c.targets) {
    targets += t.count();
    if (t.addresses.base().is_v4() != four)
      s.fail("target", "IPv4 and IPv6 targets at once; run two clients");
  }
  constexpr std::uint64_t most_targets = 65'536;
  if (targets > most_targets)
    s.fail("target", fmt::format("{} targets are more than {}", targets, most_targets));
  if (c.node.port.empty())
    s.fail("port", "no port given; name a NIC (0000:03:00.0) or a software one (net_tap0,iface=tern0)");
  if (c.load.sources.empty()) c.load.sources = own_sources(s, c, four);
  for (const Prefix& p : c.load.sources) {
    if (p.base().is_v4() != four) s.fail("sources", "of another family than the targets");
    refuse_broadcast(s, c, p);
  }
  prepare(s, c.search, c.load);
  check(s, c.load, c.node, targets);
  check(s, c.output);
  return c;
}

LoadTexts texts_of(const settings::Schema& s, const ClientSettings& c) {
  LoadTexts t;
  if (c.load.payload == PayloadKind::http) {
    const Ip host = c.targets.front().addresses.base();
    const std::string name = host.is_v4() ? host.to_string() : "[" + host.to_string() + "]";
    t.request = http_request(s, c.load, name, false);
    t.last_request = http_request(s, c.load, name, true);
    return t;
  }
  t.request.assign(c.load.request_size, 'q');
  t.response = response_text(c.load.response_size);
  return t;
}

int run(const settings::Schema& schema, const ClientSettings& given) {
  ClientSettings c = completed(schema, given);
  const LoadTexts texts = texts_of(schema, c);
  catch_stop_signals();
  Crew crew(schema, c, texts);
  observe::Result result;
  settings::Schema in_force;
  declare_client_settings(in_force, c);
  describe_run(result, in_force, "client");
  crew.run(result);
  const unsigned leaked = crew.close();
  if (!crew.unreachable().empty()) schema.fail("target", crew.unreachable());
  if (leaked != 0)
    result.summary.notes.push_back(fmt::format("{} packets were not given back: a bug of tern's", leaked));
  fmt::print("{}", summary_text(result));
  return write_reports(c.output, result) && !result.summary.interrupted ? 0 : 1;
}

} // namespace

Run declare_client(CLI::App& app) {
  return command_of<ClientSettings>(app, declare_client_settings, run, "concurrency");
}

} // namespace tern::app
