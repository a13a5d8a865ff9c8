// What the process has open: where a driver keeps a descriptor to itself.
#pragma once

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

namespace tern::io {

// Those for which `wanted(fd)`, in the order in which they were opened, if none was given back in between: the kernel gives
// the lowest number that is free.
template <class Wanted>
std::vector<int> open_descriptors(Wanted&& wanted) {
  std::vector<int> found;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", none)) {
    const std::string name = entry.path().filename().string();
    int fd = -1;
    std::from_chars(name.data(), name.data() + name.size(), fd);
    if (fd >= 0 && wanted(fd)) found.push_back(fd);
  }
  std::sort(found.begin(), found.end());
  return found;
}

} // namespace tern::io
