#include "engine/gguf/tensor_types.h"

#include <array>
#include <string_view>

#include <fmt/format.h>

#include "engine/kernels/block_format.h"

namespace potluck {
namespace {

struct NamedType {
  uint32_t number;
  std::string_view name;
};

// The numbers of ggml_type that no block format has, so that the error can name what was found.
// Those left out (4, 5, 31 to 33, 36 to 38) were withdrawn.
constexpr std::array kOtherTypes = {
    NamedType{9, "Q8_1"}, NamedType{15, "Q8_K"}, NamedType{24, "I8"},  NamedType{25, "I16"},
    NamedType{26, "I32"}, NamedType{27, "I64"},  NamedType{28, "F64"},
};

}  // namespace

std::string tensor_type_name(uint32_t gguf_type) {
  if (const BlockFormat* format = find_block_format(gguf_type)) return std::string(format->name);
  for (const NamedType& type : kOtherTypes) {
    if (type.number == gguf_type) return std::string(type.name);
  }
  return fmt::format("an unknown type ({})", gguf_type);
}

std::string supported_tensor_types() {
  std::string names;
  for (const BlockFormat& format : block_formats()) {
    if (!names.empty()) names += ", ";
    names += format.name;
  }
  return names;
}

}  // namespace potluck
