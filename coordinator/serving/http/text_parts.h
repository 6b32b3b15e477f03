// Contents that are a text or an array of parts, of which all must be texts: this model reads
// nothing else, and what it does not read would be lost without a word. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "coordinator/serving/http/json_fields.h"

namespace potluck {

// The text of a part {"type": .., "text": ..} whose type is one of `types`.
std::string read_text_part(const JsonValue& part, const std::string& path,
                           std::span<const std::string_view> types, std::optional<ApiError>* error);

// The member `key`: a text, or an array of such parts, one after the other. Empty if it is absent.
std::string read_joined_text(JsonFields& fields, std::string_view key,
                             std::span<const std::string_view> types,
                             std::string_view separator = {});

}  // namespace potluck
