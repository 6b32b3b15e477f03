#include "coordinator/cli/flags.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "engine/base/printable.h"

namespace potluck {
namespace {

constexpr const char* kCheck = "check";  // by which find_fault() finds what add_checked() added

template <class T>
TextCheck check_with(Result<T> (*read)(std::string_view)) {
  return [read](const std::string& text) {
    Result<T> value = read(text);
    return value ? std::string() : value.error().message;
  };
}

TextSink keep_in(std::string* target) {
  return [target](const std::string& text) { *target = text; };
}

bool is_one_of(const std::string& kind, std::initializer_list<const char*> kinds) {
  return std::any_of(kinds.begin(), kinds.end(), [&](const char* known) { return kind == known; });
}

}  // namespace

bool is_number_flag(const CLI::Option& option) {
  return is_one_of(option.get_type_name(),
                   {kWholeKind, kDecimalKind, kSizeKind, kRateKind, kLinkKind});
}

bool is_bare_number_flag(const CLI::Option& option) {
  return is_one_of(option.get_type_name(), {kWholeKind, kDecimalKind, kSizeKind, kRateKind});
}

std::string find_fault(CLI::Option& option, const std::string& text) {
  try {
    std::string checked = text;
    return (*option.get_validator(kCheck))(checked);
  } catch (const CLI::OptionNotFound&) {
    return {};  // any text will do
  }
}

CLI::Option* add_checked(CLI::App* parser, const std::string& names, const char* kind,
                         TextCheck check, TextSink sink, const std::string& help) {
  return parser->add_option_function<std::string>(names, sink, help)
      ->type_name(kind)
      ->check(std::move(check), "", kCheck);
}

CLI::Option* add_decimal(CLI::App* parser, const std::string& names, double* target,
                         DecimalRange range, const std::string& help) {
  auto check = [range](const std::string& text) {
    Result<double> value = read_decimal(text, range);
    return value ? std::string() : value.error().message;
  };
  auto sink = [target, range](const std::string& text) { *target = *read_decimal(text, range); };
  return add_checked(parser, names, kDecimalKind, check, sink, help);
}

CLI::Option* add_size(CLI::App* parser, const std::string& names, std::string* target,
                      const std::string& help) {
  return add_checked(parser, names, kSizeKind, check_with(read_size), keep_in(target), help);
}

CLI::Option* add_rate(CLI::App* parser, const std::string& names, std::string* target,
                      const std::string& help) {
  return add_checked(parser, names, kRateKind, check_with(read_rate), keep_in(target), help);
}

CLI::Option* add_link(CLI::App* parser, const std::string& names, std::string* target,
                      const std::string& help) {
  return add_checked(parser, names, kLinkKind, check_with(read_link), keep_in(target), help);
}

CLI::Option* add_choice(CLI::App* parser, const std::string& names, std::string* target,
                        std::vector<std::string> choices, const std::string& help) {
  auto check = [choices](const std::string& text) {
    if (std::find(choices.begin(), choices.end(), text) != choices.end()) return std::string();
    return fmt::format("expected {}, found '{}'", fmt::join(choices, ", "), printable(text));
  };
  const std::string kind = fmt::format("{}", fmt::join(choices, "|"));
  return add_checked(parser, names, kind.c_str(), check, keep_in(target), help);
}

CLI::Option* add_switch(CLI::App* parser, const std::string& names, bool* target,
                        const std::string& help) {
  return parser->add_flag(names, *target, help);
}

}  // namespace potluck
