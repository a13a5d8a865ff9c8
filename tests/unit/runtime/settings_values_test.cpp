#include "runtime/settings/values.hpp"

#include <gtest/gtest.h>

namespace tern::settings {
namespace settings_values_test {

template <class T>
void refuses(std::initializer_list<std::string_view> texts) {
  for (const auto text : texts) EXPECT_FALSE(Value<T>::parse(text).has_value()) << '"' << text << '"';
}

template <class T>
void round_trips(std::initializer_list<std::string_view> texts) {
  for (const auto text : texts) {
    const auto v = Value<T>::parse(text);
    ASSERT_TRUE(v.has_value()) << text;
    EXPECT_EQ(Value<T>::print(*v), text);
    EXPECT_EQ(Value<T>::parse(Value<T>::print(*v)), v);
  }
}

TEST(Values, Duration) {
  EXPECT_EQ(Value<Duration>::parse("5s"), Duration::seconds(5));
  EXPECT_EQ(Value<Duration>::parse("250ms"), Duration::ms(250));
  EXPECT_EQ(Value<Duration>::parse("1.5s"), Duration::ms(1500));
  EXPECT_EQ(Value<Duration>::parse("10us"), Duration::us(10));
  EXPECT_EQ(Value<Duration>::parse("2m"), Duration::seconds(120));
  EXPECT_EQ(Value<Duration>::parse("3h"), Duration::seconds(10800));
  EXPECT_EQ(Value<Duration>::parse("0"), Duration{});
  round_trips<Duration>({"5s", "250ms", "1500ms", "60s", "7ns", "0s"});
  refuses<Duration>(
      {"", "5", "s", "-5s", "5 s", "5S", "5sec", "0.5ns", "1e3s", "inf", "nan", "99999999h", "5s "});
}

TEST(Values, Percent) {
  EXPECT_DOUBLE_EQ(Value<Percent>::parse("0.1%")->share, 0.001);
  EXPECT_DOUBLE_EQ(Value<Percent>::parse("100%")->share, 1.0);
  round_trips<Percent>({"0.1%", "1%", "33.3%", "0%", "100%"});
  refuses<Percent>({"0.1", "101%", "-1%", "%", "", "1 %"});
}

TEST(Values, Size) {
  EXPECT_EQ(Value<Size>::parse("65536")->n, 65536U);
  EXPECT_EQ(Value<Size>::parse("64k")->n, 65536U);
  EXPECT_EQ(Value<Size>::parse("1.5M")->n, 1572864U);
  EXPECT_EQ(Value<Size>::parse("4GiB")->n, 4ULL << 30);
  round_trips<Size>({"64k", "1536k", "4G", "1", "0"});
  refuses<Size>({"", "k", "64K", "64kB", "64iB", "-1", "0.5", "1.0001k", "1T", "99999999999G"});
}

TEST(Values, Rate) {
  EXPECT_TRUE(Value<Rate>::parse("max")->is_max());
  EXPECT_EQ(Value<Rate>::parse("1.5M")->per_second, 1'500'000U);
  EXPECT_EQ(Value<Rate>::parse("20000")->per_second, 20'000U);
  round_trips<Rate>({"max", "20k", "1500k", "7"});
  refuses<Rate>({"", "Max", "-1", "1.5", "18446744073709551615"});
}

TEST(Values, WholeNumbersRefuseOverflowSignAndTail) {
  EXPECT_EQ(Value<std::uint16_t>::parse("65535"), 65535);
  refuses<std::uint16_t>({"65536", "-1", "+1", "1 ", " 1", "0x10", "1.0", ""});
  EXPECT_EQ(Value<std::int32_t>::parse("-7"), -7);
}

TEST(Values, WhatIsTooLargeIsNotNonsense) {
  using Small = Value<std::uint16_t>;
  EXPECT_EQ(Small::beyond("65536"), 65'535);
  EXPECT_EQ(Small::beyond(std::string(40, '9')), 65'535);
  EXPECT_EQ(Value<std::int32_t>::beyond("-2147483649"), std::numeric_limits<std::int32_t>::min());
  for (const char* text : {"", "65535", "x", "-1", "65536x", "1e9", " 65536"})
    EXPECT_FALSE(Small::beyond(text)) << text;
  EXPECT_EQ(Value<Duration>::beyond("2500001h"), Duration::seconds(9'000'000'000));
  EXPECT_EQ(Value<Size>::beyond("9000000000GiB")->n, std::uint64_t{1} << 63);
  EXPECT_EQ(Value<Rate>::beyond("99999999999G")->per_second, 9'000'000'000'000'000'000U);
  EXPECT_FALSE(Value<Duration>::beyond("2500000h"));
  EXPECT_FALSE(Value<Duration>::beyond("99999999999999999999"));
  EXPECT_FALSE(Value<Size>::beyond("0.5"));
}

TEST(Values, Double) {
  round_trips<double>({"0.5", "1e-09", "3"});
  refuses<double>({"", "nan", "inf", "1,5", "0.5x"});
}

TEST(Values, PortsAddressesAndPrefixes) {
  round_trips<PortRange>({"1024-65535", "80"});
  refuses<PortRange>({"", "-", "80-", "-80", "2-1", "1-65536"});
  round_trips<Port>({"0", "65535"});
  round_trips<Ip>({"10.0.0.1", "2001:db8::1"});
  round_trips<Prefix>({"10.0.0.0/24", "2001:db8::/64"});
  round_trips<Endpoint>({"10.0.0.1:80", "[2001:db8::1]:80"});
  refuses<Prefix>({"10.0.0.0/33", "10.0.0/8", ""});
  refuses<Endpoint>({"10.0.0.1", "10.0.0.1:", "2001:db8::1:80", ":80", ""});
}

} // namespace settings_values_test
} // namespace tern::settings
