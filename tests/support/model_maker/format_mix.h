// Which format each matrix of a made model gets: one for all, or one of llama.cpp's mixes by their
// usual names, with exceptions by pattern. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/gguf/quantization_mix.h"
#include "tests/support/model_maker/block_filler.h"

namespace potluck::test {

class FormatMix {
 public:
  // `format`: as QuantizationMix knows it. `exceptions`: "PATTERN=FORMAT",
  // where a * in the pattern stands for any characters; the last that matches a tensor wins.
  static Result<FormatMix> parse(const std::string& format,
                                 const std::vector<std::string>& exceptions);

  // An error names the tensor whose rows its format cannot hold.
  Result<const FillFormat*> choose(const QuantizationMix::Matrix& matrix) const;

  // The number under which llama.cpp knows the mix (general.file_type).
  uint32_t file_type() const { return file_type_; }

 private:
  struct Exception {
    std::string pattern;
    const FillFormat* format;
  };

  QuantizationMix mix_;
  std::vector<Exception> exceptions_;
  uint32_t file_type_ = 0;
};

// Whether `pattern`, in which * stands for any characters, is the whole of `text`.
bool matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace potluck::test
