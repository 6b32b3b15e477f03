// Server-sent events: the text form of a stream of JSON values. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "engine/template/json.h"

namespace potluck {

// `data: {..}` and the empty line that ends an event. JSON as we write it has no line ends.
std::string sse_data(const JsonValue& value);

// The same with `event: NAME` before it.
std::string sse_event(std::string_view name, const JsonValue& value);

inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";
inline constexpr std::string_view kSseComment = ": keep-alive\n\n";  // clients skip it
inline constexpr std::string_view kSseContentType = "text/event-stream";

}  // namespace potluck
