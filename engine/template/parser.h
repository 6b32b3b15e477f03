// Parser of the template language: tokens to a syntax tree of bounded depth. What the language has
// but chat templates do not use (inheritance, imports, call blocks, raw) is an error that names it.
// Pure; any thread.
#pragma once

#include <string_view>

#include "engine/base/result.h"
#include "engine/template/ast.h"

namespace potluck {

Result<Block> parse_template(std::string_view source);

}  // namespace potluck
