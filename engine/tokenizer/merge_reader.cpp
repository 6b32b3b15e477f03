#include "engine/tokenizer/merge_reader.h"

#include <optional>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/base/printable.h"
#include "engine/tokenizer/byte_alphabet.h"
#include "engine/tokenizer/visible_space.h"

namespace potluck {
namespace {

constexpr const char* kMergesKey = "tokenizer.ggml.merges";

// The most among published vocabularies is 2.2 merges a token (Llama 3: one for each way in which a
// token can come about).
constexpr size_t kMostMerges = size_t{4} * limits::kVocabulary;

Error merge_error(size_t rank, const std::string& what) {
  return {ErrorCode::kCorrupt, fmt::format("{}: entry {}: {}", kMergesKey, rank, what)};
}

// Names of tokens that text never becomes. Merges with such a name can never apply and are left
// out.
std::unordered_set<std::string_view> names_of(const Vocabulary& vocabulary) {
  std::unordered_set<std::string_view> names;
  for (TokenId token = 0; vocabulary.contains(token); ++token) {
    if (vocabulary.kind(token) != TokenKind::kText) names.insert(vocabulary.bytes_of(token));
  }
  return names;
}

class MergeReader {
 public:
  MergeReader(TokenizerModel model, const Vocabulary& vocabulary)
      : model_(model), vocabulary_(vocabulary), names_(names_of(vocabulary)) {}

  // Merges of what the vocabulary does not have can never apply: they are left out, with a note.
  Result<MergeTable> read(const std::vector<std::string>& texts, std::vector<std::string>* notes) {
    MergeTable table(texts.size());
    for (size_t rank = 0; rank < texts.size(); ++rank) {
      if (Status status = add(texts[rank], rank, &table); !status) return status.error();
    }
    if (unknown_ == 0) return table;
    const std::string found =
        fmt::format("{} of {} entries name what is not a token, the first of them entry {}: \"{}\"",
                    unknown_, texts.size(), first_unknown_, printable(texts[first_unknown_]));
    // Not one fits: these are the merges of another vocabulary, and text would fall apart into
    // bytes.
    if (unknown_ == texts.size()) {
      return Error{ErrorCode::kCorrupt, fmt::format("{}: {}", kMergesKey, found)};
    }
    notes->push_back(fmt::format("{}: {}; they are left out", kMergesKey, found));
    return table;
  }

 private:
  Status add(const std::string& text, size_t rank, MergeTable* table) {
    const size_t space = text.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == text.size() ||
        text.find(' ', space + 1) != std::string::npos) {
      return merge_error(rank, "expected two parts with one space between them");
    }
    const std::string left = text.substr(0, space);
    const std::string right = text.substr(space + 1);
    const auto left_token = find(left);
    const auto right_token = find(right);
    const auto merged = find(left + right);
    if (!left_token || !right_token || !merged) {
      if (unknown_++ == 0) first_unknown_ = rank;
      return {};
    }
    if (*left_token == kNoToken || *right_token == kNoToken || *merged == kNoToken) return {};
    table->insert(*left_token, *right_token, {static_cast<uint32_t>(rank), *merged});
    return {};
  }

  // The text token that is written like this; kNoToken for the name of another one, nothing for
  // what is no token.
  std::optional<TokenId> find(const std::string& text) const {
    const bool is_alphabet = model_ == TokenizerModel::kBytePair;
    const auto bytes = is_alphabet ? decode_byte_alphabet(text)
                                   : std::optional<std::string>(with_plain_spaces(text));
    const TokenId token = bytes ? vocabulary_.find_text(*bytes) : kNoToken;
    if (token == kNoToken && !names_.contains(text)) return std::nullopt;
    return token;
  }

  TokenizerModel model_;
  const Vocabulary& vocabulary_;
  std::unordered_set<std::string_view> names_;
  size_t unknown_ = 0;
  size_t first_unknown_ = 0;
};

}  // namespace

Result<MergeTable> read_merges(const GgufMetadata& metadata, TokenizerModel model,
                               const Vocabulary& vocabulary, std::vector<std::string>* notes) {
  const auto texts = metadata.texts(kMergesKey);
  if (!texts) return texts.error();
  if (texts->size() > kMostMerges) {
    return Error{ErrorCode::kLimit, fmt::format("{}: at most {} entries, found {}", kMergesKey,
                                                kMostMerges, texts->size())};
  }
  return MergeReader(model, vocabulary).read(*texts, notes);
}

}  // namespace potluck
