#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "app/socket/answer.hpp"
#include "app/socket/socket.hpp"
#include "runtime/settings/error.hpp"

namespace tern::app::lb {
namespace {

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

// Serves until it goes.
class Server {
 public:
  explicit Server(const std::string& path)
      : socket_(path), thread_([this] {
          while (!stop_)
            socket_.wait(20, [](std::string_view line) { return "you said " + std::string(line) + "\n"; });
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

TEST_F(Socket, WhoSaysNothingOrTooMuchIsHungUpOn) {
  const Server s(path);
  const int silent = raw_connect(path);
  const int loud = raw_connect(path);
  const std::string much(8000, 'x');
  EXPECT_GT(send(loud, much.data(), much.size(), MSG_NOSIGNAL), 0);
  for (const int fd : {silent, loud}) {
    pollfd p{fd, POLLIN, 0};
    ASSERT_EQ(poll(&p, 1, 5000), 1);
    char c = 0;
    EXPECT_LE(recv(fd, &c, 1, 0), 0);
    close(fd);
  }
  EXPECT_EQ(ask(path, "still there?"), "you said still there?\n");
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

} // namespace
} // namespace tern::app::lb
