// Numbers as people write them in flags, environment variables and the configuration file. One
// strict parser per kind: the whole text is one number in range, or the error says what was
// expected and what was found. Decimal digits only; no blanks, no sign, no leading zeros, no
// hexadecimal, no infinities. The parse_ functions put the name of the flag in front of the error.
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "protocol/simulated_link.h"

namespace potluck {

// Both ends are allowed.
struct WholeRange {
  uint64_t low;
  uint64_t high;
};
struct DecimalRange {
  double low;
  double high;
};

// "0", "42".
Result<uint64_t> read_whole(std::string_view text, WholeRange range);

// "0.8", ".5", "1", "1e-3".
Result<double> read_decimal(std::string_view text, DecimalRange range);

// "40%", "40": 0 to 100.
Result<uint64_t> read_percent(std::string_view text);

// "42C", "42": degrees Celsius, 1 to 120.
Result<uint64_t> read_celsius(std::string_view text);

// "4GiB", "1.5G", "500M", "1048576": bytes. K, M, G, T and KiB.. are powers of 1024, KB.. of 1000.
Result<uint64_t> read_size(std::string_view text);
Result<uint64_t> parse_size(const std::string& flag, const std::string& text);

// "200MB/s", "500MiB": bytes per second. A small b behind a capital (Mb/s) is refused: it may mean
// bits.
Result<uint64_t> read_rate(std::string_view text);
Result<uint64_t> parse_rate(const std::string& flag, const std::string& text);

// "3ms", "250us", "1.5s".
Result<Duration> read_duration(std::string_view text);
Result<Duration> parse_duration(const std::string& flag, const std::string& text);

// "3ms,30MB/s": DELAY,RATE.
Result<LinkSpec> read_link(std::string_view text);

}  // namespace potluck
