#include "engine/gguf/quantization_mix.h"

#include <algorithm>

namespace potluck {
namespace {

using enum TensorType;

char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

bool is_same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, upper, upper);
}

bool fits(const QuantizationMix::Matrix& matrix, TensorType type) {
  return matrix.columns % block_format(type).block_elements == 0;
}

// What is taken instead of a format whose blocks do not fit into the rows.
TensorType substitute(TensorType type) {
  if (type == kQ4_K) return kQ5_0;
  if (type == kQ5_K) return kQ5_1;
  if (type == kQ6_K) return kQ8_0;
  return kF16;
}

bool has_more_bits(uint32_t layer, uint32_t layers) {
  const uint32_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

}  // namespace

std::optional<QuantizationMix> QuantizationMix::find(std::string_view name) {
  QuantizationMix mix;
  auto take = [&](std::string_view known, Kind kind, TensorType base) {
    if (!is_same(name, known)) return false;
    mix.name_ = known;
    mix.kind_ = kind;
    mix.base_ = base;
    return true;
  };
  if (take("Q4_K_M", Kind::kFourMedium, kQ4_K)) return mix;
  if (take("Q5_K_M", Kind::kFiveMedium, kQ5_K)) return mix;
  if (take("MXFP4_MOE", Kind::kMxfp4Experts, kQ8_0)) return mix;
  for (const BlockFormat& format : block_formats()) {
    if (take(format.name, Kind::kOne, format.type)) return mix;
  }
  return std::nullopt;
}

std::string QuantizationMix::known_names() {
  std::string names = "Q4_K_M, Q5_K_M, MXFP4_MOE";
  for (const BlockFormat& format : block_formats()) {
    names += ", ";
    names += format.name;
  }
  return names;
}

TensorType QuantizationMix::wanted(const Matrix& m) const {
  if (kind_ == Kind::kOne) return base_;
  if (kind_ == Kind::kMxfp4Experts) return m.is_expert ? kMXFP4 : base_;
  const bool is_five = kind_ == Kind::kFiveMedium;
  if (m.name == "output.weight") return kQ6_K;
  if (m.name.ends_with(".attn_qkv.weight")) return is_five ? kQ6_K : kQ5_K;
  if (m.experts == 8) {
    const bool small = m.name.ends_with(".attn_v.weight") || m.name.ends_with(".attn_k.weight");
    if (small) return kQ8_0;
    if (m.name.ends_with(".attn_output.weight") && !is_five) return kQ5_K;
  }
  const bool can_have_more =
      m.name.ends_with(".attn_v.weight") || m.name.find(".ffn_down") != std::string_view::npos;
  return can_have_more && has_more_bits(m.layer, m.layers) ? kQ6_K : base_;
}

TensorType QuantizationMix::format_of(const Matrix& matrix) const {
  const TensorType type = wanted(matrix);
  if (kind_ == Kind::kOne || fits(matrix, type)) return type;
  const TensorType other = substitute(type);
  return fits(matrix, other) ? other : kF16;
}

}  // namespace potluck
