#include "observe/prometheus.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

namespace tern::observe {
namespace prometheus_test {

TEST(MetricsPage, FamilyIsToldOnceAndThenItsSamples) {
  MetricsPage p;
  p.counter("tern_tcp_reset_in", "resets that came");
  p.sample(std::uint64_t{7}, {{"port", "1"}, {"core", "0"}});
  p.sample(std::uint64_t{0}, {{"port", "1"}, {"core", "1"}});
  p.gauge("tern_up", "1");
  p.sample(std::uint64_t{1});
  EXPECT_EQ(p.text(),
            "# HELP tern_tcp_reset_in_total resets that came\n"
            "# TYPE tern_tcp_reset_in_total counter\n"
            "tern_tcp_reset_in_total{port=\"1\",core=\"0\"} 7\n"
            "tern_tcp_reset_in_total{port=\"1\",core=\"1\"} 0\n"
            "# HELP tern_up 1\n"
            "# TYPE tern_up gauge\n"
            "tern_up 1\n");
}

TEST(MetricsPage, WhatWouldEndALabelOrALineIsEscaped) {
  MetricsPage p;
  p.gauge("g", "a \\ and\na \"quote\"");
  p.sample(std::uint64_t{1}, {{"l", "\"\\n\" is \\\n\xc3\xa9"}, {"empty", ""}});
  EXPECT_EQ(p.text(),
            "# HELP g a \\\\ and\\na \"quote\"\n"
            "# TYPE g gauge\n"
            "g{l=\"\\\"\\\\n\\\" is \\\\\\n\xc3\xa9\",empty=\"\"} 1\n");
}

TEST(MetricsPage, NumbersAreWholeWhereTheyAreAndReadAgainAsTheyWere) {
  MetricsPage p;
  p.gauge("g", "numbers");
  p.sample(std::numeric_limits<std::uint64_t>::max());
  p.sample(0.1);
  p.sample(1e-9);
  p.sample(12345678.9);
  p.sample(std::numeric_limits<double>::infinity());
  p.sample(-std::numeric_limits<double>::infinity());
  p.sample(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(p.text(),
            "# HELP g numbers\n# TYPE g gauge\n"
            "g 18446744073709551615\ng 0.1\ng 1e-09\ng 12345678.9\ng +Inf\ng -Inf\ng NaN\n");
}

TEST(MetricsPage, FamilyWithoutSamplesIsStillToldOf) {
  MetricsPage p;
  p.counter("c", "none yet");
  EXPECT_EQ(p.text(), "# HELP c_total none yet\n# TYPE c_total counter\n");
}

} // namespace prometheus_test
} // namespace tern::observe
