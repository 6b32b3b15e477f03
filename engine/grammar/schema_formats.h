// Formats of strings in JSON schemas. Pure.
#pragma once

#include <optional>
#include <string_view>

namespace potluck {

// A regular expression for texts of the format, in its most usual form; nothing for unknown ones.
std::optional<std::string_view> expression_of_format(std::string_view format);

}  // namespace potluck
