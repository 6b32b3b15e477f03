// JSON's strings and numbers, drawn into a grammar. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/grammar/grammar_builder.h"
#include "engine/grammar/text_automaton.h"
#include "engine/template/json.h"

namespace potluck {

// Any string of so many characters, escapes included. What is written between its quotes never
// holds `avoided`, unless that is empty.
void draw_json_string(uint32_t least, uint32_t most, std::string_view avoided,
                      GrammarBuilder::Node from, GrammarBuilder::Node to, GrammarBuilder* builder);

// Strings that these texts are, each written in one way only.
void draw_json_texts(const TextAutomaton& texts, GrammarBuilder::Node from, GrammarBuilder::Node to,
                     GrammarBuilder* builder);

// A value as it is written, without holding `avoided`.
std::string json_literal(const JsonValue& value, std::string_view avoided);

struct NumberRange {
  std::optional<int64_t> low;
  std::optional<int64_t> high;
  bool low_open = false;  // the bound itself is not in the range
  bool high_open = false;
};

// Bounds are at most this large; those of numbers that are not whole, and that are not in the range
// themselves, the second one.
inline constexpr int64_t kLargestBound = 9'007'199'254'740'992;
inline constexpr int64_t kLargestOpenBound = 1'000'000'000;

// Whole numbers are written without fraction and exponent, and have up to 16 digits where there is
// no bound. Numbers between bounds have no exponent.
void draw_json_number(const NumberRange& range, bool is_whole, GrammarBuilder::Node from,
                      GrammarBuilder::Node to, GrammarBuilder* builder);

}  // namespace potluck
