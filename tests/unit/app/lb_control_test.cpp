#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "app/socket/answer.hpp"
#include "app/socket/socket.hpp"
#include "runtime/settings/error.hpp"

namespace tern::app::lb {
namespace lb_control_test {

TEST(LbAnswer, TableIsAlignedNumbersToTheRight) {
  const Answer a{.text = "two of them",
                 .rows = Json::array({{{"name", "web/one"}, {"weight", 5}, {"limit", nullptr}},
                                      {{"name", "b"}, {"weight", 1000}, {"limit", 7}, {"why", "x"}}})};
  EXPECT_EQ(as_text(a),
            "two of them\n"
            "name     weight  limit  why\n"
            "web/one       5      -  -\n"
            "b          1000      7  x\n");
  EXPECT_EQ(as_json(a),
            R"({"ok":true,"message":"two of them","rows":[{"name":"web/one","weight":5,"limit":null},)"
            R"({"name":"b","weight":1000,"limit":7,"why":"x"}]})"
            "\n");
}

TEST(LbAnswer, EmptyTableIsSaidToBeEmpty) {
  const Answer none{.text = "", .rows = Json::array()};
  EXPECT_EQ(as_text(none), "none\n");
  EXPECT_EQ(as_json(none), "{\"ok\":true,\"rows\":[]}\n");
  EXPECT_EQ(as_text({.text = "nothing changed", .rows = Json::array()}), "nothing changed\n");
}

TEST(LbAnswer, MistakeSaysSo) {
  EXPECT_EQ(as_text(mistake("no such thing")), "error: no such thing\n");
  EXPECT_EQ(as_json(mistake("no \"such\" \xff")),
            "{\"ok\":false,\"message\":\"no \\\"such\\\" \xef\xbf\xbd\"}\n");
}

TEST(LbAnswer, WordsOfALine) {
  EXPECT_EQ(words_of("  show   backends\r\n"), (std::vector<std::string_view>{"show", "backends"}));
  EXPECT_TRUE(words_of(" \t").empty());
}

class Socket : public testing::Test {
 protected:
  Socket() {
    std::string name = (std::filesystem::temp_directory_path() / "tern-ctl-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder = name;
    path = name + "/control";
  }
  ~Socket() override { std::filesystem::remove_all(folder); }

  std::filesystem::path folder;
  std::string path;
};

const std::string long_answer(8'000'000, 'a');

// Serves until it goes.
class Server {
 public:
  explicit Server(const std::string& path, std::chrono::milliseconds patience = std::chrono::seconds(1))
      : socket_(path, patience), thread_([this] {
          while (!stop_)
            socket_.wait(20, [](std::string_view line) {
              return line == "long" ? long_answer : "you said " + std::string(line) + "\n";
            });
        }) {}
  ~Server() {
    stop_ = true;
    thread_.join();
  }

