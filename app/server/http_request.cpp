#include "app/server/http_request.hpp"

#include <algorithm>
#include <array>

namespace tern::app::http {
namespace {

constexpr std::uint64_t past = 0xff;
constexpr std::uint64_t low = 0xffff'ffff;
constexpr std::string_view close_option = "close";
constexpr std::string_view chunked_coding = "chunked";
constexpr std::string_view continue_expectation = "100-continue";
constexpr std::string_view head_method = "HEAD ";
constexpr std::string_view old_version = " http/1.0";

// The fields that say something to us.
enum class Field : std::uint8_t { connection, content_length, transfer_encoding, expect };
constexpr std::array<std::string_view, 4> names{
    "connection:", "content-length:", "transfer-encoding:", "expect:"};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

void go_to(std::uint64_t& state, Part part) {
  state = (state & ~0xffff1fULL) | static_cast<std::uint64_t>(part);
}

// The functions below take one more character of what they are called after. Those that say bool: that ended the request.
void take_request_line(std::uint64_t& state, char c) {
  if (c == '\n' && field(state, 8) != 0) return go_to(state, Part::name);
  if (c == '\r' || c == '\n') return; // empty lines before it are passed over: RFC 9112 §2.2
  if (const std::uint64_t n = field(state, 8);
      n < head_method.size()) { // a method's case matters: RFC 9110 §9.1
    const bool more = c == head_method[n];
    set_field(state, 8, more ? n + 1 : past);
    state = more && n + 1 == head_method.size() ? state | head_only : state & ~head_only;
  }
  // It begins with a character that stands nowhere else in it, so a mismatch needs no table to go back by.
  std::uint64_t n = field(state, 16);
  n = lower(c) == old_version[n] ? n + 1 : (lower(c) == old_version[0] ? 1 : 0);
  if (n == old_version.size()) state |= wants_close | old;
  set_field(state, 16, n % old_version.size());
}

// The length of a body is told once, and by a number that we can count.
void mistrust_length(std::uint64_t& state) {
  state = (state & low & ~has_body) | bad;
  set_field(state, 8, past);
}

void begin_value(std::uint64_t& state, Field f) {
  switch (f) {
    case Field::connection:
      return go_to(state, Part::connection);
    case Field::content_length:
      go_to(state, Part::content_length);
      if ((state & has_body) != 0) mistrust_length(state);
      return;
    case Field::transfer_encoding:
      state |= has_coding;
      return go_to(state, Part::transfer_encoding);
    case Field::expect:
      return go_to(state, Part::expect);
  }
}

// A name is not what it seems to be where a blank stands before its colon, or before a line, which then belongs to the one
// before: each reads that as he likes, so nobody may (RFC 9112 §5.1, §5.2).
bool blank(char c) {
  return c == ' ' || c == '\t';
}

// True: that was the empty line.
bool take_name(std::uint64_t& state, char c) {
  const std::uint64_t n = field(state, 8);
  if (c == '\n') {
    go_to(state, Part::name);
    return n == 0;
  }
  const char l = lower(c);
  if (n == 0) {
    if (field(state, 16) == past) { // a CR stands alone at its beginning
      state |= bad;
      return go_to(state, Part::other_line), false;
    }
    if (c == '\r') return set_field(state, 16, past), false;
    if (l == 't') {
      set_field(state, 16, static_cast<std::uint64_t>(Field::transfer_encoding));
    } else if (l == 'e') {
      set_field(state, 16, static_cast<std::uint64_t>(Field::expect));
    } else if (l != 'c') { // connection, as it is
      if (blank(c)) state |= bad;
      return go_to(state, Part::other_line), false;
    }
  }
  if (n == 3 && l == 't' &&
      field(state, 16) == static_cast<std::uint64_t>(Field::connection)) // "con" is of both
    set_field(state, 16, static_cast<std::uint64_t>(Field::content_length));
  const auto f = static_cast<Field>(field(state, 16));
  const std::string_view word = names[field(state, 16)];
  if (l == word[n]) {
    if (n + 1 == word.size())
      begin_value(state, f);
    else
      set_field(state, 8, n + 1);
    return false;
  }
  if (blank(c) && n + 1 == word.size()) state |= bad;
  go_to(state, Part::other_line);
  return false;
}

// Of a list (RFC 9110 §5.6.1): what has ended with this character.
enum class Element : std::uint8_t { none, other, it };
Element take_element(std::uint64_t& state, char c, std::string_view it) {
  const std::uint64_t n = field(state, 8);
  if (c > ',' || (c != ',' && !blank(c) && c != '\r' && c != '\n')) { // what ends one is at most a comma
    set_field(state, 8, n < it.size() && lower(c) == it[n] ? n + 1 : past);
    return Element::none;
  }
  set_field(state, 8, 0);
  if (c == '\n') go_to(state, Part::name);
  return n == 0 ? Element::none : n == it.size() ? Element::it : Element::other;
}

void take_connection(std::uint64_t& state, char c) {
  if (take_element(state, c, close_option) == Element::it) state |= wants_close;
}

// Others are not undone, for nobody looks at the body: only where it ends matters. "chunked" is the last, and stands once.
// What a comma does not separate is one coding that we do not know.
void take_transfer_encoding(std::uint64_t& state, char c) {
  if (c == ',') {
    set_field(state, 16, 0);
  } else if (c == '\r' || (blank(c) && field(state, 8) != 0)) {
    set_field(state, 16, past); // the element is over
  } else if (!blank(c) && c != '\n' && field(state, 16) != 0) {
    state |= bad;
  }
  const Element e = take_element(state, c, chunked_coding);
  if (e == Element::none) return;
  if ((state & chunked) != 0) state |= bad;
  if (e == Element::it) state |= chunked;
}

void take_expect(std::uint64_t& state, char c) {
  if (take_element(state, c, continue_expectation) == Element::it) state |= expects;
}

void take_content_length(std::uint64_t& state, char c) {
  if (c == '\n') {
    if ((state & has_body) == 0) state |= bad;
    return go_to(state, Part::name);
  }
  if (blank(c) || c == '\r') {
    if ((state & has_body) != 0 || c == '\r')
      set_field(state, 8, past); // one number is all, and a CR is at the end
    return;
  }
  const std::uint64_t n = (state >> 32) * 10 + static_cast<std::uint64_t>(c - '0');
  if (field(state, 8) == past || c < '0' || c > '9' || n > low) return mistrust_length(state);
  state = (state & low) | has_body | n << 32;
}

// After the head: RFC 9112 §6.3.
bool end_head(std::uint64_t& state) {
  if ((state & (has_coding | has_body | bad)) == 0) [[likely]]
    return true;
  const bool coded = (state & has_coding) != 0;
  if (coded && ((state & chunked) == 0 || (state & has_body) != 0)) state |= bad;
  if ((state & bad) != 0) return true;
  if (!coded && state >> 32 == 0) return true;
  state |= has_body;
  if ((state & (expects | old)) != expects) {
    proceed(state);
  } else {
    go_to(state, Part::proceed);
    set_field(state, 8, go_on.size());
  }
  return false;
}

// ---- Chunks: RFC 9112 §7.1. Their lines end with CR LF and nothing else, lest somebody before us reads them otherwise.

bool damaged(std::uint64_t& state) {
  state |= bad;
  return true;
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

bool take_chunk_size(std::uint64_t& state, char c) {
  constexpr std::uint64_t most_digits = 16;
  const std::uint64_t n = field(state, 8);
  if (const int d = digit(c); d >= 0) {
    if (n >= most_digits || state >> 60 != 0) return damaged(state);
    state = (state & low) | (state >> 32 << 4 | static_cast<std::uint64_t>(d)) << 32;
    set_field(state, 8, n + 1);
    return false;
  }
  if (n == 0) return damaged(state);
  if (c == '\r') return go_to(state, Part::chunk_line_end), false;
  if (blank(c)) return set_field(state, 8, past), false; // an extension may follow, and no digit
  if (c != ';') return damaged(state);
  go_to(state, Part::chunk_extension);
  return false;
}

bool take_chunk_extension(std::uint64_t& state, char c) {
  if (c == '\r') return go_to(state, Part::chunk_line_end), false;
  const std::uint64_t n = field(state, 16);
  if (c == '\n' || n == most_extension) return damaged(state);
  set_field(state, 16, n + 1);
  return false;
}

bool take_chunk_line_end(std::uint64_t& state, char c) {
  if (c != '\n') return damaged(state);
  go_to(state, state >> 32 == 0 ? Part::trailer : Part::chunk);
  return false;
}

bool take_chunk_end(std::uint64_t& state, char c) {
  const std::uint64_t n = field(state, 8);
  if (c != "\r\n"[n]) return damaged(state);
  if (n == 0)
    set_field(state, 8, 1);
  else
    go_to(state, Part::chunk_size);
  return false;
}

// Lines that nobody asks for, and an empty one.
bool take_trailer(std::uint64_t& state, char c) {
  constexpr std::uint64_t text = 1; // there is some on this line
  constexpr std::uint64_t cr = 2;
  const std::uint64_t line = field(state, 8);
  if ((c == '\n') != ((line & cr) != 0)) return damaged(state);
  if (c == '\n') {
    set_field(state, 8, 0);
    return line == cr;
  }
  if (state >> 32 == most_trailer) return damaged(state);
  state += 1ULL << 32;
  set_field(state, 8, c == '\r' ? line | cr : text);
  return false;
}

} // namespace

void proceed(std::uint64_t& state) {
  go_to(state, (state & has_coding) != 0 ? Part::chunk_size : Part::body);
}

Read read_request(std::uint64_t& state, std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    bool whole = false;
    switch (part_of(state)) {
      case Part::request_line:
        take_request_line(state, text[i++]);
        break;
      case Part::name:
        if (!take_name(state, text[i++])) break;
        whole = end_head(state);
        if (part_of(state) == Part::proceed) return {i, Found::proceed};
        break;
      case Part::other_line: {
        const std::size_t end = text.find('\n', i);
        if (end == text.npos) return {text.size(), Found::nothing};
        i = end + 1;
        go_to(state, Part::name);
        break;
      }
      case Part::connection:
        take_connection(state, text[i++]);
        break;
      case Part::content_length:
        take_content_length(state, text[i++]);
        break;
      case Part::transfer_encoding:
        take_transfer_encoding(state, text[i++]);
        break;
      case Part::expect:
        take_expect(state, text[i++]);
        break;
      case Part::proceed: // not before it was said
        return {i, Found::proceed};
      case Part::body:
      case Part::chunk: {
        const std::uint64_t n = std::min<std::uint64_t>(text.size() - i, state >> 32);
        i += n;
        state -= n << 32;
        if (state >> 32 != 0) break;
        whole = part_of(state) == Part::body;
        if (!whole) go_to(state, Part::chunk_end);
        break;
      }
      case Part::chunk_size:
        whole = take_chunk_size(state, text[i++]);
        break;
      case Part::chunk_extension:
        whole = take_chunk_extension(state, text[i++]);
        break;
      case Part::chunk_line_end:
        whole = take_chunk_line_end(state, text[i++]);
        break;
      case Part::chunk_end:
        whole = take_chunk_end(state, text[i++]);
        break;
      case Part::trailer:
        whole = take_trailer(state, text[i++]);
        break;
    }
    if (whole) return {i, Found::request};
  }
  return {text.size(), Found::nothing};
}

} // namespace tern::app::http
