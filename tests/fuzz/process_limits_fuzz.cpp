// Fuzzes the parser of the files that say what a process may use. The input is cut at zero bytes:
// the n-th piece answers the n-th path that is asked for, again and again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/process_limits.h"

namespace {

class PiecewiseFiles final : public potluck::SystemFiles {
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

 private:
  std::vector<std::string> pieces_;
  mutable size_t next_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  PiecewiseFiles files({reinterpret_cast<const char*>(data), size});
  potluck::ProcessLimits limits = potluck::process_limits(files);
  CHECK((limits.available.bytes == UINT64_MAX) == limits.available.source.empty());
  CHECK(potluck::default_threads(limits) >= 1);
  CHECK(potluck::default_lent_memory(limits) <= limits.total.bytes / 2);
  return 0;
}
