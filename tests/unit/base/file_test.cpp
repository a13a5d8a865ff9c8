#include "base/file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <iterator>
#include <system_error>

namespace tern {
namespace file_test {
namespace fs = std::filesystem;

struct Folder {
  std::string path = "/tmp/tern-file-XXXXXX";
  Folder() { EXPECT_NE(::mkdtemp(path.data()), nullptr); }
  ~Folder() { fs::remove_all(path); }
  [[nodiscard]] std::string at(const char* name) const { return path + "/" + name; }
  [[nodiscard]] auto files() const {
    return std::distance(fs::directory_iterator(path), fs::directory_iterator());
  }
};

int cause(void (*call)(const std::string&), const std::string& path) {
  try {
    call(path);
  } catch (const std::system_error& e) {
    return e.code().value();
  }
  return 0;
}
void write_some(const std::string& path) {
  write_file(path, "some");
}
void read_it(const std::string& path) {
  (void)read_file(path);
}

TEST(File, WhatIsWrittenIsRead) {
  const Folder f;
  std::string text(200'000, 'x');
  text[7] = '\0';
  write_file(f.at("a"), text);
  EXPECT_EQ(read_file(f.at("a")), text);
  write_file(f.at("a"), "");
  EXPECT_EQ(read_file(f.at("a")), "");
  EXPECT_EQ(read_file("/dev/null"), "");
  EXPECT_EQ(f.files(), 1);
}

TEST(File, KeepsItsModeAndTheUsualOneAtFirst) {
  const Folder f;
  const mode_t mask = ::umask(027);
  write_file(f.at("a"), "a");
  ::umask(mask);
  struct stat at {};
  ::stat(f.at("a").c_str(), &at);
  EXPECT_EQ(at.st_mode & 0777, 0640U);
  ::chmod(f.at("a").c_str(), 0600);
  write_file(f.at("a"), "b");
  ::stat(f.at("a").c_str(), &at);
  EXPECT_EQ(at.st_mode & 0777, 0600U);
}

TEST(File, KeepsItsOwnerAndNoRightToRunAsHe) {
  const uid_t other = ::geteuid() == 0 ? 65534 : ::geteuid(); // only root may give files away
  const gid_t group = ::geteuid() == 0 ? 65534 : ::getegid();
  const Folder f;
  write_file(f.at("a"), "a");
  ASSERT_EQ(::chown(f.at("a").c_str(), other, group), 0);
  ::chmod(f.at("a").c_str(), 04777);
  write_file(f.at("a"), "b");
  struct stat at {};
  ::stat(f.at("a").c_str(), &at);
  EXPECT_EQ(at.st_uid, other);
  EXPECT_EQ(at.st_gid, group);
  EXPECT_EQ(at.st_mode & 07777, 0777U);
}

TEST(File, OfSeveralNamesIsTheSameByAll) {
  const Folder f;
  write_file(f.at("a"), "a");
  fs::create_hard_link(f.at("a"), f.at("b"));
  fs::create_symlink("b", f.at("c"));
  write_file(f.at("c"), "new");
  EXPECT_EQ(read_file(f.at("a")), "new");
  fs::remove(f.at("a"));
  write_file(f.at("c"), "newer");
  EXPECT_TRUE(fs::is_symlink(f.at("c")));
  EXPECT_EQ(read_file(f.at("b")), "newer");
  EXPECT_EQ(f.files(), 2);
}

// As a full disk, but with a limit of our own.
TEST(File, WhatFindsNoRoomLeavesTheOldOne) {
  const Folder f;
  write_file(f.at("a"), "old");
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit was{};
  ::getrlimit(RLIMIT_FSIZE, &was);
  const rlimit small{16384, was.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  int why = 0;
  for (const char* name : {"a", "b"}) try {
      write_file(f.at(name), std::string(20'000, 'x'));
    } catch (const std::system_error& e) {
      why = e.code().value();
    }
  ::setrlimit(RLIMIT_FSIZE, &was);
  std::signal(SIGXFSZ, before);
  EXPECT_EQ(why, EFBIG);
  EXPECT_EQ(read_file(f.at("a")), "old");
  EXPECT_EQ(f.files(), 1);
}

TEST(File, LinksAreFollowedAndStay) {
  const Folder f;
  write_file(f.at("a"), "old, and longer");
  fs::create_symlink("a", f.at("link"));
  write_file(f.at("link"), "new");
  EXPECT_TRUE(fs::is_symlink(f.at("link")));
  EXPECT_EQ(read_file(f.at("a")), "new");
}

TEST(File, DevicesAndPipesAreWrittenWhereTheyAre) {
  EXPECT_EQ(cause(write_some, "/dev/null"), 0);
  EXPECT_EQ(cause(write_some, "/dev/full"), ENOSPC);
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_EQ(cause(check_writable, "/dev/null"), 0);
}

TEST(File, ANamedPipeThatNobodyReadsIsToldAtOnce) {
  const Folder f;
  ASSERT_EQ(::mkfifo(f.at("pipe").c_str(), 0600), 0);
  const int before = ::open(f.at("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  ::close(before); // whoever came and went is none
  EXPECT_EQ(cause(check_writable, f.at("pipe")), ENXIO);
  EXPECT_EQ(cause(write_some, f.at("pipe")), ENXIO);
}

TEST(File, TheReaderOfANamedPipeSeesNoEndBeforeTheText) {
  const Folder f;
  ASSERT_EQ(::mkfifo(f.at("pipe").c_str(), 0600), 0);
  const int reader = ::open(f.at("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  EXPECT_EQ(cause(check_writable, f.at("pipe")), 0);
  char text[8] = {};
  EXPECT_EQ(::read(reader, text, sizeof text), -1); // 0 would be the end
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(cause(write_some, f.at("pipe")), 0);
  EXPECT_EQ(::read(reader, text, sizeof text), 4);
  EXPECT_EQ(std::string_view(text, 4), "some");
  ::close(reader);
  EXPECT_EQ(cause(write_some, f.at("pipe")), ENXIO); // he has gone
}

TEST(File, CheckSaysWhatWriteWouldAndLeavesNothing) {
  const Folder f;
  for (const auto& [path, why] : {std::pair{f.at("a"), 0},
                                  {f.at("no/a"), ENOENT},
                                  {f.path, EISDIR},
                                  {f.path + "/", EISDIR},
                                  {f.at(std::string(300, 'x').c_str()), ENAMETOOLONG}}) {
    EXPECT_EQ(cause(check_writable, path), why) << path;
    EXPECT_EQ(f.files(), 0);
    EXPECT_EQ(cause(write_some, path), why) << path;
    fs::remove(f.at("a"));
  }
  EXPECT_EQ(cause(read_it, f.path), EISDIR);
  EXPECT_EQ(cause(read_it, f.at("a")), ENOENT);
}

} // namespace file_test
} // namespace tern
