// What one run of a benchmark found: plain structs, filled by the program, written as JSON, CSV, text and
// HTML. config/report.schema.json describes the JSON field by field; `fields.hpp` names the fields for reader
// and writer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "observe/histogram.hpp"

namespace tern::observe {

// Grows by one whenever a field changes its meaning or goes; a new field alone does not change it.
inline constexpr int report_schema = 1;

// Who tells: who opens connections, alone or with the other end in one process, or who accepts them. What only
// the other side can know is in no report, and not told as 0.
enum class Side : std::uint8_t { client, server };

struct Failures {
  std::uint64_t connect_timeout = 0;
  std::uint64_t refused = 0;
  std::uint64_t unreachable = 0; // ICMP says so
  std::uint64_t reset = 0;
  std::uint64_t response_timeout = 0;
  std::uint64_t short_response = 0;
  std::uint64_t bad_byte = 0;
  // A server's, beside `reset`.
  std::uint64_t timed_out = 0; // retransmissions, keepalive or a time-out of TCP's gave up
  std::uint64_t aborted = 0;   // reset by us: late when we were told to stop, or by the mode's own rules
  std::uint64_t no_memory = 0;

  [[nodiscard]] std::uint64_t total() const {
    return connect_timeout + refused + unreachable + reset + response_timeout + short_response + bad_byte +
           timed_out + aborted + no_memory;
  }
  Failures& operator+=(const Failures& o);
};
struct Cause {
  const char* name; // for a person
  std::uint64_t Failures::*n;
};
[[nodiscard]] std::span<const Cause> causes_of(Side);

// attempted = completed + failed + unfinished, always; established ≥ completed. A server's begin as they are
// accepted.
struct Connections {
  std::uint64_t attempted = 0;
  std::uint64_t established = 0;
  std::uint64_t completed = 0;
  std::uint64_t unfinished = 0; // still open when the run and its drain were over
  Failures failed;
};

// Segments sent again, by what they carried; and what made us send data and FINs.
struct Retransmitted {
  std::uint64_t syn = 0;
  std::uint64_t syn_ack = 0;
  std::uint64_t data = 0;
  std::uint64_t fin = 0;
  std::uint64_t fast = 0;     // segments, by duplicate ACKs, SACK or RACK;
  std::uint64_t rto = 0;      // times that the retransmission timer fired: one segment follows, or many;
  std::uint64_t tlp = 0;      // segments, as a tail loss probe
  std::uint64_t spurious = 0; // of all: found needless afterwards

  [[nodiscard]] std::uint64_t total() const { return syn + syn_ack + data + fin; }
  Retransmitted& operator+=(const Retransmitted& o);
};

using ByName = std::map<std::string, std::uint64_t>;

struct Packets {
  std::uint64_t rx = 0;
  std::uint64_t tx = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_bytes = 0;
  Retransmitted retransmitted;
  std::uint64_t out_of_order = 0;
  std::uint64_t duplicate = 0;
  std::uint64_t resteered = 0;    // arrived on another core than their owner's
  std::uint64_t tx_ring_full = 0; // waited for room in the port's ring
  ByName drops;                   // by reason; reasons that never happened may be left out
  ByName link; // what --impair did to those that it did not lose; what never happened is left out
};

// In microseconds; all zero when nothing was recorded.
struct Latency {
  std::uint64_t count = 0;
  double mean = 0;
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
  double p999 = 0;
  double p9999 = 0;
  double max = 0;
};
[[nodiscard]] Latency latency_of(const Latencies& l);

// The four stages of a connection, each from its start. Open loop: a connect, and with --rps a request, from when it was
// meant to start.
struct Stages {
  Latency connect;    // until established
  Latency first_byte; // request sent until the response's first byte
  Latency response;   // request sent until its last
  Latency close;      // first FIN until closed or in TIME-WAIT
};

// A bar of a latency histogram, in microseconds, both ends its own.
struct HistogramBar {
  double from_us = 0;
  double to_us = 0;
  std::uint64_t count = 0;
};
using HistogramBars = std::vector<HistogramBar>;
[[nodiscard]] HistogramBars bars_of(const Latencies& l);

struct StageHistograms {
  HistogramBars connect;
  HistogramBars first_byte;
  HistogramBars response;
  HistogramBars close;
};

// One core, over an interval or the run.
struct CoreLoad {
  std::uint32_t core = 0;
  std::string role; // "client", "server" or "both"
  double busy = 0;  // share of its cycles that did work: 0 … 1
  std::uint64_t attempted = 0;
  std::uint64_t established = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  std::uint64_t live = 0;
  std::uint64_t time_wait = 0;
  std::uint64_t rx_packets = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t resteered = 0;
  ByName failed_by_cause; // those that happened
  std::uint64_t requests = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_bytes = 0;
  Retransmitted retransmitted;
  std::uint64_t out_of_order = 0;
  std::uint64_t duplicate = 0;
  std::uint64_t tx_ring_full = 0;
  std::uint64_t drops = 0;  // of all reasons
  ByName drops_by_reason;   // those that happened
  std::uint64_t cycles = 0; // TSC cycles of its connections, the port's own apart

