#include "app/lb/control/console.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <stdexcept>

namespace tern::app::lb {
namespace lb_console_test {

struct Pipe {
  Pipe() {
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    EXPECT_GT(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
    EXPECT_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
  }
  ~Pipe() {
    close(ends[0]);
    close(ends[1]);
  }
  // What has come.
  std::string read_all() const {
    std::string all;
    char piece[4096];
    for (ssize_t n = 0; (n = read(ends[0], piece, sizeof piece)) > 0;)
      all.append(piece, static_cast<std::size_t>(n));
    return all;
  }
  int ends[2] = {-1, -1};
};

std::string line(int i) {
  return fmt::format("{:>99}\n", i);
}

TEST(LbConsole, WaitsForNobodyAndTellsWhatWasLost) {
  const Pipe p;
  Console c(p.ends[1]);
  const int fit = static_cast<int>(Console::most / 100);
  int said = 0;
  for (; c.lost() < 7; ++said) c.say(line(said)); // nobody reads: it would stand still here
  EXPECT_GE(said, fit);
  std::string got;
  const auto read_on = [&] {
    for (std::string piece; !(piece = p.read_all()).empty(); c.flush()) got += piece;
  };
  read_on();
  std::string expected;
  for (int i = 0; i < said - 7; ++i) expected += line(i);
  EXPECT_TRUE(got == expected) << got.size();
  c.say("and on\n");
  EXPECT_EQ(p.read_all(), "7 lines of the log lost: nobody read them\nand on\n");
  c.say("no more\n");
  EXPECT_EQ(p.read_all(), "no more\n");
}

TEST(LbConsole, TheEndComesThoughNobodyReads) {
  const Pipe p;
  Console c(p.ends[1]);
  for (int i = 0; i < 200; ++i) c.say(line(i));
  c.finish(50);
  const std::string got = p.read_all(); // what had room, a line at the least
  EXPECT_GE(got.size(), 100U);
  EXPECT_LT(got.size(), 200U * 100);
}

TEST(LbConsole, WhatIsPrintedIsHeld) {
  EXPECT_EQ(printed_by([] {
              fmt::print("one\n");
              std::fputs("two\n", stdout);
            }),
            "one\ntwo\n");
}

TEST(LbConsole, WhatWasPrintedBeforeAnErrorIsPrinted) {
  EXPECT_EQ(printed_by([] {
              const auto fails = [] {
                fmt::print("one\n");
                throw std::runtime_error("no more");
              };
              EXPECT_THROW((void)printed_by(fails), std::runtime_error);
              fmt::print("two\n");
            }),
            "one\ntwo\n");
}

} // namespace lb_console_test
} // namespace tern::app::lb
