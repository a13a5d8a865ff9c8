#include "app/client/load_station.hpp"

namespace tern::app {
namespace {

observe::Failures failures_of(const Counters<Load>& c) {
  observe::Failures f;
  f.connect_timeout = c.get(Load::connect_timeout);
  f.refused = c.get(Load::refused);
  f.unreachable = c.get(Load::unreachable);
  f.reset = c.get(Load::reset);
  f.response_timeout = c.get(Load::response_timeout);
  f.short_response = c.get(Load::short_response);
  f.bad_byte = c.get(Load::bad_byte);
  return f;
}

} // namespace

Tally LoadStation::tally() const {
  const Counters<Load>& l = load->load;
  Tally t;
  t.attempted = l.get(Load::attempted);
  t.established = l.get(Load::established);
  t.completed = l.get(Load::completed);
  t.requests = l.get(Load::requests);
  t.response_bytes = l.get(Load::response_bytes);
  t.late = l.get(Load::late);
  t.starved = l.get(Load::no_port);
  t.live = load->live.load(std::memory_order_relaxed);
  t.failed = failures_of(l);
  for (const Bad b : {Bad::syn_flood, Bad::forged_ack, Bad::rst_spray}) t.attack_packets += load->bad.get(b);
  for (const auto& n : load->bad_open) t.attack_open += n.load(std::memory_order_relaxed);
  return t;
}

std::uint64_t LoadStation::busy_cycles() const {
  return Station::busy_cycles() + driving_cycles.load(std::memory_order_relaxed) +
         beside_cycles.load(std::memory_order_relaxed);
}

std::int64_t LoadStation::own_cycles() const {
  return Station::own_cycles() + static_cast<std::int64_t>(driving_cycles.load(std::memory_order_relaxed));
}

StageLatencies StageLatencies::since(const StageLatencies& earlier) const {
  return {connect.since(earlier.connect), first_byte.since(earlier.first_byte),
          response.since(earlier.response), close.since(earlier.close)};
}
void StageLatencies::merge(const StageLatencies& other) {
  connect.merge(other.connect);
  first_byte.merge(other.first_byte);
  response.merge(other.response);
  close.merge(other.close);
}
observe::Stages StageLatencies::stages() const {
  return {latency_of(connect), latency_of(first_byte), latency_of(response), latency_of(close)};
}

StageLatencies latencies_of(std::span<const LoadStation* const> stations) {
  StageLatencies all;
  for (const LoadStation* s : stations) {
    s->load->connect.add_to(all.connect);
    s->load->first_byte.add_to(all.first_byte);
    s->load->response.add_to(all.response);
    s->load->close.add_to(all.close);
  }
  return all;
}

} // namespace tern::app
