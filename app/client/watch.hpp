// The thread that watches a run: a line an interval, the phases, the end, and the summary.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "app/client/load_station.hpp"
#include "app/client/search.hpp"
#include "app/client/settings.hpp"
#include "app/client/tester.hpp"
#include "app/measure/reports.hpp"
#include "observe/live.hpp"

namespace tern::app {

class Watch {
 public:
  Watch(std::string title, const LoadSettings& load, const OutputSettings& out, const SearchSettings& search,
        std::span<const LoadStation* const> clients, std::span<const Station* const> servers,
        LoadControl& control, observe::Result& result);

  // Until every client is done. `fault`: what ends the run before its time; empty: nothing yet.
  void run(const std::function<std::string()>& fault);
  // What can be said once every station stands still.
  void conclude();

 private:
  [[nodiscard]] double now() const;
  [[nodiscard]] bool all_done() const;
  [[nodiscard]] bool offering() const; // some client still may open or ask; what comes after is the drain
  void stop();
  [[nodiscard]] std::uint64_t count(Load) const; // of all clients
  [[nodiscard]] std::uint64_t errors() const;
  [[nodiscard]] std::int64_t clients_stopped() const; // 0: none did
  void follow();
  // How long opens were put off while the way to the target was found; and how long the clock of what is measured stood for
  // it: of the client that says the most (way.hpp).
  [[nodiscard]] double longest(std::atomic<std::int64_t> LoadStats::*told) const;
  [[nodiscard]] double withheld_seconds() const;
  [[nodiscard]] double stood() const;
  [[nodiscard]] bool finding() const;
  void offer(double rate); // from now on; a search's
  [[nodiscard]] double offered_by(std::int64_t ns) const;
  void begin_behind_the_way();
  void end_measuring();
  // What had been counted by then.
  struct Moment {
    Totals totals;
    StageLatencies latencies;
    double offered = 0; // opens of the rate, so far
  };
  [[nodiscard]] Moment moment() const;
  [[nodiscard]] observe::Interval interval(const Moment& from, const Moment& to) const;
  void take_interval();
  void finish_intervals(const Moment& end);
  void begin_measuring();
  void rates(observe::Summary&) const;
  void tester(observe::Summary&) const;
  void latencies(observe::Summary&) const;
  void notes(observe::Summary&) const;
  void tell_way(observe::Summary&) const;
  void tell_held(observe::Summary&) const;

  const LoadSettings& load_;
  std::span<const LoadStation* const> clients_;
  std::vector<const Station*> stations_; // these, then the servers, where they are ours too
  LoadControl& control_;
  observe::Result& result_;
  observe::Live live_;
  Search search_;
  Duration interval_;
  std::int64_t began_ns_ = 0;
  bool measuring_ = false;
  bool behind_the_way_ = false;
  double stood_ = 0;   // by the end of what is measured
  double offered_ = 0; // by a search's earlier rates
  std::int64_t offered_since_ns_ = 0;
  Totals base_;                                // where the measured part begins
  std::vector<StageLatencies> base_latencies_; // of each client; none where it is the run's beginning
  Totals active_;      // of --connections: when one was last seen to be opened or completed
  Totals stopped_;     // and where it ends
  Moment last_;        // the last interval's end
  Moment before_last_; // and its beginning
};

} // namespace tern::app
