#include "app/client/http_reader.hpp"

#include <nmmintrin.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace tern::app {
namespace {

// In a chunk's place: the line that tells the next one's size is to come. No chunk is so long.
constexpr std::uint32_t at_size_line = 0xffff'ffff;
constexpr std::uint32_t at_first_size_line = 0xffff'fffe; // no CRLF of a chunk before it
constexpr std::uint32_t most_chunk = 0x7fff'ffff;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == y; });
}
std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> text) {
  std::uint64_t c = crc;
  for (; text.size() >= 8; text = text.subspan(8)) {
    std::uint64_t word;
    std::memcpy(&word, text.data(), sizeof word);
    c = _mm_crc32_u64(c, word);
  }
  for (const std::byte b : text)
    c = _mm_crc32_u8(static_cast<std::uint32_t>(c), static_cast<std::uint8_t>(b));
  return static_cast<std::uint32_t>(c);
}

bool header(std::string_view line, HttpHead& h) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (same(name, "content-length")) {
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), h.length);
    h.has_length = true;
    return error == std::errc{} && end == value.data() + value.size() && h.length <= most_chunk;
  }
  if (same(name, "connection") && same(value, "close")) h.closes = true;
  if (same(name, "transfer-encoding")) {
    if (!same(value, "chunked")) return false;
    h.chunked = true;
  }
  return true;
}

} // namespace

HttpParse parse_head(std::string_view text, HttpHead& head) {
  const std::size_t end = text.find("\r\n\r\n");
  constexpr std::string_view version = "HTTP/1.";
  const std::size_t n = std::min(text.size(), version.size());
  if (text.substr(0, n) != version.substr(0, n)) return HttpParse::nonsense;
  if (end == std::string_view::npos) return HttpParse::more;
  head = {.bytes = static_cast<std::uint32_t>(end + 4)};
  text = text.substr(0, end);
  const std::size_t first = std::min(text.find("\r\n"), text.size());
  if (first < 12 || std::from_chars(text.data() + 9, text.data() + 12, head.status).ptr != text.data() + 12)
    return HttpParse::nonsense;
  head.closes = text[7] == '0'; // HTTP/1.0
  for (text.remove_prefix(first); !text.empty();) {
    text.remove_prefix(2);
    const std::string_view line = text.substr(0, text.find("\r\n"));
    if (!header(line, head)) return HttpParse::nonsense;
    text.remove_prefix(line.size());
  }
  if (head.status == 204 || head.status == 304) head.has_length = true, head.length = 0;
  return HttpParse::whole;
}

HttpReader::HttpReader(std::string_view body, bool verify, bool learn, std::size_t targets)
    : body_(body),
      lessons_(learn && verify ? std::max<std::size_t>(targets, 1) : 1),
      unknown_(learn ? lessons_.size() : 0),
      kept_(std::min(most_learned, most_kept / lessons_.size())),
      verify_(verify),
      scratch_(std::make_unique<char[]>(most_head)) {
  if (learn && verify)
    bodies_ =
        process_arena().take({.name = "response bodies", .count = lessons_.size(), .bytes_each = kept_});
  for (Lesson& l : lessons_) {
    if (learn && verify)
      l.room = {static_cast<char*>(bodies_.data()) + kept_ * static_cast<std::size_t>(&l - lessons_.data()),
                kept_};
    l.length = static_cast<std::uint32_t>(body.size());
    l.known = !learn;
  }
}

HttpReader::Step HttpReader::read(Visit& v, Payload& p, std::size_t target) {
  Lesson& l = lesson(target);
  if (!v.has(Visit::http_body)) {
    if (const Step s = read_head(v, p, l); s != Step::whole) return s;
  }
  return v.has(Visit::http_chunked) ? read_chunks(v, p, l) : read_body(v, p, l);
}

// What the payload begins with: in place where it lies in one piece, else a copy.
std::string_view HttpReader::look(Payload& p, std::size_t most) {
  const auto piece = p.front();
  if (piece.size() == p.size() || piece.size() >= most)
    return {reinterpret_cast<const char*>(piece.data()), std::min(piece.size(), most)};
  const std::uint32_t n =
      p.peek(std::as_writable_bytes(std::span{scratch_.get(), std::min(most, most_head)}));
  return {scratch_.get(), n};
}

