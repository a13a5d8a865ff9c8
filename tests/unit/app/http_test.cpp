#include "app/socket/http.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tern::app {
namespace http_test {

// What is known of it: "GET /metrics", the status of a refusal, or "more".
std::string read(std::string_view text, bool over = false) {
  const auto r = read_request(text, over);
  if (!r) return "more";
  return r->refused != 0 ? std::to_string(r->refused) : std::string(r->method) + " " + std::string(r->path);
}

TEST(HttpRequest, IsReadInWhateverPiecesItComes) {
  const std::string whole = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain;version=0.0.4\r\n\r\n";
  for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_EQ(read(whole.substr(0, n)), "more") << n;
  EXPECT_EQ(read(whole), "GET /metrics");
  EXPECT_EQ(read(whole + "GET /other HTTP/1.1\r\n\r\n"), "GET /metrics"); // the first is answered
}

TEST(HttpRequest, WhatTheStandardAllows) {
  EXPECT_EQ(read("GET /metrics HTTP/1.0\r\n\r\n"), "GET /metrics");
  EXPECT_EQ(read("GET /metrics HTTP/1.1\n\n"), "GET /metrics");
  EXPECT_EQ(read("\r\n\nHEAD /metrics HTTP/1.1\r\n\r\n"), "HEAD /metrics");
  EXPECT_EQ(read("GET /metrics?name=x HTTP/1.1\r\n\r\n"), "GET /metrics");
  EXPECT_EQ(read("GET http://lb:9464/metrics?x HTTP/1.1\r\n\r\n"), "GET /metrics");
  EXPECT_EQ(read("GET http://lb:9464 HTTP/1.1\r\n\r\n"), "GET /");
  EXPECT_EQ(read("OPTIONS * HTTP/1.1\r\n\r\n"), "OPTIONS *");
  EXPECT_EQ(read(std::string_view("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\n\0\1c", 46)),
            "POST /metrics");
}

TEST(HttpRequest, GarbageIsRefusedAsSoonAsItIsSeen) {
  EXPECT_EQ(read("\x16\x03\x01\x02"), "400"); // TLS
  EXPECT_EQ(read(std::string_view("GET /\0", 6)), "400");
  EXPECT_EQ(read("hello\n"), "400");
  EXPECT_EQ(read("GET /metrics\r\n"), "400"); // HTTP/0.9
  EXPECT_EQ(read("GET  HTTP/1.1\r\n"), "400");
  EXPECT_EQ(read("GET /a b HTTP/1.1\r\n"), "400");
  EXPECT_EQ(read(" GET / HTTP/1.1\r\n"), "400");
  EXPECT_EQ(read("G@T / HTTP/1.1\r\n"), "400");
  EXPECT_EQ(read("GET / HTTQ/1.1\r\n"), "400");
  EXPECT_EQ(read("PRI * HTTP/2.0\r\n"), "505");
}

TEST(HttpRequest, TooLongOrCutOffIsRefused) {
  EXPECT_EQ(read("GET /" + std::string(9000, 'a')), "more"); // how long it may be its reader knows
  EXPECT_EQ(read("GET /" + std::string(9000, 'a'), true), "431");
  EXPECT_EQ(read("GET / HTTP/1.1\r\nCookie: " + std::string(9000, 'a'), true), "431");
  EXPECT_EQ(read("GET / HTTP/1.1\r\n", true), "400");
  EXPECT_EQ(read("GET /met", true), "400");
  EXPECT_EQ(read("", true), "400");
  EXPECT_EQ(read("\r\n", true), "400");
}

TEST(HttpRequest, NoBytesAreTooStrange) {
  std::mt19937 random(7); // NOLINT: the same each time
  const std::string whole = "GET /metrics?a HTTP/1.1\r\nHost: x\r\n\r\n";
  for (int i = 0; i < 20'000; ++i) {
    std::string text = whole;
    for (int k = 0; k < 3; ++k) text[random() % text.size()] = static_cast<char>(random());
    text.resize(random() % (text.size() + 1));
    const auto r = read_request(text, (random() & 1) != 0);
    if (!r || r->refused != 0) continue;
    EXPECT_LE(r->method.size() + r->path.size(), text.size());
  }
}

TEST(HttpAnswer, SaysHowLongItIsAndThatItIsTheLast) {
  EXPECT_EQ(http_answer(404, "no\n"),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n"
            "Connection: close\r\n\r\nno\n");
  const std::string head = http_answer(200, "1234", false, "text/x", "Allow: GET\r\n");
  EXPECT_EQ(head,
            "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 4\r\nAllow: GET\r\n"
            "Connection: close\r\n\r\n");
}

} // namespace http_test
} // namespace tern::app
