#include "tests/support/model_maker/vocabulary.h"

#include "engine/base/check.h"

namespace potluck::test {
namespace {

std::string utf8_below_2048(uint32_t code) {
  if (code < 128) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 63))};
}

// The byte alphabet: what Latin-1 can print stands for itself, the others follow from U+0100 on.
std::vector<std::string> byte_alphabet() {
  std::vector<std::string> alphabet;
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
    alphabet.push_back(utf8_below_2048(printable ? byte : next++));
  }
  return alphabet;
}

}  // namespace

MadeVocabulary make_vocabulary(uint32_t size) {
  CHECK(size >= kSmallestVocabulary);
  MadeVocabulary made;
  made.tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  made.types.assign(made.tokens.size(), 3);
  std::vector<std::string> bytes = byte_alphabet();
  made.tokens.insert(made.tokens.end(), bytes.begin(), bytes.end());
  std::vector<std::string> words = {bytes[' ']};
  for (char letter = 'a'; letter <= 'z'; ++letter) words.emplace_back(1, letter);
  for (size_t next = 0; made.tokens.size() < size; ++next) {
    std::string word = words[next];
    for (char letter = 'a'; letter <= 'z' && made.tokens.size() < size; ++letter) {
      words.push_back(word + letter);
      made.tokens.push_back(words.back());
      made.merges.push_back(word + " " + letter);
    }
  }
  made.types.resize(made.tokens.size(), 1);
  return made;
}

}  // namespace potluck::test
