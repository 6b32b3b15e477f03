// KnownSyntaxes: the one table of what no rendering of a template reveals. Pure functions.
#pragma once

#include <optional>
#include <string_view>

#include "engine/chat/call_syntax.h"

namespace potluck {

// Templates of the Harmony format: answers are messages in channels (channels.h).
bool writes_channels(std::string_view template_source);

// Calls of templates that do not write them back in a form that shows it: those that print a
// client's ids in the place of the name, and those that only tell the model about the form.
std::optional<ToolCallSyntax> known_call_syntax(std::string_view template_source);

// A mark that models may write in front of calls though no template writes it; or empty.
std::string_view known_call_prefix(std::string_view template_source);

}  // namespace potluck
