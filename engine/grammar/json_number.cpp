#include <algorithm>
#include <limits>
#include <string>

#include "engine/grammar/json_text.h"

namespace potluck {
namespace {

constexpr uint32_t kMostDigits = 16;
// Behind the point of numbers between bounds: with more, what is read might be rounded to a bound
// that is not in the range.
constexpr uint32_t kBoundedFraction = 6;

Pattern digits(char first, char last) {
  return Pattern::character({{static_cast<uint32_t>(first), static_cast<uint32_t>(last)}});
}
Pattern digits(char first, char last, uint32_t least, uint32_t most) {
  return Pattern::repeat(digits(first, last), least, most);
}
Pattern sequence(std::vector<Pattern> parts) {
  return {PatternKind::kSequence, {}, std::move(parts), 0, 0, 0};
}
Pattern choice(std::vector<Pattern> parts) {
  return {PatternKind::kChoice, {}, std::move(parts), 0, 0, 0};
}
Pattern text(std::string_view characters) {
  Pattern made;
  for (const char c : characters) made.parts.push_back(digits(c, c));
  return made;
}
Pattern optional(Pattern part) {
  return Pattern::repeat(std::move(part), 0, 1);
}

// Numbers with as many digits as both bounds have.
Pattern between(std::string_view low, std::string_view high) {
  if (low.empty()) return {};
  const bool is_free = low.find_first_not_of('0') == std::string_view::npos &&
                       high.find_first_not_of('9') == std::string_view::npos;
  const auto rest = static_cast<uint32_t>(low.size() - 1);
  if (is_free) return digits('0', '9', rest + 1, rest + 1);
  if (low[0] == high[0]) {
    return sequence({digits(low[0], low[0]), between(low.substr(1), high.substr(1))});
  }
  const std::string nines(rest, '9');
  const std::string zeros(rest, '0');
  Pattern all = choice({sequence({digits(low[0], low[0]), between(low.substr(1), nines)}),
                        sequence({digits(high[0], high[0]), between(zeros, high.substr(1))})});
  if (high[0] - low[0] > 1) {
    all.parts.push_back(
        sequence({digits(static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1)),
                  digits('0', '9', rest, rest)}));
  }
  return all;
}

// Whole numbers from `low`, which is not negative, to `high`. None if that is smaller.
Pattern whole(int64_t low, std::optional<int64_t> high) {
  Pattern all = choice({});
  if (high && *high < low) return all;
  std::string first = std::to_string(low);
  if (!high) {
    all.parts.push_back(between(first, std::string(first.size(), '9')));
    const auto more = static_cast<uint32_t>(first.size());
    all.parts.push_back(sequence({digits('1', '9'), digits('0', '9', more, kMostDigits - 1)}));
    return all;
  }
  const std::string last = std::to_string(*high);
  while (first.size() < last.size()) {
    all.parts.push_back(between(first, std::string(first.size(), '9')));
    first = '1' + std::string(first.size(), '0');
  }
  all.parts.push_back(between(first, last));
  return all;
}

// Numbers that are not negative.
Pattern real(const NumberRange& range) {
  const int64_t low = range.low.value_or(0);
  const Pattern any_fraction = sequence({text("."), digits('0', '9', 1, kBoundedFraction)});
  const Pattern some_fraction =
      sequence({text("."), digits('0', '9', 0, kBoundedFraction - 1), digits('1', '9')});
  const Pattern no_fraction =
      optional(sequence({text("."), digits('0', '0', 1, kBoundedFraction)}));
  Pattern all = choice({});
  if (range.high && *range.high < low) return all;
  if (range.high == low) {
    const bool is_open = range.low_open || range.high_open;
    if (!is_open) all.parts.push_back(sequence({text(std::to_string(low)), no_fraction}));
    return all;
  }
  all.parts.push_back(sequence(
      {text(std::to_string(low)), range.low_open ? some_fraction : optional(any_fraction)}));
  const auto inner_high = range.high ? std::optional(*range.high - 1) : std::nullopt;
  all.parts.push_back(sequence({whole(low + 1, inner_high), optional(any_fraction)}));
  if (range.high && !range.high_open) {
    all.parts.push_back(sequence({text(std::to_string(*range.high)), no_fraction}));
  }
  return all;
}

Pattern any_number(bool is_whole) {
  Pattern all = sequence({optional(text("-")), whole(0, std::nullopt)});
  if (is_whole) return all;
  all.parts.push_back(optional(sequence({text("."), digits('0', '9', 1, kMostDigits)})));
  const Pattern sign = Pattern::character({{'+', '+'}, {'-', '-'}});
  const Pattern mark = Pattern::character({{'E', 'E'}, {'e', 'e'}});
  all.parts.push_back(optional(sequence({mark, optional(sign), digits('0', '9', 1, 2)})));
  return all;
}

// Numbers below zero, by their distance from it.
NumberRange mirrored(const NumberRange& range) {
  NumberRange made;
  made.low = 0;
  made.low_open = true;
  if (range.high && *range.high <= 0) {
    made.low = -*range.high;
    made.low_open = range.high_open || *range.high == 0;
  }
  if (range.low) {
    made.high = -*range.low;
    made.high_open = range.low_open;
  }
  return made;
}

NumberRange from_zero(NumberRange range) {
  if (range.low && *range.low >= 0) return range;
  range.low = 0;
  range.low_open = false;
  return range;
}

// With both bounds in the range.
NumberRange closed(NumberRange range) {
  if (range.low && range.low_open) ++*range.low;
  if (range.high && range.high_open) --*range.high;
  range.low_open = range.high_open = false;
  return range;
}

Pattern bounded(NumberRange range, bool is_whole) {
  if (is_whole) range = closed(range);
  const auto magnitudes = [&](const NumberRange& part) {
    if (!is_whole) return real(part);
    const NumberRange whole_part = closed(part);
    return whole(*whole_part.low, whole_part.high);
  };
  Pattern all = choice({});
  const bool has_zero = !range.high || *range.high > 0 || (*range.high == 0 && !range.high_open);
  if (has_zero) all.parts.push_back(magnitudes(from_zero(range)));
  if (!range.low || *range.low < 0) {
    all.parts.push_back(sequence({text("-"), magnitudes(mirrored(range))}));
  }
  return all;
}

}  // namespace

void draw_json_number(const NumberRange& range, bool is_whole, GrammarBuilder::Node from,
                      GrammarBuilder::Node to, GrammarBuilder* builder) {
  const bool is_free = !range.low && !range.high;
  draw_pattern(is_free ? any_number(is_whole) : bounded(range, is_whole), from, to, builder);
}

}  // namespace potluck