 private:
  ControlSocket socket_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

int raw_connect(const std::string& path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  std::memcpy(a.sun_path, path.c_str(), path.size() + 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
  return fd;
}

TEST_F(Socket, AnswersALine) {
  const Server s(path);
  EXPECT_EQ(ask(path, "show backends"), "you said show backends\n");
  EXPECT_EQ(ask(path, ""), "you said \n");
}

TEST_F(Socket, IsTheOwnersAlone) {
  const ControlSocket s(path);
  struct stat about {};
  ASSERT_EQ(stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600U);
}

// Until the other side hangs up.
std::string rest_of(int fd) {
  std::string all;
  char piece[4096];
  pollfd p{fd, POLLIN, 0};
  while (poll(&p, 1, 10'000) == 1) {
    const ssize_t n = recv(fd, piece, sizeof piece, 0);
    if (n <= 0) return all;
    all.append(piece, static_cast<std::size_t>(n));
  }
  ADD_FAILURE() << "not hung up on";
  return all;
}

TEST_F(Socket, WhoSaysNothingOrTooMuchIsHungUpOn) {
  const Server s(path);
  const int silent = raw_connect(path);
  const int loud = raw_connect(path);
  const int loud_program = raw_connect(path);
  const std::string much(8000, 'x');
  EXPECT_GT(send(loud, much.data(), much.size(), MSG_NOSIGNAL), 0);
  EXPECT_GT(send(loud_program, ("json " + much).data(), much.size(), MSG_NOSIGNAL), 0);
  EXPECT_EQ(rest_of(silent), "");
  EXPECT_EQ(rest_of(loud), "error: a request is one line of 4096 bytes at most\n");
  EXPECT_EQ(rest_of(loud_program),
            "{\"ok\":false,\"message\":\"a request is one line of 4096 bytes at most\"}\n");
  for (const int fd : {silent, loud, loud_program}) close(fd);
  EXPECT_THROW((void)ask(path, much), settings::ConfigError); // is not even sent
  EXPECT_EQ(ask(path, "still there?"), "you said still there?\n");
}

TEST_F(Socket, ManyWhoSayNothingKeepNobodyOut) {
  const Server s(path);
  std::vector<int> silent;
  for (int i = 0; i < 100; ++i) silent.push_back(raw_connect(path));
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ask(path, "and I?"), "you said and I?\n");
  // One after the other they would take a second each.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(50));
  for (const int fd : silent) EXPECT_EQ(rest_of(fd), "");
  for (const int fd : silent) close(fd);
}

TEST_F(Socket, WhoDoesNotReadKeepsNobodyWaitingAndIsHungUpOn) {
  const Server s(path);
  const int deaf = raw_connect(path);
  EXPECT_EQ(send(deaf, "long\n", 5, MSG_NOSIGNAL), 5);
  pollfd p{deaf, POLLIN, 0};
  ASSERT_EQ(poll(&p, 1, 10'000), 1); // it is being answered
  EXPECT_EQ(ask(path, "and I?"), "you said and I?\n");
  EXPECT_TRUE(ask(path, "long") == long_answer);
  std::this_thread::sleep_for(std::chrono::milliseconds(1500)); // its patience is a second
  EXPECT_EQ(ask(path, "still there?"), "you said still there?\n");
  const std::string got = rest_of(deaf);
  EXPECT_LT(got.size(), long_answer.size());
  close(deaf);
}

TEST_F(Socket, WhoAsksOneThatIsStuckIsToldSo) {
  const ControlSocket stuck(path); // it listens, and nobody looks
  try {
    (void)ask(path, "show backends", std::chrono::milliseconds(200));
    FAIL() << "answered by nobody";
  } catch (const settings::ConfigError& e) {
    EXPECT_STREQ(
        e.what(),
        (path + ": took the request, and says nothing for 0.2 s: the program is stuck or stopped").c_str());
  }
}

TEST_F(Socket, SlowReaderThatGoesOnReadingGetsItAll) {
  const Server s(path, std::chrono::seconds(3));
  const int fd = raw_connect(path);
  EXPECT_EQ(send(fd, "long\n", 5, MSG_NOSIGNAL), 5);
  std::string got;
  std::string piece(500'000, '\0');
  for (int i = 0; i < 6; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(600)); // longer than its patience in all
    const ssize_t n = recv(fd, piece.data(), piece.size(), MSG_WAITALL);
    ASSERT_GT(n, 0);
    got.append(piece, 0, static_cast<std::size_t>(n));
  }
  got += rest_of(fd);
  EXPECT_TRUE(got == long_answer);
  close(fd);
}

TEST_F(Socket, WhoLeavesBeforeTheAnswerHarmsNobody) {
  const Server s(path);
  for (int i = 0; i < 20; ++i) {
    const int fd = raw_connect(path);
    EXPECT_EQ(send(fd, "x\n", 2, MSG_NOSIGNAL), 2);
    close(fd);
  }
  EXPECT_EQ(ask(path, "still there?"), "you said still there?\n");
}

TEST_F(Socket, DeadOnesSocketIsTakenOverALivingOnesIsNot) {
  {
    const Server s(path);
    EXPECT_THROW(ControlSocket{path}, settings::ConfigError);
  }
  EXPECT_FALSE(std::filesystem::exists(path)); // the server took it away
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  std::memcpy(a.sun_path, path.c_str(), path.size() + 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
  close(fd); // the path stays
  const Server s(path);
  EXPECT_EQ(ask(path, "x"), "you said x\n");
}

TEST_F(Socket, WhatIsNoSocketIsNotTouched) {
  std::ofstream(path) << "precious";
  EXPECT_THROW(ControlSocket{path}, settings::ConfigError);
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_THROW(ControlSocket{folder.string() + "/none/there"}, settings::ConfigError);
  EXPECT_THROW(ControlSocket{std::string(200, 'x')}, settings::ConfigError);
  EXPECT_THROW((void)ask(folder.string() + "/nobody", "x"), settings::ConfigError);
}

} // namespace lb_control_test
} // namespace tern::app::lb
