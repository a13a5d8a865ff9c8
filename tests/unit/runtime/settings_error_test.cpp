#include "runtime/settings/error.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace tern::settings {
namespace settings_error_test {

const std::vector<std::string> names{"duration", "cps", "source", "time_wait"};

TEST(Nearest, MistypedNameFindsWhatWasMeant) {
  EXPECT_EQ(nearest("duraton", names), "duration");
  EXPECT_EQ(nearest("csp", names), "cps");
  EXPECT_EQ(nearest("time-wait", names), "time_wait");
}

TEST(Nearest, NameCutShortIsNear) {
  EXPECT_EQ(nearest("dur", names), "duration");
}

TEST(Nearest, StrangerNameFindsNothing) {
  EXPECT_EQ(nearest("colour", names), "");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(suggestion("colour", names), "");
}

TEST(Nearest, SuggestionIsAQuestion) {
  EXPECT_EQ(suggestion("cp", names), "; did you mean 'cps'?");
}

TEST(RunGuarded, ConfigErrorIsOneLineAndExitCodeTwo) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(run_guarded([]() -> int { throw ConfigError("f.toml:1:2", "bad; do good"); }), 2);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "f.toml:1:2: bad; do good\n");
}

TEST(RunGuarded, OtherExceptionIsExitCodeOne) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(run_guarded([]() -> int { throw std::runtime_error("boom"); }), 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "tern: boom\n");
}

TEST(RunGuarded, ReturnsWhatTheBodyReturns) {
  EXPECT_EQ(run_guarded([] { return 7; }), 7);
}

} // namespace settings_error_test
} // namespace tern::settings
