#include "tests/support/model_maker/format_mix.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace potluck::test {
namespace {

struct Mix {
  std::string_view name;
  std::string_view base;
  uint32_t file_type;
};

constexpr std::array kMixes = {
    Mix{"Q4_K_M", "Q4_K", 15},
    Mix{"Q5_K_M", "Q5_K", 17},
    Mix{"MXFP4_MOE", "Q8_0", 38},
};

struct FileType {
  std::string_view format;
  uint32_t number;
};

constexpr std::array kFileTypes = {
    FileType{"F32", 0},      FileType{"F16", 1},     FileType{"Q4_0", 2},
    FileType{"Q4_1", 3},     FileType{"Q8_0", 7},    FileType{"Q5_0", 8},
    FileType{"Q5_1", 9},     FileType{"Q2_K", 10},   FileType{"Q3_K", 11},
    FileType{"Q4_K", 14},    FileType{"Q5_K", 16},   FileType{"Q6_K", 18},
    FileType{"IQ2_XXS", 19}, FileType{"IQ2_XS", 20}, FileType{"IQ3_XXS", 23},
    FileType{"IQ1_S", 24},   FileType{"IQ4_NL", 25}, FileType{"IQ3_S", 26},
    FileType{"IQ2_S", 28},   FileType{"IQ4_XS", 30}, FileType{"IQ1_M", 31},
    FileType{"BF16", 32},    FileType{"TQ1_0", 36},  FileType{"TQ2_0", 37},
    FileType{"MXFP4", 38},   FileType{"NVFP4", 39},  FileType{"Q1_0", 40},
    FileType{"Q2_0", 41},
};

Error unknown_format(std::string_view flag, std::string_view name) {
  std::string known;
  for (const FillFormat& format : fill_formats()) known += fmt::format("{}, ", format.name);
  return {ErrorCode::kInvalidArgument,
          fmt::format("{}: format '{}' is not known; known are {}and the mixes Q4_K_M, Q5_K_M, "
                      "MXFP4_MOE",
                      flag, name, known)};
}

// What llama.cpp takes instead of a format whose blocks do not fit into the rows.
std::string_view substitute(std::string_view format) {
  if (format == "Q4_K") return "Q5_0";
  if (format == "Q5_K") return "Q5_1";
  if (format == "Q6_K") return "Q8_0";
  return "F16";
}

bool has_more_bits(uint32_t layer, uint32_t layers) {
  uint32_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view text) {
  size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  if (!text.starts_with(pattern.substr(0, star))) return false;
  std::string_view rest = pattern.substr(star + 1);
  for (size_t at = star; at <= text.size(); ++at) {
    if (matches_pattern(rest, text.substr(at))) return true;
  }
  return false;
}

Result<FormatMix> FormatMix::parse(const std::string& format,
                                   const std::vector<std::string>& exceptions) {
  FormatMix mix;
  auto named = std::ranges::find(kMixes, format, &Mix::name);
  if (named != kMixes.end()) {
    mix.mix_ = format;
    mix.base_ = find_fill_format(named->base);
    mix.file_type_ = named->file_type;
  } else {
    mix.base_ = find_fill_format(format);
    if (mix.base_ == nullptr) return unknown_format("--format", format);
    mix.file_type_ = std::ranges::find(kFileTypes, format, &FileType::format)->number;
  }
  for (const std::string& text : exceptions) {
    size_t equals = text.rfind('=');
    if (equals == std::string::npos) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("--tensor-format: expected PATTERN=FORMAT, found '{}'", text)};
    }
    const FillFormat* found = find_fill_format(std::string_view(text).substr(equals + 1));
    if (found == nullptr) return unknown_format("--tensor-format", text.substr(equals + 1));
    mix.exceptions_.push_back({text.substr(0, equals), found});
  }
  return mix;
}

// As in llama.cpp of August 2026.
std::string_view FormatMix::by_mix(const Matrix& m) const {
  bool is_five = mix_ == "Q5_K_M";
  std::string_view name = m.name;
  if (mix_ == "MXFP4_MOE") return m.is_expert ? "MXFP4" : "Q8_0";
  if (name == "output.weight") return "Q6_K";
  if (name.ends_with(".attn_qkv.weight")) return is_five ? "Q6_K" : "Q5_K";
  if (m.experts == 8) {
    bool small = name.ends_with(".attn_v.weight") || name.ends_with(".attn_k.weight");
    if (small) return "Q8_0";
    if (name.ends_with(".attn_output.weight") && !is_five) return "Q5_K";
  }
  bool can_have_more = name.ends_with(".attn_v.weight") || name.find(".ffn_down") < name.size();
  if (can_have_more && has_more_bits(m.layer, m.layers)) return "Q6_K";
  return base_->name;
}

Result<const FillFormat*> FormatMix::choose(const Matrix& matrix) const {
  const FillFormat* format = mix_.empty() ? base_ : find_fill_format(by_mix(matrix));
  if (!mix_.empty() && matrix.columns % format->block_elements != 0) {
    format = find_fill_format(substitute(format->name));
    if (matrix.columns % format->block_elements != 0) format = find_fill_format("F16");
  }
  for (const Exception& exception : exceptions_) {
    if (matches_pattern(exception.pattern, matrix.name)) format = exception.format;
  }
  if (matrix.columns % format->block_elements == 0) return format;
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{}: rows of {} values cannot be stored as {}, whose blocks have {}; "
                           "choose another shape, or another format for it by --tensor-format",
                           matrix.name, matrix.columns, format->name, format->block_elements)};
}

}  // namespace potluck::test
