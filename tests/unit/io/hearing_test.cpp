// What DPDK says, heard by who asked for a device.
#include "io/hearing.hpp"

#include <gtest/gtest.h>
#include <rte_log.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

namespace tern::io {
namespace hearing_test {

// Where DPDK's words go in this process while nobody listens.
std::FILE* meant() {
  static std::FILE* const file = [] {
    std::FILE* f = std::tmpfile(); // fully buffered, as EAL's own is
    rte_openlog_stream(f);
    return f;
  }();
  return file;
}
// What has come out of it, not what waits in its buffer, since the last time.
std::string arrived() {
  static off_t told = 0;
  std::string text;
  char some[4096];
  for (ssize_t n = 0; (n = pread(fileno(meant()), some, sizeof some, told)) > 0; told += n)
    text.append(some, static_cast<std::size_t>(n));
  return text;
}
void say(const char* words) {
  rte_log(RTE_LOG_ERR, RTE_LOGTYPE_USER1, "%s\n", words);
}

TEST(Hearing, HearsOnceAndPassesOnWhatNobodyAskedFor) {
  (void)meant();
  { const Hearing first; }
  (void)arrived();
  say("before");
  EXPECT_EQ(arrived(), "before\n");
  {
    Hearing dpdk;
    say("why it failed");
    say("and more");
    EXPECT_EQ(dpdk.heard(), "why it failed\nand more\n");
    EXPECT_EQ(dpdk.heard(), "");
    say("later");
  }
  {
    const Hearing dpdk;
    say("not asked for");
  }
  say("after");
  EXPECT_EQ(arrived(), "later\nnot asked for\nafter\n");
}

// DPDK's interrupt thread says what it will when it will: no word is lost, and none goes to a stream that is gone.
TEST(Hearing, OthersMaySpeakAsItComesAndGoes) {
  (void)arrived();
  std::atomic<bool> over{false};
  std::atomic<unsigned> said{0};
  std::vector<std::thread> others; // several, so that some of them are within the stream all the time
  for (int i = 0; i < 4; ++i)
    others.emplace_back([&] {
      for (; !over; ++said) say("x");
    });
  std::string heard;
  for (int i = 0; i < 20000 || said < 20000; ++i) {
    Hearing dpdk;
    heard += dpdk.heard();
  }
  over = true;
  for (std::thread& t : others) t.join();
  const std::string all = heard + arrived();
  EXPECT_EQ(static_cast<unsigned>(std::count(all.begin(), all.end(), 'x')), said);
}

} // namespace hearing_test
} // namespace tern::io
