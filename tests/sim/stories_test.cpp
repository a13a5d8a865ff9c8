// The stories of `tern explain`, each as its golden file has it. After a change that is meant:
// TERN_GOLDEN=write build/debug/tests/sim/sim-tests --gtest_filter='*Story*', and read the difference.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "sim/story.hpp"
#include "support/eal.hpp"

namespace tern::sim {
namespace stories_test {

class Story : public ::testing::TestWithParam<sim::Story> {};

TEST_P(Story, IsToldAsItsGoldenFileHasIt) {
  static test::TestPool pool{1023};
  const std::string told = tell(GetParam(), pool.pool());
  EXPECT_EQ(told, tell(GetParam(), pool.pool())); // and always the same
  EXPECT_EQ(pool.used(), 0u);
  const std::string path = std::string{TERN_GOLDEN_DIR} + "/" + std::string{GetParam().name} + ".txt";
  if (const char* write = std::getenv("TERN_GOLDEN"); write != nullptr && std::string{write} == "write") {
    std::ofstream{path} << told;
    return;
  }
  std::ifstream in{path};
  std::stringstream golden;
  golden << in.rdbuf();
  EXPECT_EQ(told, golden.str()) << path;
}

// Beside the wrap-around every story is the same: the picture shows numbers by how far they are from the first. But for
// a cookie, which is its own number (tests/port/test_kernel_edges.py has cookies there).
TEST_P(Story, IsTheSameBesideTheWrapAround) {
  if (GetParam().name == "syn-cookie") return;
  static test::TestPool pool{1023};
  StageSettings at = GetParam().settings();
  for (const std::uint32_t a : {0xffff'ffffU, 0xffff'fff8U}) {
    at.iss_a = Seq{a};
    at.iss_b = Seq{a - 1};
    EXPECT_EQ(tell(GetParam(), pool.pool(), at), tell(GetParam(), pool.pool()));
  }
}

INSTANTIATE_TEST_SUITE_P(All, Story, ::testing::ValuesIn(stories()), [](const auto& i) {
  std::string name{i.param.name};
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

} // namespace stories_test
} // namespace tern::sim
