// Who comes to a listening socket of the kernel's: each asks one thing, has one answer, and is hung up on. Never on the
// packet path: a thread of its own waits here, and waits for none of them.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::app {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(Fd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  Fd& operator=(Fd&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_ = -1;
};

class Callers {
 public:
  static constexpr std::size_t most = 32; // at once
  // Of answers that are under way when another is asked for.
  static constexpr std::size_t most_unsent = 64U << 20;

  struct Manners {
    std::chrono::milliseconds patience =
        std::chrono::seconds(1); // for the question, and with whoever takes no more
    std::size_t longest = 4096;  // question
    // Whoever has the answer may go on talking for that long. Over TCP, what nobody has read when a socket is closed resets
    // the connection, and the answer may be lost with it.
    bool hears_out = false;
  };
  struct Question {
    std::string_view text; // so far
    bool over = false;     // there will be no more of it: an end, or it is too long
    bool busy = false;     // others are still reading long answers
  };
  // None: there is more to come of the question, or the answer is not known yet; asked again at each wait. Empty: there is
  // nothing to say.
  using Answers = std::function<std::optional<std::string>(const Question&)>;

  // `listener` listens, and does not block.
  Callers(Fd listener, Manners manners) : listener_(std::move(listener)), manners_(manners) {}

  // Waits for at most this long (20 ms when there is an answer to send), and answers those who came. Nobody waits for
  // another: who has not said all within `patience`, or takes nothing of the answer for so long, is hung up on.
  void wait(int milliseconds, const Answers& answer);

 private:
  using Clock = std::chrono::steady_clock;
  struct Caller {
    Fd fd{};
    Clock::time_point deadline{}; // the patience after it last moved
    std::string text{};           // what it said so far; then what it is told
    bool over = false;            // it says no more of it
    std::size_t sent = 0;
    bool answered = false;
    [[nodiscard]] bool unsent() const { return answered && sent < text.size(); }
    [[nodiscard]] bool waits() const { return !answered && !text.empty(); }
  };
  void look(Clock::time_point until, const Answers& answer);
  void take_new(const Answers& answer);
  [[nodiscard]] bool serve(Caller& c, const Answers& answer);
  [[nodiscard]] bool read_some(Caller& c, const Answers& answer);
  [[nodiscard]] bool told(Caller& c, const Answers& answer) const;
  [[nodiscard]] bool hear_out(Caller& c) const;
  [[nodiscard]] bool busy() const;

  Fd listener_;
  Manners manners_;
  std::vector<Caller> callers_;
  std::vector<pollfd> polled_;
};

} // namespace tern::app
