#include "runtime/shard.hpp"

#include "base/endian.hpp"

namespace tern {
namespace {

std::uint32_t flow_entries(const ShardSettings& s) {
  const std::uint64_t all =
      std::uint64_t{s.connections} + 2ULL * s.syn_records + s.time_wait_records + s.time_wait_records / 4;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(all, 0xf000'0000));
}

// How many addresses a block of /97 or longer holds.
std::uint32_t count(const Prefix& p) {
  return static_cast<std::uint32_t>(p.count());
}

ArenaRequest connections_of(const ShardSettings& s, const std::string& who) {
  return {who + " connections", s.connections, sizeof(ConnectionRecord), s.connections_ready};
}
ArenaRequest outputs_of(const ShardSettings& s, const std::string& who) {
  return {who + " output list", s.connections, sizeof(std::uint32_t)};
}
Tick lifetime_of(const ShardSettings& s) {
  return static_cast<Tick>(s.tcp.time_wait.as_ms());
}

// What is large of a core is asked for at once: where it does not fit all of it is told, not the first piece that did not.
const ShardSettings& affordable(const Arena& arena, const ShardSettings& s, const std::string& who) {
  const ArenaRequest large[] = {
      connections_of(s, who),
      outputs_of(s, who),
      GivenMarks::request(s.connections, who),
      FlowTable::request(flow_entries(s), who + " flow table"),
      TimeWaitTable<FlowKey4>::request(s.time_wait_records, lifetime_of(s), who),
      TimeWaitTable<FlowKey6>::request(s.time_wait_records / 4, lifetime_of(s), who + " IPv6")};
  arena.require(large);
  return s;
}

} // namespace

Shard::Shard(Arena& arena, const ShardSettings& s, PacketPool packets, Instant at, const std::string& who)
    : settings(affordable(arena, s, who)),
      now(at),
      side(s.long_connections),
      env{settings.tcp, tcp_counters, PacketPool{packets.raw(), &stash}, side.pools()},
      watch(packets, s.packet_reserve),
      gate(tcp::derive_secrets(s.secret), s.cookie_epoch),
      given_memory_(arena.take(GivenMarks::request(s.connections, who))),
      given_(given_memory_.data()),
      dirty_memory_(arena.take(outputs_of(s, who))),
      connection_memory_(arena.take(connections_of(s, who))),
      wheel_memory_(arena.take({who + " timers", 1, sizeof(TimerWheel<ConnectionTimer>::Heads)})),
      connections(connection_memory_.data(), s.connections),
      flows(arena, flow_entries(s), who + " flow table"),
      hasher(s.flow_seed),
      wheel(static_cast<TimerWheel<ConnectionTimer>::Heads*>(wheel_memory_.data()), at.ms32()),
      syn4(arena, s.syn_records, at.ms32(), who),
      syn6(arena, s.syn_records, at.ms32(), who + " IPv6"),
      time_wait4(arena, s.time_wait_records, lifetime_of(s), at.ms32(), who),
      time_wait6(arena, s.time_wait_records / 4, lifetime_of(s), at.ms32(), who + " IPv6"),
      dirty(static_cast<std::uint32_t*>(dirty_memory_.data())) {
  time_wait4.streams.make_ready(s.time_waits_ready4);
  time_wait6.streams.make_ready(s.time_waits_ready6);
  gate.shared_keys = s.shared_secret;
  if (s.syn_rate != 0) gate.syn_rate = TokenBucket(s.syn_rate, std::max(s.syn_rate / 10, 1U));
  gate.reset_rate = TokenBucket(s.reset_rate, std::max(s.reset_rate / 10, 1U));
}

Shard::~Shard() {
  for (std::uint32_t i = 0; i < connections.fresh(); ++i)
    if (connections.at(i).has(ConnectionRecord::in_use)) free_connection(connections.at(i));
}

void Shard::scarcity_becomes(tcp::Scarcity level) {
  if (level > env.scarcity) counters.add(CoreCounter::packets_scarce);
  if (env.scarcity == tcp::Scarcity::none) given_.begin();
  env.scarcity = level;
}

// What it holds is text that it has not read or that it passed on (rcv_held), and text that it sends.
bool Shard::takes_scarce_text(const ConnectionRecord& r) const {
  using tcp::Scarcity;
  if (env.scarcity == Scarcity::last || r.unread != nullptr || r.tcb.has(tcp::flag_reading_paused))
    return false;
  constexpr std::uint32_t a_little = 4; // segments
  if (env.scarcity == Scarcity::low) return r.tcb.rcv_held < a_little * r.tcb.rcv_mss;
  if (r.tcb.rcv_held != 0 || r.tcb.first.length != 0) return false;
  return env.scarcity == Scarcity::critical || given_.has(connections.index_of(r));
}

bool Shard::matches(FlowRef ref, const FlowKey6& key) const {
  switch (ref.kind()) {
    case FlowKind::connection: {
      const ConnectionRecord& r = connections.at(ref.index());
      return r.has(ConnectionRecord::v6) && r.key.remote_port == key.remote_port &&
             r.key.local_port == key.local_port && r.remote6 == key.remote && key6(r).local == key.local;
    }
    case FlowKind::syn_received:
      return ref.index() >= syn4.slots.capacity() &&
             syn6.slots.at(ref.index() - syn4.slots.capacity())->key == key;
    case FlowKind::time_wait:
      return false;
    case FlowKind::time_wait6:
      return time_wait6.streams.peek(ref.index()).key == key;
  }
  return false;
}

std::uint32_t Shard::address6_index(const Ip& ip) const {
  const auto& all = settings.addresses6;
  const auto single = static_cast<std::uint32_t>(std::find(all.begin(), all.end(), ip) - all.begin());
  if (single != all.size()) return single;
  std::uint32_t before = single + 1; // that number itself is nobody's
  for (const Prefix& p : settings.pools6) {
    if (p.contains(ip)) return before + (load_be<std::uint32_t>(ip.bytes().data() + 12) & (count(p) - 1));
    before += count(p);
  }
  return single;
}

std::optional<Ip> Shard::address6(std::uint32_t index) const {
  const auto& all = settings.addresses6;
  if (index < all.size()) return all[index];
  std::uint32_t past = index - static_cast<std::uint32_t>(all.size()) - 1;
  if (index == all.size()) return std::nullopt;
  for (const Prefix& p : settings.pools6) {
    if (past < count(p)) return p.at(past);
    past -= count(p);
  }
  return std::nullopt;
}

void Shard::name(ConnectionRecord& r, const FlowKey6& key) {
  r.set(ConnectionRecord::v6);
  publish_words(&r.remote6, &key.remote, sizeof key.remote);
  const FlowKey4 four{Ip4{}, Ip4{Be32{address6_index(key.local)}}, key.remote_port, key.local_port};
  publish_words(&r.key, &four, sizeof four);
}

FlowKey6 Shard::key6(const ConnectionRecord& r) const {
  return {r.remote6, address6(r.key.local.host()).value_or(Ip{}), r.key.remote_port, r.key.local_port};
}

void Shard::free_connection(ConnectionRecord& r) {
  wheel.cancel(r);
  tcp::release(env, r.tcb);
  if (r.unread != nullptr) {
    counters.add(CoreCounter::unread_payload_dropped);
    Packet{r.unread}.reset();
    r.unread = nullptr;
  }
  if (r.listener != ConnectionRecord::no_listener) --listeners[r.listener].open;
  if (env.scarcity != tcp::Scarcity::none) [[unlikely]]
    given_.clear(connections.index_of(r));
  connections.give_back(r);
}

} // namespace tern
