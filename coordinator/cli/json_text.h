// JSON documents as this program writes and reads them. Writing never fails and gives one line of
// valid UTF-8 that does nothing to a terminal, for any bytes in the texts; reading never throws,
// for any document. Pure functions; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace potluck {

// Bytes that are not UTF-8 become U+FFFD, control characters \uNNNN; floats read back to the same
// bits.
std::string json_text(const nlohmann::json& document);

// kCorrupt: the error says where the text stops being JSON; nesting is bounded
// (limits::kJsonDepth).
Result<nlohmann::json> read_json(std::string_view text);

// Fields of documents that another version, or something else, may have written: what is missing or
// of another type is the fallback (an empty one for lists and objects).
int64_t whole_field(const nlohmann::json& document, const char* name, int64_t fallback = 0);
double decimal_field(const nlohmann::json& document, const char* name, double fallback = 0);
std::string text_field(const nlohmann::json& document, const char* name, const char* fallback);
nlohmann::json list_field(const nlohmann::json& document, const char* name);
nlohmann::json object_field(const nlohmann::json& document, const char* name);

}  // namespace potluck
