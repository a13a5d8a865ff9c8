// What a server tells of itself while it serves and at its end: a line an interval, and the report. It runs on the
// control thread and reads what the cores publish; it wakes none of them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "app/measure/reports.hpp"
#include "app/measure/station.hpp"
#include "base/time.hpp"
#include "observe/live.hpp"

namespace tern::app {

class ServerWatch {
 public:
  // The stations outlive it.
  ServerWatch(const OutputSettings&, std::span<const Station* const>, observe::Result&);

  void begin(Instant now);    // the cores are about to serve
  void look(Instant now);     // as often as one likes: takes an interval when it is due
  void stopping(Instant now); // what is measured ends; those that are open may yet end
  // Once the cores stand still, and are still there. `why`: it ended before its time; empty: it did not.
  void conclude(Instant now, const std::string& why);

 private:
  [[nodiscard]] Totals totals(Instant now) const;
  void take_interval(const Totals& now);
  void take_last_interval(const Totals& end);
  [[nodiscard]] observe::Interval until(const Totals& now) const;

  std::span<const Station* const> stations_;
  observe::Result& result_;
  observe::Live live_;
  Duration interval_;
  bool keeps_; // the intervals, for a file
  Instant next_;
  Totals base_;    // where the run begins,
  Totals stopped_; // where its measured part ends,
  Totals last_;    // the last interval,
  Totals before_;  // and the one before it
};

} // namespace tern::app
