#include "app/server/http_request.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tern::app::http {
namespace http_request_test {

// What is found in the pieces that `text` is cut into, as whoever answers does it: r a request, c one that wants the end, b
// one that gets 400, p where 100 Continue is due; behind c and b nothing is read. Then how much of the last is there.
std::string found(std::string_view text, std::size_t cut, std::size_t each = SIZE_MAX) {
  std::string all;
  std::uint64_t state = 0;
  const auto feed = [&](std::string_view piece) {
    while (!piece.empty() && !all.ends_with('c') && !all.ends_with('b')) {
      const Read r = read_request(state, piece);
      piece.remove_prefix(r.taken);
      if (r.found == Found::proceed) {
        all += 'p';
        proceed(state);
      } else if (r.found == Found::request) {
        all += (state & bad) != 0 ? 'b' : (state & wants_close) != 0 ? 'c' : 'r';
        state = 0;
      }
    }
  };
  feed(text.substr(0, cut));
  for (std::size_t i = cut; i < text.size();) {
    const std::string_view piece = text.substr(i, each);
    feed(piece);
    i += piece.size();
  }
  const bool over = all.ends_with('c') || all.ends_with('b');
  return !over && part_of(state) != Part::request_line ? all + "…" : all;
}

void expect(const std::string& text, const std::string& outcome) {
  SCOPED_TRACE(text);
  for (std::size_t cut = 0; cut <= text.size(); ++cut)
    EXPECT_EQ(found(text, cut), outcome) << "cut at " << cut;
  EXPECT_EQ(found(text, 0, 1), outcome) << "a byte at a time";
}

const std::string get = "GET / HTTP/1.1\r\nHost: tern\r\n\r\n";
std::string post(const std::string& fields, const std::string& body = "") {
  return "POST / HTTP/1.1\r\nHost: tern\r\n" + fields + "\r\n" + body;
}
const std::string coded = "Transfer-Encoding: chunked\r\n";

// Of each request in turn, whether its head alone is asked for: h, or r.
std::string asked(const std::string& text, std::size_t each) {
  std::string all;
  std::uint64_t state = 0;
  for (std::size_t i = 0; i < text.size(); i += each)
    for (std::string_view piece = std::string_view(text).substr(i, each); !piece.empty();) {
      const Read r = read_request(state, piece);
      piece.remove_prefix(r.taken);
      if (r.found != Found::request) continue;
      all += (state & head_only) != 0 ? 'h' : 'r';
      state &= head_only;
    }
  return all;
}
TEST(HttpRequest, HeadAsksForTheHeadAloneUntilTheNext) {
  const std::string rest = " / HTTP/1.1\r\nHost: tern\r\n\r\n";
  const std::string text = "HEAD" + rest + get + "\r\nHEAD" + rest + "HEAD" + rest + "head" + rest + "HEADS" +
                           rest + "HEA" + rest + "XHEAD" + rest + "GET /HEAD" + rest + "HEAD" + rest;
  for (const std::size_t each : {text.size(), std::size_t{1}, std::size_t{7}})
    EXPECT_EQ(asked(text, each), "hrhhrrrrrh") << each;
}

TEST(HttpRequest, ABodyOfChunksIsNoRequest) {
  expect(post(coded, "5\r\nhello\r\n0\r\n\r\n") + get, "rr");
  expect(post("TRANSFER-encoding:Chunked\r\n", "0\r\n\r\n") + get, "rr");
  expect(post(coded, "1F\r\n" + get + "\n\r\n0000;a=b;c=\"d\"\r\n\r\n") + get, "rr");
  expect(
      post(coded, "1 ; x\r\na\r\n00a;y\r\n0123456789\r\n0\r\nName: value\r\nContent-Length: 7\r\n\r\n") + get,
      "rr");
  expect(post("Transfer-Encoding: gzip, chunked\r\n", "1\r\nx\r\n0\r\n\r\n") + get, "rr");
  expect(post("Transfer-Encoding: gzip , chunked \r\n", "1 \r\nx\r\n0\r\n\r\n") + get, "rr");
  expect(post("Transfer-Encoding: gzip\r\n" + coded, "1\r\nx\r\n0\r\n\r\n") + get, "rr");
  expect(post(coded + "Connection: close\r\n", "1\r\nx\r\n0\r\n\r\n") + get, "c");
  expect("POST / HTTP/1.0\r\n" + coded + "\r\n0\r\n\r\n" + get, "c");
  expect(post(coded, "5\r\nhel"), "…");
  expect(post(coded, "5\r\nhello\r\n0\r\n"), "…");
}

TEST(HttpRequest, ADamagedChunkIsToldAtOnce) {
  for (const char* body : {"x\r\n",
                           "\r\n",
                           ";\r\n",
                           "-1\r\n",
                           "5x\r\nhello\r\n",
                           "5\nhello\r\n",
                           "5\r\r\nhello\r\n",
                           "5\r\nhello!\r\n",
                           "5\r\nhello\n",
                           "5\r\nhello\r\r",
                           "100000000\r\n",
                           "fffffffff\r\n",
                           "00000000000000001\r\n",
                           "5 abc\r\nhello\r\n",
                           "5 5\r\nhello\r\n",
                           "0\r\n\n",
                           "0\r\n\r\r\n",
                           "0\r\na: b\n\r\n",
                           "0\r\na: b\rc\r\n\r\n",
                           "5;x\nhello\r\n",
                           "5;x\rhello\r\n"})
    expect(post(coded, body) + get, "b");
  expect(post(coded, "5;" + std::string(most_extension, 'x') + "\r\nhello\r\n0\r\n\r\n"), "r");
  expect(post(coded, "5;" + std::string(most_extension + 1, 'x') + "\r\nhello\r\n0\r\n\r\n"), "b");
  EXPECT_EQ(found(post(coded, "0\r\na: " + std::string(most_trailer - 4, 'x') + "\r\n\r\n"), 7), "b");
  EXPECT_EQ(found(post(coded, "0\r\na: " + std::string(most_trailer - 5, 'x') + "\r\n\r\n"), 7), "r");
  EXPECT_EQ(found(post(coded, "ffffffff\r\nx"), 7), "…");
}

TEST(HttpRequest, WhoseEndIsToldInTwoWaysOrNoneIsRefused) {
  expect(post("Content-Length: 5\r\n" + coded, "0\r\n\r\n") + get, "b");
  expect(post(coded + "Content-Length: 5\r\n", "0\r\n\r\n") + get, "b");
  expect(post(coded + "Content-Length: 0\r\n", "0\r\n\r\n") + get, "b");
  expect(post(coded + coded, "0\r\n\r\n") + get, "b");
  expect(post("Transfer-Encoding: chunked, gzip\r\n") + get, "b");
  expect(post("Transfer-Encoding: gzip\r\n") + get, "b");
  expect(post("Transfer-Encoding: gzip chunked\r\n", "0\r\n\r\n") + get, "b");
  expect(post("Transfer-Encoding: identity\rchunked\r\n", "0\r\n\r\n") + get, "b");
  expect(post("Transfer-Encoding:\rchunked\r\n", "0\r\n\r\n") + get, "b");
  expect(post("\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n") + get, "b");
  expect(post("\rContent-Length: 5\r\n", "hello") + get, "b");
  expect(post("Content-Length:\r5\r\n", "hello") + get, "b");
  expect(post("Transfer-Encoding: xchunked\r\n") + get, "b");
  expect(post("Transfer-Encoding:\r\n") + get, "b");
  expect(post("Transfer-Encoding: chunked;q=1\r\n") + get, "b");
  expect(post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n") + get, "b");
  expect(post("X: y\r\n Transfer-Encoding: chunked\r\n") + get, "b");
  expect(post("Content-Length:5\r\nContent-Length:5\r\n", "hello") + get, "b");
  expect(post("Content-Length:\r\n") + get, "b");
  expect(post("Content-Length: 1 2\r\n") + get, "b");
  expect(post("Content-Length: -5\r\n", "hello") + get, "b");
  expect(post("Content-Length: 4294967296\r\n") + get, "b");
}

TEST(HttpRequest, WhoWaitsToBeToldToGoOnIsTold) {
  const std::string wait = "Expect: 100-continue\r\n";
  expect(post(wait + "Content-Length: 5\r\n", "hello") + get, "prr");
  expect(post("expect:100-Continue \r\n" + coded, "5\r\nhello\r\n0\r\n\r\n") + get, "prr");
  expect(post(wait) + get, "rr"); // for nothing
  expect(post(wait + "Content-Length: 0\r\n") + get, "rr");
  expect("POST / HTTP/1.0\r\n" + wait + "Content-Length: 5\r\n\r\nhello", "c");
  expect(post("Expect: 100-continued\r\nContent-Length: 5\r\n", "hello") + get, "rr");
  expect(post(wait + coded + "Content-Length: 5\r\n", "hello") + get, "b");
  expect(post(wait + "Connection: close\r\nContent-Length: 5\r\n", "hello"), "pc");
}

TEST(HttpRequest, AsBefore) {
  expect(get + "\r\n" + get, "rr");
  expect(post("content-LENGTH:  8 \r\n", "\r\n\r\n\r\n\r\n") + get, "rr");
  expect(post("Content-Length: 0\r\n") + get, "rr");
  expect(post("Connection: Keep-Alive , Close\r\n") + get, "c");
  expect(post("Connection: closed, enclose\r\nX-Connection: close\r\n") + get, "rr");
  expect(post("Contents: close\r\nConnect: 1\r\nTransfer: x\r\nE: y\r\nT: z\r\n") + get, "rr");
  expect("GET / HTTP/1.0\r\n\r\n" + get, "c");
  expect("GET /?u=http/1.0 HTTP/1.1\r\n\r\n" + get, "rr");
  expect("GET / HTTP/1.1\nHost: x\n\n" + get, "rr");
}

} // namespace http_request_test
} // namespace tern::app::http
