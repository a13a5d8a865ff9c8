#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "app/client/http_reader.hpp"
#include "app/client/visit.hpp"
#include "flow/arena.hpp"
#include "support/eal.hpp"

namespace tern::app {
namespace http_reader_test {

TEST(HttpHead, NonsenseIsRefusedAndHalvesWait) {
  HttpHead h;
  EXPECT_EQ(parse_head("HTT", h), HttpParse::more);
  EXPECT_EQ(parse_head("HTTP/1.1 200 OK\r\nContent-Le", h), HttpParse::more);
  for (const char* text :
       {"SSH-2.0", "HTTP/2 200\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\r\nx\r\n\r\n"})
    EXPECT_EQ(parse_head(text, h), HttpParse::nonsense) << text;
  ASSERT_EQ(parse_head("HTTP/1.1 404 No\r\ncontent-length:  7 \r\nCONNECTION: Close\r\n\r\nbody", h),
            HttpParse::whole);
  EXPECT_EQ(h.status, 404);
  EXPECT_EQ(h.length, 7U);
  EXPECT_TRUE(h.closes && h.has_length && !h.chunked);
}

// Reads `text` in two pieces, cut at `cut`, as Core hands them over: what is left unread comes again.
HttpReader::Step read_cut(HttpReader& reader, Visit& v, const std::string& text, std::size_t cut,
                          const PacketPool& pool, std::size_t target = 0) {
  Packet all = pool.alloc();
  EXPECT_TRUE(all.append_copy(std::as_bytes(std::span{text}).first(cut), pool));
  GivenPayload first{std::move(all)};
  HttpReader::Step step = HttpReader::Step::more;
  if (cut != 0) step = reader.read(v, first, target);
  if (step != HttpReader::Step::more || cut == text.size()) return step;
  Packet rest = pool.alloc();
  EXPECT_TRUE(rest.append_copy(std::as_bytes(std::span{text}).subspan(cut), pool));
  Packet joined = first.empty() ? std::move(rest) : std::move(first.rest());
  if (rest) {
    EXPECT_TRUE(joined.chain(std::move(rest)));
  }
  Payload second{std::move(joined)};
  step = reader.read(v, second, target);
  EXPECT_TRUE(step != HttpReader::Step::whole || second.empty());
  return step;
}

TEST(HttpReader, AResponseCutAnywhereIsRead) {
  const test::TestPool pool;
  for (const std::string text :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n003;x=y\r\nllo\r\n0\r\n\r\n"}) {
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      HttpReader reader("hello", true, false);
      Visit v;
      EXPECT_EQ(read_cut(reader, v, text, cut, pool.pool()), HttpReader::Step::whole) << "cut at " << cut;
      EXPECT_EQ(v.got, 5U);
      EXPECT_FALSE(v.has(Visit::bad)) << "cut at " << cut;
      HttpReader other("hellO", true, false);
      Visit w;
      (void)read_cut(other, w, text, cut, pool.pool());
      EXPECT_TRUE(w.has(Visit::bad)) << "cut at " << cut;
    }
  }
}
// So that it counts against --memory, and is told.
TEST(HttpReader, WhatIsKeptOfBodiesIsReserved) {
  const auto reserved = [] {
    std::uint64_t bytes = 0;
    for (const ArenaReservation& r : process_arena().reservations())
      if (r.request.name == "response bodies") bytes += r.bytes;
    return bytes;
  };
  for (const std::size_t targets : {1UL, 64UL, 50'000UL}) {
    const HttpReader reader("", true, true, targets);
    EXPECT_GE(reserved(), std::min(targets, std::size_t{64}) * HttpReader::most_learned - targets);
  }
  const HttpReader given("hello", true, false);
  EXPECT_EQ(reserved(), 0U) << "what is known is kept by who gave it";
}
TEST(HttpReader, WithoutAnExpectedBodyTheFirstOneIs) {
  const test::TestPool pool;
  HttpReader reader("", true, true);
  const auto read = [&](const std::string& body) {
    static Visit v;
    v = Visit{};
    const std::string text =
        "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    EXPECT_EQ(read_cut(reader, v, text, 40, pool.pool()), HttpReader::Step::whole);
    return !v.has(Visit::bad);
  };
  EXPECT_TRUE(read("first"));
  EXPECT_TRUE(read("first"));
  EXPECT_FALSE(read("fIrst"));
  EXPECT_FALSE(read("firs"));
  EXPECT_FALSE(read("first!"));
}
// Another server may have another page; the same one should not.
TEST(HttpReader, EachTargetIsComparedWithItsOwnFirstBody) {
  const test::TestPool pool;
  HttpReader reader("", true, true, 2);
  const auto read = [&](const std::string& body, std::size_t target) {
    static Visit v;
    v = Visit{};
    const std::string text =
        "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    EXPECT_EQ(read_cut(reader, v, text, text.size(), pool.pool(), target), HttpReader::Step::whole);
    return !v.has(Visit::bad);
  };
  EXPECT_TRUE(read("good day", 0));
  EXPECT_TRUE(reader.learns());
  EXPECT_TRUE(read("hello", 1));
  EXPECT_FALSE(reader.learns());
  for (int n = 0; n < 3; ++n) {
    EXPECT_TRUE(read("good day", 0));
    EXPECT_TRUE(read("hello", 1));
  }
  EXPECT_FALSE(read("hello", 0));
  EXPECT_EQ(reader.differed(0), 1U);
  EXPECT_EQ(reader.differed(1), 0U);
}
TEST(HttpReader, AnErrorIsNoAnswerWhateverItsBody) {
  const test::TestPool pool;
  for (const char* status : {"200 OK", "302 Found", "404 Not Found", "503 Busy"})
    for (const char* body : {"hello", ""}) // known, or learned: an error teaches nothing
      for (const bool verify : {true, false}) {
        HttpReader reader(body, verify, *body == 0);
        Visit v;
        const std::string text = "HTTP/1.1 " + std::string{status} + "\r\nContent-Length: 5\r\n\r\nhello";
        EXPECT_EQ(read_cut(reader, v, text, 20, pool.pool()), HttpReader::Step::whole);
        EXPECT_EQ(v.has(Visit::bad), verify && *status >= '4') << status << " " << body << verify;
      }
}
TEST(HttpReader, ABodyOfAnyLengthIsComparedToItsLastByte) {
  const test::TestPool pool{4095};
  HttpReader reader("", true, true);
  Visit v;
  const auto read = [&](const std::string& body, std::size_t cut) {
    v = Visit{};
    const std::string text =
        "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    EXPECT_EQ(read_cut(reader, v, text, cut, pool.pool()), HttpReader::Step::whole);
    return !v.has(Visit::bad);
  };
  std::string body(HttpReader::most_learned + 100'001, 'b');
  for (std::size_t i = 0; i < body.size(); i += 7) body[i] = static_cast<char>(i >> 8);
  EXPECT_TRUE(read(body, 1000));
  EXPECT_TRUE(read(body, 2000));
  EXPECT_TRUE(read(body, HttpReader::most_learned + 5003));
  for (const std::size_t at :
       {std::size_t{5}, HttpReader::most_learned - 1, HttpReader::most_learned, body.size() - 1}) {
    std::string other = body;
    other[at] ^= 1;
    EXPECT_FALSE(read(other, 1000)) << at;
  }
  EXPECT_FALSE(read(body + 'b', 1000));
  EXPECT_FALSE(read(body.substr(0, body.size() - 1), 1000));
  EXPECT_TRUE(read(body, 1000));
}
// Beyond 4 GiB all bodies are as long, and no more of them is kept.
TEST(HttpReader, ABodyBeyondFourGiBIsKeptNoFurther) {
  const test::TestPool pool;
  HttpReader reader("", true, true);
  Visit v;
  ASSERT_EQ(read_cut(reader, v, "HTTP/1.1 200 OK\r\n\r\n0123456789", 20, pool.pool()),
            HttpReader::Step::more);
  ASSERT_EQ(v.got, 10U);
  v.got = UINT32_MAX - 5;
  Packet p = pool.pool().alloc();
  ASSERT_TRUE(p.append_copy(std::as_bytes(std::span{"abcdefghij", 10}), pool.pool()));
  GivenPayload more{std::move(p)};
  EXPECT_EQ(reader.read(v, more), HttpReader::Step::more);
  EXPECT_EQ(v.got, UINT32_MAX);
}

TEST(HttpReader, ABodyToTheEndOfTheConnection) {
  const test::TestPool pool;
  HttpReader reader("hello", true, false);
  Visit v;
  EXPECT_FALSE(HttpReader::ends_here(v));
  EXPECT_EQ(read_cut(reader, v, "HTTP/1.0 200 OK\r\n\r\nhello", 10, pool.pool()), HttpReader::Step::more);
  EXPECT_TRUE(HttpReader::ends_here(v));
  EXPECT_EQ(reader.finish(v), HttpReader::Step::whole);
  EXPECT_FALSE(v.has(Visit::bad));
}

} // namespace http_reader_test
} // namespace tern::app
