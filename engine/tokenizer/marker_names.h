// By their names: tokens that end a text or a turn, and others that control a conversation. Files
// do not always say so by id and type. Pure functions; any thread.
#pragma once

#include <string_view>

namespace potluck {

// Ends a text or a turn in the models that have it.
bool is_end_name(std::string_view name);
// Begins a text or a turn, or stands between its parts.
bool is_turn_name(std::string_view name);
// "<|im_start|>" and DeepSeek's "<｜User｜>": by this form converters know what controls the
// conversation, and older ones have missed it.
bool looks_like_control(std::string_view name);
// "<tool_call>", "[PAD]": the usual form of tokens that were added to a vocabulary.
bool looks_added(std::string_view name);
// Names that are HTML, too: they count only where nothing else has their role.
bool is_also_html(std::string_view name);

}  // namespace potluck
