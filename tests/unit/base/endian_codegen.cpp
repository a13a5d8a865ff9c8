// Compiled to assembly by endian_codegen.py, never linked.
#include "base/endian.hpp"

extern "C" std::uint16_t be16_host(const tern::Be16* p) {
  return p->host();
}
extern "C" std::uint32_t be32_host(const tern::Be32* p) {
  return p->host();
}
extern "C" std::uint64_t be64_host(const tern::Be64* p) {
  return p->host();
}
extern "C" std::uint32_t load_be32(const void* p) {
  return tern::load_be<std::uint32_t>(p);
}
extern "C" void store_be32(void* p, std::uint32_t v) {
  tern::store_be(p, v);
}
