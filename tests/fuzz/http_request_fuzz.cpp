#include "app/server/http_request.hpp"

#include <string>

#include "fuzz.hpp"

using namespace tern;

namespace {

// What is found in `text` a piece at a time, each in memory of its own.
std::string found(std::string_view text, std::size_t each) {
  using namespace app::http;
  std::string all;
  std::uint64_t state = 0;
  while (!text.empty()) {
    fuzz::Exact piece(std::as_bytes(std::span{text.substr(0, each)}));
    text.remove_prefix(piece.span().size());
    std::string_view left(reinterpret_cast<const char*>(piece.data()), piece.span().size());
    while (!left.empty()) {
      const Read r = read_request(state, left);
      TERN_CHECK(r.taken <= left.size() && (r.taken != 0 || r.found == Found::proceed));
      TERN_CHECK(r.found != Found::nothing || r.taken == left.size());
      left.remove_prefix(r.taken);
      if (r.found == Found::proceed) {
        all += 'p';
        proceed(state);
        TERN_CHECK(part_of(state) != Part::proceed);
      } else if (r.found == Found::request) {
        all += (state & bad) != 0 ? 'b' : (state & wants_close) != 0 ? 'c' : 'r';
        if ((state & bad) != 0) return all;
        state = 0;
      }
    }
  }
  return all;
}

} // namespace

// However it is cut, the same is found.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  const std::size_t each = in.take() % 64 + 1U;
  const std::string_view text(reinterpret_cast<const char*>(data) + (size != 0), size - (size != 0));
  TERN_CHECK(found(text, text.size()) == found(text, each));
  return 0;
}
