// Quantities as a person reads them, each at most eight columns wide.
#pragma once

#include <cstdint>
#include <string>

namespace tern::observe {

[[nodiscard]] std::string grouped(std::uint64_t n);      // "1,234,567"
[[nodiscard]] std::string short_count(double n);         // "950", "12.3k", "2.91M": three digits
[[nodiscard]] std::string short_time_us(double us);      // "850 ns", "13.9 us", "1.25 ms", "3.20 s"
[[nodiscard]] std::string short_bytes(double n);         // "512 B", "1.50 GiB"
[[nodiscard]] std::string short_bits(double per_second); // "9.87 Gb/s"
[[nodiscard]] std::string short_share(double share);     // "97%", "0.12%", "0%": never 0% or 100% for almost

// "DPDK 22.11.4": rte_version() begins with its name, a bare number does not.
[[nodiscard]] std::string dpdk_version(const std::string& text);

// Text that may have come from a file: without what a terminal would act on (C0, DEL, C1 controls).
[[nodiscard]] std::string printable(const std::string& text);

} // namespace tern::observe