  // For each that it completed; of a server for each that ended, whichever way. 0 of none.
  [[nodiscard]] double cycles_per_connection() const {
    const std::uint64_t n = role == "client" ? completed : completed + failed;
    return n == 0 ? 0 : static_cast<double>(cycles) / static_cast<double>(n);
  }
};

// One core over the run. Latencies, a client's, are told of the run alone: of each interval they would be the most of a
// report, and the watching thread would copy four histograms of every core each time.
struct CoreSummary : CoreLoad {
  std::optional<Stages> latency_us;
};

// What happened from `t - seconds` to `t`; counts, not rates, except where the name says so.
struct Interval {
  double t = 0;           // seconds since the run began
  double seconds = 0;     // its length
  double offered_cps = 0; // the mean of what the rate brought; where opens have none, 0
  std::uint64_t attempted = 0;
  std::uint64_t established = 0;
  std::uint64_t completed = 0;
  Failures failed;
  std::uint64_t requests = 0;       // answered in full; a server's: answered
  std::uint64_t response_bytes = 0; // of responses, received in order
  std::uint64_t live = 0;           // open at its end
  std::uint64_t time_wait = 0;      // in TIME-WAIT at its end
  std::uint64_t rx_packets = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_bytes = 0;
  Retransmitted retransmitted;
  std::uint64_t out_of_order = 0;
  std::uint64_t duplicate = 0;
  std::uint64_t resteered = 0;
  std::uint64_t tx_ring_full = 0;
  std::uint64_t drops = 0;          // of all reasons
  ByName drops_by_reason;           // those that happened
  std::uint64_t attack_packets = 0; // sent by bad clients that hold no connection
  std::uint64_t attack_open = 0;    // connections that bad clients hold at its end
  Stages latency_us;
  std::vector<CoreLoad> cores;

