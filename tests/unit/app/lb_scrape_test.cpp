// A scrape of `tern lb`: what the control thread does about it while a core answers, late or never.
#include <gtest/gtest.h>

#include <utility>

#include "app/lb/control/metrics.hpp"
#include "support/lb_rig.hpp"

namespace tern::app::lb {
namespace lb_scrape_test {

using test::LbRig;

bool has(const std::optional<std::string>& page, std::string_view text) {
  return page && page->find(text) != std::string::npos;
}

class LbScrape : public testing::Test {
 protected:
  static LbConfig config() {
    LbConfig c;
    c.services = {LbRig::service()};
    return c;
  }
  [[nodiscard]] std::optional<std::string> page() { return scrape.page(director, r.now); }

  LbRig r{LbRig::service()};
  Console console;
  Director director{{},          Planner(config(), r.now),
                    r.shared,    {{&r.balancer.core.handle(), &r.splice}},
                    console,     std::nullopt,
                    std::nullopt};
  Scrape scrape;
};

TEST_F(LbScrape, IsAnsweredOnceTheCoreHasAnswered) {
  r.open();
  EXPECT_FALSE(page());
  EXPECT_FALSE(page()); // and it is not asked twice
  r.run(Duration::ms(1));
  const auto known = page();
  EXPECT_TRUE(has(known, "tern_cores_answer 1\n"));
  EXPECT_TRUE(has(known, "tern_lb_backend_tried_total{service=\"web\",backend=\"b0\"} 1\n"));
  EXPECT_FALSE(page()); // the next one asks anew
}

TEST_F(LbScrape, ACoreThatIsStuckCostsItsFiguresAndNobodysTime) {
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_FALSE(page());
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(1)); // two, if it were waited for
  r.now = r.now + Director::patience;
  const auto without = page();
  EXPECT_TRUE(has(without, "tern_cores_answer 0\n"));
  EXPECT_TRUE(has(without, "tern_lb_backend_up{")); // what is known without it
  EXPECT_FALSE(has(without, "tern_lb_backend_tried_total"));
}

TEST_F(LbScrape, AnswersThatNobodyFetchedAreForNobody) {
  EXPECT_FALSE(page());
  r.run(Duration::ms(1));
  r.now = r.now + Duration::seconds(60);
  EXPECT_FALSE(page());
  r.open();
  EXPECT_TRUE(has(page(), "tern_cores_answer 1\n"));
}

TEST_F(LbScrape, WhatADeviceDoesNotSayIsLeftOut) {
  Figures figures;
  figures.ports = {{.number = 1, .packets = r.pool.pool(), .missed = [] { return 7; }},
                   {.number = 2, .packets = r.pool.pool(), .missed = [] { return std::nullopt; }}};
  Director of_ports({.figures = figures}, Planner(config(), r.now), r.shared, {}, console, std::nullopt,
                    std::nullopt);
  const auto known = scrape.page(of_ports, r.now); // there is no core to wait for
  EXPECT_TRUE(has(known, "tern_port_rx_missed_total{port=\"1\"} 7\n"));
  EXPECT_FALSE(has(known, "tern_port_rx_missed_total{port=\"2\"}"));
}

TEST_F(LbScrape, WhatComesMeanwhileIsAskedAbout) {
  EXPECT_FALSE(page());
  ASSERT_FALSE(
      director.planner().add("web", {.name = "new", .address = {test::backend_ip(1), Port{8080}}}, r.now));
  director.publish();
  r.run(Duration::ms(1));
  EXPECT_FALSE(page());
  r.run(Duration::ms(1));
  EXPECT_TRUE(has(page(), "tern_lb_backend_tried_total{service=\"web\",backend=\"new\"} 0\n"));
}

} // namespace lb_scrape_test
} // namespace tern::app::lb