// `whole`: the head is behind us.
HttpReader::Step HttpReader::read_head(Visit& v, Payload& p, Lesson& l) {
  HttpHead h;
  switch (parse_head(look(p, most_head), h)) {
    case HttpParse::more:
      return p.size() >= most_head ? Step::broken : Step::more;
    case HttpParse::nonsense:
      return Step::broken;
    case HttpParse::whole:
      break;
  }
  p.drop(h.bytes);
  status_ = h.status;
  v.set(Visit::http_body);
  v.got = 0;
  v.digest() = 0;
  v.expect = h.chunked ? at_first_size_line : h.length;
  if (h.closes) v.set(Visit::http_last);
  if (h.chunked)
    v.set(Visit::http_chunked);
  else if (!h.has_length)
    v.set(Visit::http_to_end | Visit::http_last);
  // An error is no answer, whatever its body, and teaches none.
  if (verify_ && h.status >= 400) v.set(Visit::bad);
  if (verify_ && !l.known && h.status < 400) {
    if (l.teacher == nullptr)
      l.teacher = &v;
    else
      ++not_compared_;
  }
  return Step::whole;
}

HttpReader::Step HttpReader::read_body(Visit& v, Payload& p, Lesson& l) {
  if (v.has(Visit::http_to_end)) {
    take(v, p, p.size(), l);
    return Step::more;
  }
  const std::uint32_t n = std::min(v.expect, p.size());
  take(v, p, n, l);
  v.expect -= n;
  return v.expect == 0 ? finish(v, l) : Step::more;
}

HttpReader::Step HttpReader::read_chunks(Visit& v, Payload& p, Lesson& l) {
  while (!p.empty()) {
    if (v.expect < at_first_size_line) {
      const std::uint32_t n = std::min(v.expect, p.size());
      take(v, p, n, l);
      v.expect -= n;
      if (v.expect == 0) v.expect = at_size_line;
      continue;
    }
    std::string_view text = look(p, 64);
    const std::size_t lead = v.expect == at_size_line ? 2 : 0;
    if (text.size() < lead) return Step::more;
    if (lead != 0 && !text.starts_with("\r\n")) return Step::broken;
    const std::size_t eol = text.find("\r\n", lead);
    if (eol == std::string_view::npos) return text.size() >= 64 ? Step::broken : Step::more;
    std::uint32_t n = 0;
    const char* const at = text.data() + lead;
    const auto [stop, error] = std::from_chars(at, text.data() + eol, n, 16);
    if (error != std::errc{} || stop == at || n > most_chunk) return Step::broken;
    if (n != 0) {
      p.drop(static_cast<std::uint32_t>(eol + 2));
      v.expect = n;
      continue;
    }
    // The last one; trailers are not sent to who did not ask for them.
    if (text.size() < eol + 4) return Step::more;
    if (text.substr(eol + 2, 2) != "\r\n") return Step::broken;
    p.drop(static_cast<std::uint32_t>(eol + 4));
    return finish(v, l);
  }
  return Step::more;
}

void HttpReader::take(Visit& v, Payload& p, std::uint32_t n, Lesson& l) {
  while (n != 0) {
    const auto piece = p.front();
    const auto k = static_cast<std::uint32_t>(std::min<std::size_t>(piece.size(), n));
    if (verify_) compare(v, piece.first(k), l);
    v.got += std::min(k, UINT32_MAX - v.got); // a body of 4 GiB is as good as a longer one
    n -= k;
    p.drop(k);
  }
}

void HttpReader::compare(Visit& v, std::span<const std::byte> piece, Lesson& l) {
  const auto* text = reinterpret_cast<const char*>(piece.data());
  const std::size_t limit = body_.empty() ? kept_ : body_.size();
  const std::size_t n = v.got < limit ? std::min(piece.size(), limit - v.got) : 0;
  if (body_.empty()) v.digest() = crc32c(v.digest(), piece.subspan(n));
  if (&v == l.teacher) {
    std::memcpy(l.room.data() + l.learned.size(), text, n);
    l.learned = {l.room.data(), l.learned.size() + n};
    return;
  }
  if (!l.known) return;
  const std::string_view kept = body_.empty() ? l.learned : body_;
  const std::size_t k = v.got < kept.size() ? std::min(n, kept.size() - v.got) : 0;
  if (k < n || std::memcmp(text, kept.data() + v.got, k) != 0) differs(v, l);
}

void HttpReader::differs(Visit& v, Lesson& l) const {
  if (!v.has(Visit::bad) && body_.empty()) ++l.differed;
  v.set(Visit::bad);
}

HttpReader::Step HttpReader::finish(Visit& v, std::size_t target) {
  return finish(v, lesson(target));
}
HttpReader::Step HttpReader::finish(Visit& v, Lesson& l) {
  if (&v == l.teacher) {
    l.known = true;
    l.teacher = nullptr;
    l.length = v.got;
    l.digest = v.digest();
    --unknown_;
  } else if (verify_ && l.known) {
    if (v.got != l.length || v.digest() != l.digest) differs(v, l);
  }
  return Step::whole;
}

void HttpReader::forget(const Visit& v, std::size_t target) {
  if (unknown_ == 0) return;
  Lesson& l = lesson(target);
  if (&v != l.teacher) return;
  l.teacher = nullptr; // half a lesson is none
  l.learned = {};
}

} // namespace tern::app