  [[nodiscard]] double per_second(std::uint64_t n) const {
    return seconds > 0 ? static_cast<double>(n) / seconds : 0;
  }
  [[nodiscard]] double cps() const { return per_second(completed); }
};

struct CyclesPerConnection {
  double client = 0; // TSC cycles, the port's own apart; 0: that side was not ours
  double server = 0;
};

struct Memory {
  std::uint64_t rss_bytes = 0;  // resident, without huge pages of hugetlbfs
  std::uint64_t huge_bytes = 0; // in huge pages of either kind
  std::uint64_t page_bytes = 0; // of the arena that holds the records
  ByName reserved;              // bytes, by what they are for
};

// One rate that --find-max tried.
struct SearchStep {
  double offered_cps = 0;
  double cps = 0;
  double loss = 0;   // share of connections that failed
  double p99_us = 0; // of connect or response, whichever is longer
  bool held = false;
  std::string reason; // why it was not held
};
struct Search {
  double found_cps = 0;
  std::string stopped; // why it went no further
  std::vector<SearchStep> steps;
};

// Bad clients of one kind, beside the good ones and counted apart from them.
struct Attack {
  std::string kind;              // "syn-flood", "forged-ack", "rst-spray", "mute", "slow-reader"
  std::uint64_t asked = 0;       // packets a second; of mute and slow-reader: connections at once
  std::uint64_t sent = 0;        // packets sent; of mute and slow-reader: connections opened
  std::uint64_t unsent = 0;      // packets that found the link full; of all kinds together
  std::uint64_t established = 0; // of those opened
  std::uint64_t ended = 0;       // by the server, while the attack ran; others were opened for them
  std::uint64_t open_peak = 0;
  std::uint64_t response_bytes = 0; // that slow readers took
};

struct Summary {
  // The measured part: without warm-up, ramp and drain, or the time in which the way to the target was found. A number of
  // connections at a rate ends it as the last has been opened, if most are completed by then; else the last that is
  // completed does.
  double seconds = 0;
  double cps = 0; // completed connections a second in it; of a search the mean over all rates tried
  double accepted_per_second = 0; // a server's: its rate, whoever closes and however
  double requests_per_second = 0;
  double response_bytes_per_second = 0; // what reached the application
  double rx_bits_per_second = 0;        // of all our ports, as `packets`: frames without preamble and gap
  double tx_bits_per_second = 0;
  std::uint64_t live_peak = 0;
  std::uint64_t time_wait_peak = 0;
  Connections connections;
  std::uint64_t requests = 0;
  std::uint64_t response_bytes = 0;
  bool closed_loop = false; // latencies are service times: a new connection waited for an old one
  Stages latency_us;
  StageHistograms histogram;
  CyclesPerConnection cycles_per_connection;
  Packets packets;
  Memory memory;
  double cookie_share = 0;     // of the server's connections, those that came by a SYN cookie: 0 … 1
  bool client_limited = false; // the tester was the bottleneck, and how that was seen:
  std::string client_limited_reason;
  bool interrupted = false; // ended before its time, and why:
  std::string interrupted_reason;
  std::vector<CoreSummary> cores;
  std::vector<std::string> notes; // a line each, for a person
  std::optional<Search> search;
  std::vector<Attack> attacks;
  ByName defence; // what the server did against bad clients, by its counters' names
};

// A cache line's round trip between the run's first two cores, in TSC cycles; 0: not measured.
struct CoreToCore {
  double before = 0;
  double after = 0;
};
// "near", "far", "mixed" (it changed during the run) or "unknown": only like may be compared with like.
[[nodiscard]] std::string mode_of(const CoreToCore& c);

struct Machine {
  std::string cpu;
  std::uint32_t cores = 0;
  std::uint64_t memory_bytes = 0;
  std::string kernel;
  std::string dpdk;
  std::uint64_t tsc_hz = 0;
  std::uint64_t huge_page_bytes = 0; // hugetlbfs: size of a page, how many there are and are free
  std::uint64_t huge_pages = 0;
  std::uint64_t huge_pages_free = 0;
  std::string transparent_huge_pages; // "always", "madvise" or "never"
  CoreToCore core_to_core_cycles;
};

struct Result {
  int schema = report_schema;
  std::string version; // of tern
  std::string command; // "bench", "client" or "server"
  std::string started; // UTC, "2030-01-31T23:59:59Z"
  Summary summary;
  std::vector<Interval> intervals;
  std::map<std::string, std::string> config; // every setting as it was in force
  Machine machine;
};
[[nodiscard]] Side side_of(const Result&);
// Connections a second, as the run's one number: what a search found, what a server accepted, what was completed.
[[nodiscard]] double headline(const Result&);

// What contradicts itself (attempted ≠ completed + failed + unfinished, established < completed, a share
// beyond 1, …), a line each; empty when all is well. A report that doesn't add up is a bug of ours: the
// program says so and fails.
[[nodiscard]] std::vector<std::string> contradictions(const Result& r);

} // namespace tern::observe
