// How commands declare their flags. Every flag of every command goes through one of these
// functions, so that none can take a number that was not checked (a rule of tests/style sees to
// it). A check belongs to the option: it sees the text of the command line, of the environment
// variable and of the configuration file alike. One thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "coordinator/cli/cli11_fwd.h"
#include "coordinator/cli/number_text.h"

namespace potluck {

// What stands for the value of a flag in the help; numbers are known by it.
inline constexpr const char* kWholeKind = "N";
inline constexpr const char* kDecimalKind = "X";
inline constexpr const char* kSizeKind = "SIZE";
inline constexpr const char* kRateKind = "RATE";
inline constexpr const char* kLinkKind = "DELAY,RATE";
inline constexpr const char* kPercentKind = "PERCENT";
inline constexpr const char* kCelsiusKind = "CELSIUS";
inline constexpr const char* kTextKind = "TEXT";

// Whether the flag takes a number, and whether it may be written without quotes in the
// configuration file (sizes may: 1048576).
bool is_number_flag(const CLI::Option& option);
bool is_bare_number_flag(const CLI::Option& option);

// What is wrong with this value for the flag; empty if nothing is.
std::string find_fault(CLI::Option& option, const std::string& text);

// A flag that was declared, for what only some of them are. The parser owns what it refers to.
class Flag {
 public:
  explicit Flag(CLI::Option* option) : option_(option) {}

  Flag required() const;
  Flag envname(const std::string& variable) const;  // the environment variable that sets it too
  Flag group(const std::string& heading) const;     // where the help shows it
  Flag expected(int least, int most) const;         // how many words it takes
  // What it is without being given, as it would be typed. The add_ functions take it from the
  // target; the help says it in words of its own.
  Flag default_value(const std::string& value) const;

 private:
  CLI::Option* option_;
};

using TextCheck = std::function<std::string(const std::string&)>;  // what is wrong; empty: nothing
using TextSink = std::function<void(const std::string&)>;          // gets checked text

Flag add_checked(CLI::App* parser, const std::string& names, const char* kind, TextCheck check,
                 const TextSink& sink, const std::string& help);

// T: an integer type that holds all of `range`, or a std::optional of one.
template <class T>
Flag add_whole(CLI::App* parser, const std::string& names, T* target, WholeRange range,
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
  std::string value;
  if constexpr (std::is_integral_v<T>) {
    value = std::to_string(*target);
  } else if (target->has_value()) {
    value = std::to_string(**target);
  }
  return add_checked(parser, names, kWholeKind, check, sink, help).default_value(value);
}

Flag add_decimal(CLI::App* parser, const std::string& names, double* target, DecimalRange range,
                 const std::string& help);

// These keep the text, which was checked: local workers get the flags as they were written.
Flag add_size(CLI::App* parser, const std::string& names, std::string* target,
              const std::string& help);
Flag add_rate(CLI::App* parser, const std::string& names, std::string* target,
              const std::string& help);
Flag add_link(CLI::App* parser, const std::string& names, std::string* target,
              const std::string& help);
Flag add_percent(CLI::App* parser, const std::string& names, std::string* target,
                 const std::string& help);
Flag add_celsius(CLI::App* parser, const std::string& names, std::string* target,
                 const std::string& help);

// One of a few words.
Flag add_choice(CLI::App* parser, const std::string& names, std::string* target,
                std::vector<std::string> choices, const std::string& help);

// Any text; a list for flags that may be given several times.
Flag add_text(CLI::App* parser, const std::string& names, std::string* target,
              const std::string& help);
Flag add_text(CLI::App* parser, const std::string& names, std::optional<std::string>* target,
              const std::string& help);
Flag add_text(CLI::App* parser, const std::string& names, std::vector<std::string>* target,
              const std::string& help);

// On when given.
Flag add_switch(CLI::App* parser, const std::string& names, bool* target, const std::string& help);

// A command, to whose parser its flags are added.
CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& help);
// A group of flags of which each call gives exactly one.
CLI::App* add_one_of(CLI::App* parser, const std::string& name);

// After parsing. Nothing and false for commands that have no such flag.
std::string name_of(const CLI::App& parser);
std::optional<std::string> given_text(const CLI::App& parser, const std::string& name);
bool is_switched_on(const CLI::App& parser, const std::string& name);

}  // namespace potluck
