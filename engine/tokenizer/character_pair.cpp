#include "engine/tokenizer/character_pair.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/printable.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/merge_reader.h"
#include "engine/tokenizer/pair_merger.h"
#include "engine/tokenizer/visible_space.h"

namespace potluck {

Result<std::unique_ptr<TextEncoder>> CharacterPairEncoder::make(const GgufMetadata& metadata,
                                                                const Vocabulary& vocabulary,
                                                                std::vector<std::string>* notes) {
  auto merges = read_merges(metadata, TokenizerModel::kCharacterPair, vocabulary, notes);
  if (!merges) return merges.error();
  return std::unique_ptr<TextEncoder>(new CharacterPairEncoder(vocabulary, std::move(*merges)));
}

// A character, or else all of its bytes: half a character would decode to garbage.
Status CharacterPairEncoder::add_character(std::string_view character, PairMerger* merger) const {
  const TokenId token = vocabulary_.find_text(character);
  if (token != kNoToken) {
    merger->add(token);
    return {};
  }
  auto byte_of = [&](char c) { return vocabulary_.byte_token(static_cast<uint8_t>(c)); };
  if (std::ranges::all_of(character, [&](char c) { return byte_of(c) != kNoToken; })) {
    for (char c : character) merger->add(byte_of(c));
    return {};
  }
  if (!vocabulary_.unknown_token()) {
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("the vocabulary has no tokens for the character \"{}\"", printable(character))};
  }
  merger->add(*vocabulary_.unknown_token());
  return {};
}

// A line without its end, or line breaks alone.
Status CharacterPairEncoder::encode_line(std::string_view line, PairMerger* merger,
                                         std::vector<TokenId>* out) const {
  const TokenId whole = line.front() == '\n' ? vocabulary_.find_text(line) : kNoToken;
  if (whole != kNoToken) {
    out->push_back(whole);
    return {};
  }
  merger->clear();
  while (!line.empty()) {
    const size_t bytes = utf8_length(line.front());
    if (Status added = add_character(line.substr(0, bytes), merger); !added) return added;
    line.remove_prefix(bytes);
  }
  merger->merge(out);
  return {};
}

Status CharacterPairEncoder::encode(std::string_view text, bool, std::vector<TokenId>* out) const {
  // Vocabulary gives the marks for spaces as plain spaces, so here they become one as well.
  const std::string plain = with_plain_spaces(text);
  std::string_view rest = plain;
  PairMerger merger(merges_);
  while (!rest.empty()) {
    const bool breaks = rest.front() == '\n';
    const size_t end = breaks ? rest.find_first_not_of('\n') : rest.find('\n');
    const size_t bytes = std::min(end, rest.size());
    if (Status status = encode_line(rest.substr(0, bytes), &merger, out); !status) return status;
    rest.remove_prefix(bytes);
  }
  return {};
}

}  // namespace potluck
