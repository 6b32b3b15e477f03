// TokenExperts: a table that names the experts of every token, so that a layer's router only weighs
// them ("hash layers": Roller et al., 2021; DeepSeek V4). Immutable; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace potluck {

struct TokenExperts {
  uint32_t top_k = 0;
  std::vector<uint32_t> experts;  // [vocabulary, top_k]

  bool empty() const { return experts.empty(); }
  std::span<const uint32_t> of(uint32_t token) const {
    return std::span(experts).subspan(uint64_t{token} * top_k, top_k);
  }
};

}  // namespace potluck
