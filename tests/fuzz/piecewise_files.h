// PiecewiseFiles: the files of a system, made of a fuzzer's input. It is cut at zero bytes: the
// n-th piece answers the n-th path that is asked for, again and again.
#pragma once

#include <algorithm>
#include <string_view>

#include "engine/base/system_files.h"

namespace potluck::test {

class PiecewiseFiles final : public SystemFiles {
 public:
  explicit PiecewiseFiles(std::string_view text) {
    for (size_t begin = 0; begin <= text.size();) {
      size_t end = std::min(text.find('\0', begin), text.size());
      pieces_.emplace_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  std::optional<std::string> read(const std::string&) const override {
    return pieces_[next_++ % pieces_.size()];
  }
  std::vector<std::string> list(const std::string&) const override {
    return {"AC", "BAT0", "thermal_zone0"};
  }

 private:
  std::vector<std::string> pieces_;
  mutable size_t next_ = 0;
};

}  // namespace potluck::test
