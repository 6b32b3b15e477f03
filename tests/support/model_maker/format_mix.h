// Which format each matrix of a made model gets: one for all, or one of llama.cpp's mixes by their
// usual names, with exceptions by pattern. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "tests/support/model_maker/block_filler.h"

namespace potluck::test {

class FormatMix {
 public:
  // `format`: a block format; or Q4_K_M, Q5_K_M or MXFP4_MOE, which choose as llama.cpp's quantizer
  // does, with its substitutes for rows that are no whole blocks. `exceptions`: "PATTERN=FORMAT",
  // where a * in the pattern stands for any characters; the last that matches a tensor wins.
  static Result<FormatMix> parse(const std::string& format,
                                 const std::vector<std::string>& exceptions);

  struct Matrix {
    std::string_view name;
    uint64_t columns = 0;
    uint32_t layer = 0;
    uint32_t layers = 0;
    uint32_t experts = 0;    // of the model
    bool is_expert = false;  // a bank of routed experts
  };
  // An error names the tensor whose rows its format cannot hold.
  Result<const FillFormat*> choose(const Matrix& matrix) const;

  // The number under which llama.cpp knows the mix (general.file_type).
  uint32_t file_type() const { return file_type_; }

 private:
  struct Exception {
    std::string pattern;
    const FillFormat* format;
  };

  std::string_view by_mix(const Matrix& matrix) const;

  std::string mix_;  // empty: base_ for all
  const FillFormat* base_ = nullptr;
  std::vector<Exception> exceptions_;
  uint32_t file_type_ = 0;
};

// Whether `pattern`, in which * stands for any characters, is the whole of `text`.
bool matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace potluck::test
