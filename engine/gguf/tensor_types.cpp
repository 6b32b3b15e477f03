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

// The numbers of ggml_type. Those left out (4, 5, 31 to 33, 36 to 38) were withdrawn. Types that
// cannot be loaded are here as well, so the error can name what was found.
constexpr std::array kNamedTypes = {
    NamedType{0, "F32"},     NamedType{1, "F16"},      NamedType{2, "Q4_0"},
    NamedType{3, "Q4_1"},    NamedType{6, "Q5_0"},     NamedType{7, "Q5_1"},
    NamedType{8, "Q8_0"},    NamedType{9, "Q8_1"},     NamedType{10, "Q2_K"},
    NamedType{11, "Q3_K"},   NamedType{12, "Q4_K"},    NamedType{13, "Q5_K"},
    NamedType{14, "Q6_K"},   NamedType{15, "Q8_K"},    NamedType{16, "IQ2_XXS"},
    NamedType{17, "IQ2_XS"}, NamedType{18, "IQ3_XXS"}, NamedType{19, "IQ1_S"},
    NamedType{20, "IQ4_NL"}, NamedType{21, "IQ3_S"},   NamedType{22, "IQ2_S"},
    NamedType{23, "IQ4_XS"}, NamedType{24, "I8"},      NamedType{25, "I16"},
    NamedType{26, "I32"},    NamedType{27, "I64"},     NamedType{28, "F64"},
    NamedType{29, "IQ1_M"},  NamedType{30, "BF16"},    NamedType{34, "TQ1_0"},
    NamedType{35, "TQ2_0"},  NamedType{39, "MXFP4"},   NamedType{40, "NVFP4"},
    NamedType{41, "Q1_0"},   NamedType{42, "Q2_0"},
};

}  // namespace

std::string tensor_type_name(uint32_t gguf_type) {
  for (const NamedType& type : kNamedTypes) {
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
