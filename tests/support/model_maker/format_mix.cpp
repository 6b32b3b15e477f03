#include "tests/support/model_maker/format_mix.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace potluck::test {
namespace {

struct FileType {
  std::string_view format;
  uint32_t number;
};

constexpr std::array kFileTypes = {
    FileType{"Q4_K_M", 15},  FileType{"Q5_K_M", 17}, FileType{"MXFP4_MOE", 38},
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
  const auto named = QuantizationMix::find(format);
  if (!named) return unknown_format("--format", format);
  mix.mix_ = *named;
  mix.file_type_ = std::ranges::find(kFileTypes, named->name(), &FileType::format)->number;
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

Result<const FillFormat*> FormatMix::choose(const QuantizationMix::Matrix& matrix) const {
  const FillFormat* format = find_fill_format(block_format(mix_.format_of(matrix)).name);
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
