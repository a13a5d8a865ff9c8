// The result's fields by their JSON names, once for writer and reader: `fields(object, f)` calls f(name,
// member) for each in the order it is written, f.derived(name, value) for what follows from others and is only
// written, f.client(name, member) and f.server(name, member) for what only that side's reports hold; f.paced(name, member) is
// a client's, and says something only where opens have a rate.
#pragma once

#include <concepts>
#include <type_traits>

#include "observe/result.hpp"

namespace tern::observe {

template <class S, class T>
concept Is = std::same_as<std::remove_const_t<S>, T>; // const for the writer, not for the reader

template <Is<Failures> S, class F>
void fields(S& s, F&& f) {
  f.client("connect_timeout", s.connect_timeout);
  f.client("refused", s.refused);
  f.client("unreachable", s.unreachable);
  f("reset", s.reset);
  f.client("response_timeout", s.response_timeout);
  f.client("short_response", s.short_response);
  f.client("bad_byte", s.bad_byte);
  f.server("timed_out", s.timed_out);
  f.server("aborted", s.aborted);
  f.server("no_memory", s.no_memory);
  f.derived("total", s.total());
}

template <Is<Connections> S, class F>
void fields(S& s, F&& f) {
  f("attempted", s.attempted);
  f("established", s.established);
  f("completed", s.completed);
  f("unfinished", s.unfinished);
  f("failed", s.failed);
}

template <Is<Retransmitted> S, class F>
void fields(S& s, F&& f) {
  f("syn", s.syn);
  f("syn_ack", s.syn_ack);
  f("data", s.data);
  f("fin", s.fin);
  f("fast", s.fast);
  f("rto", s.rto);
  f("tlp", s.tlp);
  f("spurious", s.spurious);
  f.derived("total", s.total());
}

template <Is<Packets> S, class F>
void fields(S& s, F&& f) {
  f("rx", s.rx);
  f("tx", s.tx);
  f("rx_bytes", s.rx_bytes);
  f("tx_bytes", s.tx_bytes);
  f("retransmitted", s.retransmitted);
  f("out_of_order", s.out_of_order);
  f("duplicate", s.duplicate);
  f("resteered", s.resteered);
  f("tx_ring_full", s.tx_ring_full);
  f("drops", s.drops);
  f("link", s.link);
}

template <Is<Latency> S, class F>
void fields(S& s, F&& f) {
  f("count", s.count);
  f("mean", s.mean);
  f("p50", s.p50);
  f("p90", s.p90);
  f("p99", s.p99);
  f("p999", s.p999);
  f("p9999", s.p9999);
  f("max", s.max);
}

template <class S, class F>
requires Is<S, Stages> || Is<S, StageHistograms>
void fields(S& s, F&& f) {
  f("connect", s.connect);
  f("first_byte", s.first_byte);
  f("response", s.response);
  f("close", s.close);
}

template <Is<HistogramBar> S, class F>
void fields(S& s, F&& f) {
  f("from_us", s.from_us);
  f("to_us", s.to_us);
  f("count", s.count);
}

template <Is<CoreLoad> S, class F>
void fields(S& s, F&& f) {
  f("core", s.core);
  f("role", s.role);
  f("busy", s.busy);
  f("attempted", s.attempted);
  f("established", s.established);
  f("completed", s.completed);
  f("failed", s.failed);
  f("live", s.live);
  f("time_wait", s.time_wait);
  f("rx_packets", s.rx_packets);
  f("tx_packets", s.tx_packets);
  f("resteered", s.resteered);
  f("failed_by_cause", s.failed_by_cause);
  f("requests", s.requests);
  f("rx_bytes", s.rx_bytes);
  f("tx_bytes", s.tx_bytes);
  f("retransmitted", s.retransmitted);
  f("out_of_order", s.out_of_order);
  f("duplicate", s.duplicate);
  f("tx_ring_full", s.tx_ring_full);
  f("drops", s.drops);
  f("drops_by_reason", s.drops_by_reason);
  f("cycles", s.cycles);
  f.derived("cycles_per_connection", s.cycles_per_connection());
}

template <Is<CoreSummary> S, class F>
void fields(S& s, F&& f) {
  using Load = std::conditional_t<std::is_const_v<S>, const CoreLoad, CoreLoad>;
  fields(static_cast<Load&>(s), f);
  f("latency_us", s.latency_us);
}

template <Is<Interval> S, class F>
void fields(S& s, F&& f) {
  f("t", s.t);
  f("seconds", s.seconds);
  f.derived("cps", s.cps());
  f.paced("offered_cps", s.offered_cps);
  f("attempted", s.attempted);
  f("established", s.established);
  f("completed", s.completed);
  f("failed", s.failed);
  f("requests", s.requests);
  f.client("response_bytes", s.response_bytes);
  f("live", s.live);
  f("time_wait", s.time_wait);
  f("rx_packets", s.rx_packets);
  f("tx_packets", s.tx_packets);
  f("rx_bytes", s.rx_bytes);
  f("tx_bytes", s.tx_bytes);
  f("retransmitted", s.retransmitted);
  f("out_of_order", s.out_of_order);
  f("duplicate", s.duplicate);
  f("resteered", s.resteered);
  f("tx_ring_full", s.tx_ring_full);
  f("drops", s.drops);
  f("drops_by_reason", s.drops_by_reason);
  f.client("attack_packets", s.attack_packets);
  f.client("attack_open", s.attack_open);
  f.client("latency_us", s.latency_us);
  f("cores", s.cores);
}

template <Is<CyclesPerConnection> S, class F>
void fields(S& s, F&& f) {
  f.client("client", s.client);
  f("server", s.server);
}

template <Is<Memory> S, class F>
void fields(S& s, F&& f) {
  f("rss_bytes", s.rss_bytes);
  f("huge_bytes", s.huge_bytes);
  f("page_bytes", s.page_bytes);
  f("reserved", s.reserved);
}

template <Is<SearchStep> S, class F>
void fields(S& s, F&& f) {
  f("offered_cps", s.offered_cps);
  f("cps", s.cps);
  f("loss", s.loss);
  f("p99_us", s.p99_us);
  f("held", s.held);
  f("reason", s.reason);
}

template <Is<Search> S, class F>
void fields(S& s, F&& f) {
  f("found_cps", s.found_cps);
  f("stopped", s.stopped);
  f("steps", s.steps);
}

template <Is<Attack> S, class F>
void fields(S& s, F&& f) {
  f("kind", s.kind);
  f("asked", s.asked);
  f("sent", s.sent);
  f("unsent", s.unsent);
  f("established", s.established);
  f("ended", s.ended);
  f("open_peak", s.open_peak);
  f("response_bytes", s.response_bytes);
}

template <Is<Summary> S, class F>
void fields(S& s, F&& f) {
  f("seconds", s.seconds);
  f("cps", s.cps);
  f.server("accepted_per_second", s.accepted_per_second);
  f("requests_per_second", s.requests_per_second);
  f.client("response_bytes_per_second", s.response_bytes_per_second);
  f("rx_bits_per_second", s.rx_bits_per_second);
  f("tx_bits_per_second", s.tx_bits_per_second);
  f("live_peak", s.live_peak);
  f("time_wait_peak", s.time_wait_peak);
  f("connections", s.connections);
  f("requests", s.requests);
  f.client("response_bytes", s.response_bytes);
  f.client("closed_loop", s.closed_loop);
  f.client("latency_us", s.latency_us);
  f("cycles_per_connection", s.cycles_per_connection);
  f("packets", s.packets);
  f("memory", s.memory);
  f("cookie_share", s.cookie_share);
  f.client("client_limited", s.client_limited);
  f.client("client_limited_reason", s.client_limited_reason);
  f("interrupted", s.interrupted);
  f("interrupted_reason", s.interrupted_reason);
  f("cores", s.cores);
  f("notes", s.notes);
  f("search", s.search);
  f.client("attacks", s.attacks);
  f("defence", s.defence);
  f.client("histogram", s.histogram);
}

template <Is<CoreToCore> S, class F>
void fields(S& s, F&& f) {
  f("before", s.before);
  f("after", s.after);
}

template <Is<Machine> S, class F>
void fields(S& s, F&& f) {
  f("cpu", s.cpu);
  f("cores", s.cores);
  f("memory_bytes", s.memory_bytes);
  f("kernel", s.kernel);
  f("dpdk", s.dpdk);
  f("tsc_hz", s.tsc_hz);
  f("huge_page_bytes", s.huge_page_bytes);
  f("huge_pages", s.huge_pages);
  f("huge_pages_free", s.huge_pages_free);
  f("transparent_huge_pages", s.transparent_huge_pages);
  f("core_to_core_cycles", s.core_to_core_cycles);
}

template <Is<Result> S, class F>
void fields(S& s, F&& f) {
  f("schema", s.schema);
  f("version", s.version);
  f("command", s.command);
  f("started", s.started);
  f("summary", s.summary);
  f("intervals", s.intervals);
  f("config", s.config);
  f("machine", s.machine);
}

} // namespace tern::observe
