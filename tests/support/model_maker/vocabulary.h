// A byte-level BPE vocabulary of any size, without any text behind it: three special tokens, the
// 256 bytes, then words of small letters with and without a space in front, each merged from the
// word without its last letter. Pure function; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace potluck::test {

struct MadeVocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;  // ggml's: 1 text, 3 control
  std::vector<std::string> merges;
  uint32_t end_of_text = 0;
  uint32_t end_of_turn = 2;
};

inline constexpr uint32_t kSmallestVocabulary = 3 + 256;

// `size` is at least kSmallestVocabulary (CHECK).
MadeVocabulary make_vocabulary(uint32_t size);

}  // namespace potluck::test
