#include "app/socket/metrics.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "runtime/settings/error.hpp"

namespace tern::app {
namespace metrics_test {

using std::chrono::milliseconds;

const Ip loopback{Ip4{127, 0, 0, 1}};

// A port that nobody has.
Endpoint somewhere() {
  const Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t n = sizeof a;
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&a), n), 0);
  EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&a), &n), 0);
  return {loopback, Port{ntohs(a.sin_port)}};
}

Fd connected(const Endpoint& at) {
  Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(at.port.raw());
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
  return fd;
}

// Serves until it goes.
class Served {
 public:
  explicit Served(std::string page, milliseconds patience = milliseconds(1000))
      : page_(std::move(page)), socket_(at, patience), thread_([this] {
          while (!stop_)
            socket_.wait(10, [this] {
              ++pages;
              return page_;
            });
        }) {}
  ~Served() {
    stop_ = true;
    thread_.join();
  }
  [[nodiscard]] Fd connect() const { return connected(at); }

  const Endpoint at = somewhere();
  std::atomic<int> pages{0};

 private:
  std::string page_;
  MetricsSocket socket_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

void say(const Fd& fd, std::string_view text) {
  EXPECT_EQ(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

// Until the other side has said all.
std::string rest_of(const Fd& fd) {
  std::string all;
  char piece[65536];
  pollfd p{fd.get(), POLLIN, 0};
  while (poll(&p, 1, 10'000) == 1) {
    const ssize_t n = recv(fd.get(), piece, sizeof piece, 0);
    if (n <= 0) return n == 0 ? all : all + "(reset)";
    all.append(piece, static_cast<std::size_t>(n));
  }
  ADD_FAILURE() << "not hung up on";
  return all;
}

constexpr const char* scrape = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

TEST(Metrics, AScrapeIsAnsweredAlsoInPieces) {
  const Served s("tern_up 1\n");
  const Fd at_once = s.connect();
  say(at_once, scrape);
  const std::string answer = rest_of(at_once);
  EXPECT_TRUE(
      answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"))
      << answer;
  EXPECT_TRUE(answer.ends_with("Content-Length: 10\r\nConnection: close\r\n\r\ntern_up 1\n")) << answer;
  const Fd slowly = s.connect();
  for (const char c : std::string_view(scrape)) {
    say(slowly, {&c, 1});
    std::this_thread::sleep_for(milliseconds(2));
  }
  EXPECT_EQ(rest_of(slowly), answer);
}

TEST(Metrics, OthersAreToldWhy) {
  const Served s("tern_up 1\n");
  const auto told = [&](const std::string& request) {
    const Fd fd = s.connect();
    say(fd, request);
    return rest_of(fd);
  };
  EXPECT_TRUE(told("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
  const std::string post = told("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\na=b");
  EXPECT_TRUE(post.starts_with("HTTP/1.1 405 ") && post.find("\r\nAllow: GET, HEAD\r\n") != post.npos)
      << post;
  const std::string head = told("HEAD /metrics HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 ") && head.find("Content-Length: 10\r\n") != head.npos &&
              head.ends_with("\r\n\r\n"))
      << head;
  EXPECT_TRUE(told("\x16\x03\x01").starts_with("HTTP/1.1 400 "));
}

// Whoever said more than was read would lose the answer with a reset, if the socket were closed on him.
TEST(Metrics, WhoSaysTooMuchHearsSo) {
  const Served s("tern_up 1\n", milliseconds(10'000));
  for (int i = 0; i < 20; ++i) {
    const Fd fd = s.connect();
    say(fd, "GET /metrics HTTP/1.1\r\nCookie: " + std::string(100'000, 'x'));
    const std::string told = rest_of(fd);
    EXPECT_TRUE(told.starts_with("HTTP/1.1 431 ") && told.ends_with("/metrics\n")) << told;
  }
}

TEST(Metrics, WhoSaysNothingIsHungUpOnAndKeepsNobodyOut) {
  const Served s("tern_up 1\n", milliseconds(500));
  std::vector<Fd> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(s.connect());
  const Fd fd = s.connect();
  say(fd, scrape);
  EXPECT_TRUE(rest_of(fd).ends_with("tern_up 1\n"));
  for (const Fd& each : silent) EXPECT_EQ(rest_of(each), "");
}

TEST(Metrics, WhoDoesNotReadKeepsNobodyWaiting) {
  const Served s(std::string(8'000'000, 'a') + "\n", milliseconds(500));
  const Fd deaf = s.connect();
  say(deaf, scrape);
  std::this_thread::sleep_for(milliseconds(50));
  const Fd fd = s.connect();
  say(fd, scrape);
  EXPECT_GT(rest_of(fd).size(), 8'000'000U);
  std::this_thread::sleep_for(milliseconds(3000)); // its patience is over, however late it is looked at
  EXPECT_LT(rest_of(deaf).size(), 8'000'000U);
}

// Its answers are bounded together: 64 MiB that are under way, and those who ask then are told so.
TEST(Metrics, ManyWhoDoNotReadAreBounded) {
  const Served s(std::string(20'000'000, 'a'), milliseconds(20'000));
  std::vector<Fd> deaf;
  for (int i = 0; i < 5; ++i) {
    deaf.push_back(s.connect());
    say(deaf.back(), scrape);
    std::this_thread::sleep_for(milliseconds(60));
  }
  const Fd fd = s.connect();
  say(fd, scrape);
  EXPECT_TRUE(rest_of(fd).starts_with("HTTP/1.1 503 "));
}

TEST(Metrics, ThePageIsMadeOnceForAllWhoAskTogether) {
  std::atomic<int> pages{0};
  const Endpoint at = somewhere();
  MetricsSocket socket(at);
  std::vector<std::thread> askers;
  std::atomic<int> asked{0}, done{0}, answered{0};
  for (int i = 0; i < 10; ++i)
    askers.emplace_back([&] {
      const Fd fd = connected(at);
      say(fd, scrape);
      ++asked;
      answered += rest_of(fd).ends_with("x\n");
      ++done;
    });
  while (asked < 10) std::this_thread::sleep_for(milliseconds(1));
  while (done < 10)
    socket.wait(10, [&] {
      ++pages;
      return std::string("x\n");
    });
  for (std::thread& t : askers) t.join();
  EXPECT_EQ(answered, 10);
  EXPECT_LE(pages, 3);
}

// Whoever asked waits for it, also if he has said that he will say no more.
TEST(Metrics, APageThatIsNotKnownYetComesLater) {
  const Endpoint at = somewhere();
  MetricsSocket socket(at);
  const auto ask = [&] {
    Fd fd = connected(at);
    say(fd, scrape);
    return fd;
  };
  const Fd open = ask();
  const Fd half = ask();
  shutdown(half.get(), SHUT_WR);
  int asked = 0;
  for (int i = 0; i < 20; ++i)
    socket.wait(1, [&]() -> std::optional<std::string> {
      ++asked;
      return std::nullopt;
    });
  EXPECT_GE(asked, 19); // once a call
  EXPECT_LE(asked, 20);
  for (int i = 0; i < 3; ++i) socket.wait(1, [] { return "x\n"; });
  for (const Fd* fd : {&open, &half}) {
    const std::string told = rest_of(*fd);
    EXPECT_TRUE(told.starts_with("HTTP/1.1 200 ") && told.ends_with("\r\n\r\nx\n")) << told;
  }
}

TEST(Metrics, WhereNobodyCanListenIsSaidWithTheCure) {
  const Endpoint at = somewhere();
  const auto refused = [](const Endpoint& e) -> std::string {
    try {
      const MetricsSocket s(e);
    } catch (const settings::ConfigError& error) {
      return error.what();
    }
    return "";
  };
  const MetricsSocket there(at);
  EXPECT_EQ(
      refused(at),
      fmt::format("metrics: cannot listen on {}: Address already in use; give another port with --metrics",
                  at.to_string()));
  EXPECT_EQ(refused({Ip{Ip4{192, 0, 2, 1}}, Port{9464}}),
            "metrics: cannot listen on 192.0.2.1:9464: Cannot assign requested address; give an address that "
            "`ip address` "
            "lists, such as 127.0.0.1, with --metrics");
  EXPECT_EQ(MetricsSocket::obstacle(at), ""); // who looks is the one who listens, mostly
  EXPECT_NE(MetricsSocket::obstacle({Ip{Ip4{192, 0, 2, 1}}, Port{9464}}), "");
}

TEST(Metrics, SettingIsAnEndOrNothing) {
  using V = settings::Value<MetricsAddress>;
  for (const char* well : {"127.0.0.1:9464", "[::1]:9464", ""}) {
    const auto v = V::parse(well);
    ASSERT_TRUE(v) << well;
    EXPECT_EQ(V::print(*v), well);
  }
  for (const char* wrong : {"127.0.0.1", ":9464", "127.0.0.1:0", "127.0.0.1:65536", "localhost:80", " "})
    EXPECT_FALSE(V::parse(wrong)) << wrong;
}

} // namespace metrics_test
} // namespace tern::app
