#include "engine/tokenizer/vocabulary.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/tokenizer/vocabulary_reader.h"

namespace potluck {

Result<Vocabulary> Vocabulary::read(const GgufMetadata& metadata, TokenizerModel model) {
  return VocabularyReader(metadata, model).read();
}

TokenKind Vocabulary::kind(TokenId token) const {
  CHECK(contains(token));
  return kinds_[static_cast<size_t>(token)];
}

std::string_view Vocabulary::bytes_of(TokenId token) const {
  CHECK(contains(token));
  const uint64_t begin = offsets_[static_cast<size_t>(token)];
  const uint64_t end = offsets_[static_cast<size_t>(token) + 1];
  return {bytes_.data() + begin, end - begin};
}

bool Vocabulary::is_end(TokenId token) const {
  return std::find(ends_.begin(), ends_.end(), token) != ends_.end();
}

TokenId Vocabulary::find_text(std::string_view bytes) const {
  const auto found = by_bytes_.find(bytes);
  return found == by_bytes_.end() ? kNoToken : found->second;
}

}  // namespace potluck
