// Notices: what people should read, gathered until somebody takes it. Bounded, because peers can
// cause notices: what does not fit is counted. Plain value; one thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace potluck {

class Notices {
 public:
  void add(std::string text) {
    if (texts_.size() < kCapacity) {
      texts_.push_back(std::move(text));
    } else {
      ++dropped_;
    }
  }

  // Moves everything to the end of `out`.
  void take_into(std::vector<std::string>* out) {
    for (std::string& text : texts_) out->push_back(std::move(text));
    if (dropped_ > 0) out->push_back(std::to_string(dropped_) + " more notices were left out");
    texts_.clear();
    dropped_ = 0;
  }

  std::vector<std::string> take() {
    std::vector<std::string> taken;
    take_into(&taken);
    return taken;
  }

 private:
  // A screen or two: more than a person reads at once.
  static constexpr size_t kCapacity = 256;

  std::vector<std::string> texts_;
  size_t dropped_ = 0;
};

}  // namespace potluck
