// How commands declare their flags. Every flag of every command goes through one of these
// functions, so that none can take a number that was not checked (a rule of tests/style sees to
// it). A check belongs to the option: it sees the text of the command line, of the environment
// variable and of the configuration file alike. One thread.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/cli/number_text.h"

namespace potluck {

// What stands for the value of a flag in the help; numbers are known by it.
inline constexpr const char* kWholeKind = "N";
inline constexpr const char* kDecimalKind = "X";
inline constexpr const char* kSizeKind = "SIZE";
inline constexpr const char* kRateKind = "RATE";
inline constexpr const char* kLinkKind = "DELAY,RATE";
inline constexpr const char* kTextKind = "TEXT";

// Whether the flag takes a number, and whether it may be written without quotes in the
// configuration file (sizes may: 1048576).
bool is_number_flag(const CLI::Option& option);
bool is_bare_number_flag(const CLI::Option& option);

// What is wrong with this value for the flag; empty if nothing is.
std::string find_fault(CLI::Option& option, const std::string& text);

using TextCheck = std::function<std::string(const std::string&)>;  // what is wrong; empty: nothing
using TextSink = std::function<void(const std::string&)>;          // gets checked text

CLI::Option* add_checked(CLI::App* parser, const std::string& names, const char* kind,
                         TextCheck check, TextSink sink, const std::string& help);

// T: an integer type that holds all of `range`, or a std::optional of one.
template <class T>
CLI::Option* add_whole(CLI::App* parser, const std::string& names, T* target, WholeRange range,
                       const std::string& help) {
  auto check = [range](const std::string& text) {
    Result<uint64_t> value = read_whole(text, range);
    return value ? std::string() : value.error().message;
  };
  auto sink = [target, range](const std::string& text) {
    uint64_t value = *read_whole(text, range);
    if constexpr (std::is_integral_v<T>) {
      *target = static_cast<T>(value);
    } else {
      *target = static_cast<typename T::value_type>(value);
    }
  };
  return add_checked(parser, names, kWholeKind, check, sink, help);
}

CLI::Option* add_decimal(CLI::App* parser, const std::string& names, double* target,
                         DecimalRange range, const std::string& help);

// These keep the text, which was checked: local workers get the flags as they were written.
CLI::Option* add_size(CLI::App* parser, const std::string& names, std::string* target,
                      const std::string& help);
CLI::Option* add_rate(CLI::App* parser, const std::string& names, std::string* target,
                      const std::string& help);
CLI::Option* add_link(CLI::App* parser, const std::string& names, std::string* target,
                      const std::string& help);

// One of a few words.
CLI::Option* add_choice(CLI::App* parser, const std::string& names, std::string* target,
                        std::vector<std::string> choices, const std::string& help);

// Any text. T: std::string, a std::optional of it, or a std::vector of it for flags that may be
// given several times.
template <class T>
CLI::Option* add_text(CLI::App* parser, const std::string& names, T* target,
                      const std::string& help) {
  return parser->add_option(names, *target, help)->type_name(kTextKind);
}

// On when given.
CLI::Option* add_switch(CLI::App* parser, const std::string& names, bool* target,
                        const std::string& help);

}  // namespace potluck
