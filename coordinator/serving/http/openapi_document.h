// The description of the whole HTTP API (OpenAPI 3.1), as it was when the program was built: the
// build takes it from docs/openapi.json. Any thread.
#pragma once

#include <string_view>

namespace potluck {

std::string_view openapi_document();

}  // namespace potluck
