#include "coordinator/cli/number_text.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "engine/base/bytes.h"
#include "engine/base/limits.h"
#include "engine/base/printable.h"

namespace potluck {
namespace {

// More than any disk holds; far enough from the end of 64 bits that sums do not overflow.
constexpr uint64_t kLargestSize = 1'000'000'000'000'000'000;
constexpr size_t kFractionDigits = 15;  // what a double holds for sure

Error expected(const std::string& what, std::string_view found) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("expected {}, found '{}'", what, printable(found))};
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

size_t count_digits(std::string_view text) {
  return static_cast<size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
}

// "12", "12.5", ".5" at the front of a text.
struct Digits {
  std::string_view whole;
  std::string_view fraction;
  std::string_view rest;
};

// False where the text does not begin with a number, or where people may read its leading zero as
// octal or hexadecimal.
bool split_digits(std::string_view text, Digits* digits) {
  digits->whole = text.substr(0, count_digits(text));
  text.remove_prefix(digits->whole.size());
  if (text.starts_with('.')) {
    digits->fraction = text.substr(1, count_digits(text.substr(1)));
    if (digits->fraction.empty()) return false;
    text.remove_prefix(1 + digits->fraction.size());
  }
  digits->rest = text;
  const bool leading_zero = digits->whole.size() > 1 && digits->whole[0] == '0';
  return !leading_zero && !(digits->whole.empty() && digits->fraction.empty());
}

// Digits alone; false if they do not fit 64 bits.
bool whole_value(std::string_view digits, uint64_t* value) {
  *value = 0;
  if (digits.empty()) return true;
  auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), *value);
  return failure == std::errc() && end == digits.data() + digits.size();
}

bool is_exponent(std::string_view text) {
  if (!text.starts_with('e') && !text.starts_with('E')) return false;
  text.remove_prefix(1);
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && count_digits(text) == text.size();
}

// 0 for an unknown unit.
uint64_t unit_factor(std::string_view name) {
  struct Unit {
    std::string_view name;
    uint64_t factor;
  };
  constexpr Unit kUnits[] = {{"", 1},
                             {"b", 1},
                             {"k", kKiB},
                             {"kib", kKiB},
                             {"kb", 1000},
                             {"m", kMiB},
                             {"mib", kMiB},
                             {"mb", 1000000},
                             {"g", kGiB},
                             {"gib", kGiB},
                             {"gb", 1000000000},
                             {"t", 1024 * kGiB},
                             {"tib", 1024 * kGiB},
                             {"tb", 1000000000000}};
  std::string unit(name);
  for (char& c : unit) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const Unit& known : kUnits) {
    if (unit == known.name) return known.factor;
  }
  return 0;
}

// digits x factor, rounded down; false beyond kLargestSize.
bool scaled(const Digits& digits, uint64_t factor, uint64_t* bytes) {
  // The whole part stays an integer: a double holds whole numbers up to 2^53 only, and 10000TB is
  // more.
  uint64_t whole = 0;
  if (!whole_value(digits.whole, &whole) || whole > kLargestSize / factor) return false;
  double fraction = 0;
  const std::string text = "0." + std::string(digits.fraction.substr(0, kFractionDigits));
  if (!digits.fraction.empty()) std::from_chars(text.data(), text.data() + text.size(), fraction);
  *bytes = whole * factor + static_cast<uint64_t>(fraction * static_cast<double>(factor));
  return *bytes <= kLargestSize;
}

template <class T>
Result<T> named(const std::string& flag, Result<T> parsed) {
  return parsed ? std::move(parsed) : Result<T>(parsed.error().in(flag));
}

}  // namespace

Result<uint64_t> read_whole(std::string_view text, WholeRange range) {
  const std::string what = fmt::format("a whole number, {} to {}", range.low, range.high);
  Digits digits;
  uint64_t value = 0;
  const bool is_whole =
      split_digits(text, &digits) && digits.fraction.empty() && digits.rest.empty();
  if (!is_whole || !whole_value(digits.whole, &value)) return expected(what, text);
  if (value < range.low || value > range.high) return expected(what, text);
  return value;
}

