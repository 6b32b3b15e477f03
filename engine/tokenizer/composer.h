// Canonical composition of Unicode text (NFC): the one normalization that byte-level tokenizers of
// published models ask for. Owned by an encoder; immutable, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/tokenizer/unicode_tables.h"

namespace potluck {

class Composer {
 public:
  Composer();

  // The composed form of `text`, which must be valid UTF-8: `text` itself where it is composed
  // already, else a view of `buffer`, which is written then.
  std::string_view compose(std::string_view text, std::string* buffer) const;

 private:
  struct Character {
    uint32_t code_point;
    uint8_t combining_class;
  };

  // Never combines with what comes before it and is never replaced: text may be cut in front of it.
  bool is_boundary(uint32_t code_point) const {
    return code_point >= joins_.size() || !joins_[code_point];
  }
  uint8_t combining_class(uint32_t code_point) const {
    return code_point < classes_.size() ? classes_[code_point] : 0;
  }

  // End of the segment at `begin`: of one character and those after it that are no boundary.
  size_t segment_end(std::string_view text, size_t begin) const;
  void compose_segment(std::string_view segment, std::string* out) const;
  void decompose(uint32_t code_point, std::vector<Character>* out) const;
  // The character that the two make, or 0.
  uint32_t join(uint32_t first, uint32_t second) const;

  std::vector<bool> joins_;       // by code point
  std::vector<uint8_t> classes_;  // by code point
  std::unordered_map<uint32_t, Decomposition> decompositions_;
  std::unordered_map<uint64_t, uint32_t> compositions_;  // first << 32 | second
};

}  // namespace potluck
