#include "coordinator/cli/flags.h"

#include <CLI/CLI.hpp>
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

template <class T>
Flag add_any_text(CLI::App* parser, const std::string& names, T* target, const std::string& help) {
  return Flag(parser->add_option(names, *target, help)->type_name(kTextKind));
}

}  // namespace

Flag Flag::required() const {
  option_->required();
  return *this;
}

Flag Flag::envname(const std::string& variable) const {
  option_->envname(variable);
  return *this;
}

Flag Flag::group(const std::string& heading) const {
  option_->group(heading);
  return *this;
}

Flag Flag::expected(int least, int most) const {
  option_->expected(least, most);
  return *this;
}

Flag Flag::default_value(const std::string& value) const {
  option_->default_function([value] { return value; });
  return *this;
}

bool is_number_flag(const CLI::Option& option) {
  return is_one_of(option.get_type_name(), {kWholeKind, kDecimalKind, kSizeKind, kRateKind,
                                            kLinkKind, kPercentKind, kCelsiusKind});
}

bool is_bare_number_flag(const CLI::Option& option) {
  return is_one_of(option.get_type_name(),
                   {kWholeKind, kDecimalKind, kSizeKind, kRateKind, kPercentKind, kCelsiusKind});
}

std::string find_fault(CLI::Option& option, const std::string& text) {
  try {
    std::string checked = text;
    return (*option.get_validator(kCheck))(checked);
  } catch (const CLI::OptionNotFound&) {
    return {};  // any text will do
  }
}

// The parser runs the check before it calls the sink, so a sink may take its text for good.
Flag add_checked(CLI::App* parser, const std::string& names, const char* kind, TextCheck check,
                 const TextSink& sink, const std::string& help) {
  return Flag(parser->add_option_function<std::string>(names, sink, help)
                  ->type_name(kind)
                  ->check(std::move(check), "", kCheck));
}

Flag add_decimal(CLI::App* parser, const std::string& names, double* target, DecimalRange range,
                 const std::string& help) {
  auto check = [range](const std::string& text) {
    Result<double> value = read_decimal(text, range);
    return value ? std::string() : value.error().message;
  };
  auto sink = [target, range](const std::string& text) { *target = *read_decimal(text, range); };
  return add_checked(parser, names, kDecimalKind, check, sink, help)
      .default_value(fmt::format("{}", *target));
}

Flag add_size(CLI::App* parser, const std::string& names, std::string* target,
              const std::string& help) {
  return add_checked(parser, names, kSizeKind, check_with(read_size), keep_in(target), help)
      .default_value(*target);
}

Flag add_rate(CLI::App* parser, const std::string& names, std::string* target,
              const std::string& help) {
  return add_checked(parser, names, kRateKind, check_with(read_rate), keep_in(target), help)
      .default_value(*target);
}

Flag add_link(CLI::App* parser, const std::string& names, std::string* target,
              const std::string& help) {
  return add_checked(parser, names, kLinkKind, check_with(read_link), keep_in(target), help)
      .default_value(*target);
}

Flag add_percent(CLI::App* parser, const std::string& names, std::string* target,
                 const std::string& help) {
  return add_checked(parser, names, kPercentKind, check_with(read_percent), keep_in(target), help)
      .default_value(*target);
}

Flag add_celsius(CLI::App* parser, const std::string& names, std::string* target,
                 const std::string& help) {
  return add_checked(parser, names, kCelsiusKind, check_with(read_celsius), keep_in(target), help)
      .default_value(*target);
}

Flag add_choice(CLI::App* parser, const std::string& names, std::string* target,
                std::vector<std::string> choices, const std::string& help) {
  auto check = [choices](const std::string& text) {
    if (std::find(choices.begin(), choices.end(), text) != choices.end()) return std::string();
    return fmt::format("expected {}, found '{}'", fmt::join(choices, ", "), printable(text));
  };
  const std::string kind = fmt::format("{}", fmt::join(choices, "|"));
  return add_checked(parser, names, kind.c_str(), check, keep_in(target), help)
      .default_value(*target);
}

Flag add_text(CLI::App* parser, const std::string& names, std::string* target,
              const std::string& help) {
  return add_any_text(parser, names, target, help);
}

Flag add_text(CLI::App* parser, const std::string& names, std::optional<std::string>* target,
              const std::string& help) {
  return add_any_text(parser, names, target, help);
}

Flag add_text(CLI::App* parser, const std::string& names, std::vector<std::string>* target,
              const std::string& help) {
  return add_any_text(parser, names, target, help);
}

Flag add_switch(CLI::App* parser, const std::string& names, bool* target, const std::string& help) {
  return Flag(parser->add_flag(names, *target, help));
}

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& help) {
  CLI::App* parser = app.add_subcommand(name, help);
  parser->footer(
      "--print-config shows the value of each flag and where it came from, and does "
      "nothing else.");
  return parser;
}

CLI::App* add_one_of(CLI::App* parser, const std::string& name) {
  CLI::App* group = parser->add_option_group(name);
  group->require_option(1);
  return group;
}

std::string name_of(const CLI::App& parser) {
  return parser.get_name();
}

std::optional<std::string> given_text(const CLI::App& parser, const std::string& name) {
  const CLI::Option* option = parser.get_option_no_throw(name);
  if (option == nullptr || option->count() == 0) return std::nullopt;
  return option->as<std::string>();
}

bool is_switched_on(const CLI::App& parser, const std::string& name) {
  const CLI::Option* option = parser.get_option_no_throw(name);
  return option != nullptr && option->count() > 0 && option->as<bool>();
}

}  // namespace potluck
