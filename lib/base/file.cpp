#include "base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <system_error>

namespace tern {
namespace {

std::atomic<int> unsaid{0};

[[noreturn]] void fail(const std::string& path) {
  throw std::system_error(errno, std::generic_category(), path);
}

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    const int was = errno; // the cause of what is being told
    (void)close();
    errno = was;
  }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool close() {
    const int fd = fd_;
    fd_ = -1;
    return fd < 0 || ::close(fd) == 0;
  }

 private:
  int fd_;
};

bool put(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

// What the path itself is, and not what a link leads to.
enum class Kind { none, regular, other };
Kind kind_of(const std::string& path, struct stat& at) {
  if (path.empty() || path.back() == '/') {
    errno = path.empty() ? ENOENT : EISDIR;
    fail(path);
  }
  if (::lstat(path.c_str(), &at) == 0) return S_ISREG(at.st_mode) ? Kind::regular : Kind::other;
  if (errno != ENOENT) fail(path);
  return Kind::none;
}

// A name for a file in the same folder, which is of one file system.
std::string name_beside(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return (slash == std::string::npos ? "" : path.substr(0, slash + 1)) + ".tern-XXXXXX";
}

// The folder takes no new file or no new name, or the file is a mount of its own, as containers have them: but what is there
// already may be writable.
bool folder_refuses(int why) {
  return why == EACCES || why == EPERM || why == EROFS || why == EBUSY;
}

// Where a link leads, if that is a file like any other. What the kernel shows of open files is theirs who opened them.
std::string behind_links(const std::string& path, const struct stat& at) {
  struct stat to {};
  if (!S_ISLNK(at.st_mode) || path.starts_with("/dev/") || path.starts_with("/proc/")) return path;
  if (::stat(path.c_str(), &to) != 0 || !S_ISREG(to.st_mode)) return path;
  const std::unique_ptr<char, void (*)(void*)> whole(::realpath(path.c_str(), nullptr), std::free);
  return whole ? std::string(whole.get()) : path;
}

// As the file that it takes the place of, but for what would let others run it as its owner.
bool made_alike(int fd, const struct stat& at) {
  struct stat ours {};
  if (at.st_nlink > 1 || ::fstat(fd, &ours) != 0) return false;
  const bool owned = at.st_uid == ours.st_uid && at.st_gid == ours.st_gid;
  return (owned || ::fchown(fd, at.st_uid, at.st_gid) == 0) && ::fchmod(fd, at.st_mode & 0777) == 0;
}

// The program's own output: what it has printed must come before, and must stay.
bool is_stdout(const std::string& path) {
  struct stat at {};
  struct stat out {};
  return ::stat(path.c_str(), &at) == 0 && ::fstat(STDOUT_FILENO, &out) == 0 && at.st_dev == out.st_dev &&
         at.st_ino == out.st_ino;
}

// A pipe that has no reader would hold up who opens it until one comes: ENXIO says so instead. Where there is one, writes wait
// for him.
int open_to_write(const std::string& path, int how) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | how, 0666);
  if (fd < 0) return fd;
  if (const int flags = ::fcntl(fd, F_GETFL); flags < 0 || ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
    const int why = errno;
    ::close(fd);
    errno = why;
    return -1;
  }
  return fd;
}

void write_in_place(const std::string& path, std::string_view text, Kind kind) {
  if (is_stdout(path)) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
      fail(path);
    return;
  }
  const int made = kind == Kind::regular ? 0 : O_CREAT; // sticky folders let nobody "make" what is another's
  File to(open_to_write(path, made | O_TRUNC));
  if (to.fd() < 0 || !put(to.fd(), text) || !to.close()) fail(path);
}

mode_t usual_mode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

} // namespace

std::string read_file(const std::string& path) {
  const File from(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (from.fd() < 0) fail(path);
  std::string text;
  char some[65536];
  while (true) {
    const ssize_t n = ::read(from.fd(), some, sizeof some);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(path);
    if (n == 0) return text;
    text.append(some, static_cast<std::size_t>(n));
  }
}

void write_file(const std::string& name, std::string_view text) {
  struct stat at {};
  Kind kind = kind_of(name, at);
  const std::string path = kind == Kind::other ? behind_links(name, at) : name;
  if (path != name) kind = kind_of(path, at);
  if (kind == Kind::other || (kind == Kind::regular && is_stdout(path)))
    return write_in_place(path, text, kind);
  std::string beside = name_beside(path);
  File to(::mkstemp(beside.data()));
  if (to.fd() < 0) {
    if (kind == Kind::regular && folder_refuses(errno)) return write_in_place(path, text, kind);
    fail(path);
  }
  const bool alike = kind == Kind::regular ? made_alike(to.fd(), at) : ::fchmod(to.fd(), usual_mode()) == 0;
  if (alike && put(to.fd(), text) && to.close() && ::rename(beside.c_str(), path.c_str()) == 0) return;
  const int why = errno;
  ::unlink(beside.c_str());
  if (kind == Kind::regular && (!alike || folder_refuses(why))) return write_in_place(path, text, kind);
  errno = why;
  fail(path);
}

void say(std::string_view text) {
  const bool said = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (std::fflush(stdout) == 0 && said) return;
  int nothing = 0;
  unsaid.compare_exchange_strong(nothing, errno, std::memory_order_relaxed);
}

int why_unsaid() {
  return unsaid.load(std::memory_order_relaxed);
}

void check_writable(const std::string& path) {
  struct stat at {};
  const Kind kind = kind_of(path, at);
  struct stat to {};
  const bool there = kind == Kind::other && ::stat(path.c_str(), &to) == 0;
  if (there && S_ISDIR(to.st_mode)) {
    errno = EISDIR;
    fail(path);
  }
  if (there && S_ISFIFO(to.st_mode) && !is_stdout(path)) {
    if (open_to_write(path, 0) < 0) fail(path);
    return; // and it stays open
  }
  if (kind != Kind::none) {
    if (::access(path.c_str(), W_OK) != 0 && errno != ENOENT) fail(path);
    return;
  }
  std::string beside = name_beside(path);
  const File probe(::mkstemp(beside.data()));
  if (probe.fd() < 0) fail(path);
  ::unlink(beside.c_str());
}

} // namespace tern
