// The control socket: one line of words in, one answer out, then it is closed. `echo "show backends" | nc -U
// …` does what `tern ctl show backends` does. Never on the packet path: a thread of its own waits here.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <functional>
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

class ControlSocket {
 public:
  using Answers = std::function<std::string(std::string_view line)>;
  static constexpr std::size_t longest_request = 4096;
  static constexpr std::size_t most_clients = 32; // at once
  // Of answers that are under way when another is asked for.
  static constexpr std::size_t most_unsent = 64U << 20;

  // Throws ConfigError. A socket that a dead process left behind is taken over; one that is answered is not.
  explicit ControlSocket(const std::string& path,
                         std::chrono::milliseconds patience = std::chrono::seconds(1));
  ~ControlSocket(); // the path goes too
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  // Waits for at most this long (20 ms when there is an answer to send), and answers those who came. Nobody waits for
  // another: who sends no whole line within `patience`, or takes nothing of the answer for so long, is hung up on.
  void wait(int milliseconds, const Answers& answer);

 private:
  using Clock = std::chrono::steady_clock;
  struct Client {
    Fd fd{};
    Clock::time_point deadline{}; // the patience after it last moved
    std::string text{};           // what it said so far; then what it is told
    std::size_t sent = 0;
    bool answered = false;
    [[nodiscard]] bool unsent() const { return answered && sent < text.size(); }
  };
  void look(Clock::time_point until, const Answers& answer);
  void take_new(const Answers& answer);
  [[nodiscard]] bool serve(Client& c, const Answers& answer);
  [[nodiscard]] bool read_line(Client& c, const Answers& answer);

  std::string path_;
  std::chrono::milliseconds patience_;
  Fd listener_;
  std::vector<Client> clients_;
  std::vector<pollfd> polled_;
};

// The other end: sends the line, gives back the whole answer. Throws ConfigError where nobody listens, or who does says
// nothing for so long: a core that is stuck costs the answerer two seconds.
[[nodiscard]] std::string ask(const std::string& path, const std::string& line,
                              std::chrono::milliseconds patience = std::chrono::seconds(60));

// Prints what ask() gave; a program's exit code: 1 if it was a refusal, which goes to stderr as text.
[[nodiscard]] int print_answer(const std::string& answer, bool json);

} // namespace tern::app