namespace {

Result<uint64_t> read_with_sign(std::string_view text, char sign, WholeRange range) {
  std::string_view number = text;
  if (number.ends_with(sign)) number.remove_suffix(1);
  Result<uint64_t> value = read_whole(number, range);
  if (value) return value;
  return expected(fmt::format("a whole number, {} to {}, such as {}{}", range.low, range.high,
                              (range.low + range.high) / 2, sign),
                  text);
}

}  // namespace

Result<uint64_t> read_percent(std::string_view text) {
  return read_with_sign(text, '%', {0, 100});
}

Result<uint64_t> read_celsius(std::string_view text) {
  return read_with_sign(text, 'C', {1, 120});
}

Result<double> read_decimal(std::string_view text, DecimalRange range) {
  const std::string what = fmt::format("a number, {} to {}", range.low, range.high);
  Digits digits;
  const bool is_number =
      split_digits(text, &digits) && (digits.rest.empty() || is_exponent(digits.rest));
  if (!is_number) return expected(what, text);
  double value = 0;
  // Not strtod(), which wants a comma in some locales.
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole_text = failure == std::errc() && end == text.data() + text.size();
  if (!whole_text || !(value >= range.low && value <= range.high)) return expected(what, text);
  return value;
}

Result<uint64_t> read_size(std::string_view text) {
  Digits digits;
  if (!split_digits(text, &digits)) return expected("a size such as 4GiB", text);
  const uint64_t factor = unit_factor(digits.rest);
  if (factor == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("unknown unit '{}' in '{}', expected K, M, G or T, KiB .. or KB ..",
                             printable(digits.rest), printable(text))};
  }
  uint64_t bytes = 0;
  if (!scaled(digits, factor, &bytes)) {
    return expected(fmt::format("a size of at most {} bytes", kLargestSize), text);
  }
  return bytes;
}

Result<uint64_t> parse_size(const std::string& flag, const std::string& text) {
  return named(flag, read_size(text));
}

Result<uint64_t> read_rate(std::string_view text) {
  constexpr std::string_view kPerSecond = "/s";
  std::string_view size = text;
  if (size.ends_with(kPerSecond)) size.remove_suffix(kPerSecond.size());
  const size_t last = size.size();
  if (last >= 2 && size[last - 1] == 'b' &&
      std::string_view("KMGT").find(size[last - 2]) != std::string_view::npos) {
    return expected("bytes per second such as 200MB/s (a small b may mean bits)", text);
  }
  Result<uint64_t> rate = read_size(size);
  if (!rate) return rate.error();
  if (*rate < limits::kSimulatedBytesPerSecond) {
    return expected(fmt::format("at least {} bytes per second", limits::kSimulatedBytesPerSecond),
                    text);
  }
  return rate;
}

Result<uint64_t> parse_rate(const std::string& flag, const std::string& text) {
  return named(flag, read_rate(text));
}

Result<Duration> read_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    uint64_t nanoseconds;
  };
  constexpr Unit kUnits[] = {{"us", 1000}, {"ms", 1'000'000}, {"s", 1'000'000'000}};
  constexpr auto kLongestDelay = static_cast<uint64_t>(Duration(limits::kSimulatedDelay).count());
  Digits digits;
  const bool is_number = split_digits(text, &digits);
  for (const Unit& known : kUnits) {
    uint64_t value = 0;
    if (!is_number || digits.rest != known.name) continue;
    if (!scaled(digits, known.nanoseconds, &value) || value > kLongestDelay) break;
    return Duration(static_cast<Duration::rep>(value));
  }
  return expected(fmt::format("a time such as 3ms, 250us or 1s, at most {} s",
                              in_seconds(limits::kSimulatedDelay)),
                  text);
}

Result<Duration> parse_duration(const std::string& flag, const std::string& text) {
  return named(flag, read_duration(text));
}

Result<LinkSpec> read_link(std::string_view text) {
  const size_t comma = text.find(',');
  if (comma == std::string_view::npos) return expected("DELAY,RATE such as 3ms,30MB/s", text);
  Result<Duration> delay = read_duration(text.substr(0, comma));
  if (!delay) return delay.error();
  Result<uint64_t> rate = read_rate(text.substr(comma + 1));
  if (!rate) return rate.error();
  return LinkSpec{*delay, *rate};
}

}  // namespace potluck
