#include "engine/tokenizer/tokenizer.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/base/printable.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/character_pair.h"
#include "engine/tokenizer/sentencepiece.h"
#include "engine/tokenizer/special_tokens.h"
#include "engine/tokenizer/text_encoder.h"
#include "engine/tokenizer/vocabulary.h"

namespace potluck {
namespace {

// A vocabulary, the names that text is cut at, and the encoder for what lies between them. Two
// matchers exist because of prompt injection: user text is searched only for names that may stand
// in it, so it can never become a control token.
class ModelTokenizer final : public Tokenizer {
 public:
  ModelTokenizer(std::unique_ptr<const Vocabulary> vocabulary,
                 std::unique_ptr<const TextEncoder> encoder, bool adds_begin,
                 std::vector<std::string> notes)
      : vocabulary_(std::move(vocabulary)),
        encoder_(std::move(encoder)),
        adds_begin_(adds_begin),
        notes_(std::move(notes)) {
    for (TokenId token = 0; vocabulary_->contains(token); ++token) add_name(token);
  }

  Result<std::vector<TokenId>> encode(std::string_view text, SpecialTokens special) const override {
    const bool parse = special == SpecialTokens::kParse;
    const Range all{text.size(), parse ? Trust::kTemplate : Trust::kUser};
    return encode_ranges(text, {&all, 1});
  }

  Result<std::vector<TokenId>> encode(std::span<const TextSegment> segments) const override {
    std::string text;
    std::vector<Range> ranges;
    for (const TextSegment& segment : segments) {
      text += segment.text;
      // Merged, so that a name written in two pieces by the template is still found.
      if (!ranges.empty() && ranges.back().trust == segment.trust) {
        ranges.back().end = text.size();
      } else {
        ranges.push_back({text.size(), segment.trust});
      }
    }
    return encode_ranges(text, ranges);
  }

  std::string_view bytes_of(TokenId token) const override {
    return vocabulary_->contains(token) ? vocabulary_->bytes_of(token) : std::string_view();
  }

  bool is_control(TokenId token) const override {
    if (!vocabulary_->contains(token)) return false;
    const TokenKind kind = vocabulary_->kind(token);
    return kind == TokenKind::kControl || kind == TokenKind::kUnknown;
  }

  bool is_end(TokenId token) const override { return vocabulary_->is_end(token); }
  std::optional<TokenId> begin_token() const override { return vocabulary_->begin_token(); }
  std::optional<TokenId> end_token() const override { return vocabulary_->end_token(); }
  uint32_t vocabulary_size() const override { return vocabulary_->size(); }
  bool strips_leading_space() const override { return encoder_->adds_leading_space(); }
  std::span<const std::string> notes() const override { return notes_; }

  std::vector<TokenId> prompt_prefix() const override {
    if (!adds_begin_ || !vocabulary_->begin_token()) return {};
    return {*vocabulary_->begin_token()};
  }

 private:
  // A stretch of the text that begins where the one before it ends.
  struct Range {
    size_t end;
    Trust trust;
  };

  void add_name(TokenId token) {
    const std::string_view name = vocabulary_->bytes_of(token);
    const TokenKind kind = vocabulary_->kind(token);
    if (name.empty()) return;
    if (kind == TokenKind::kUserDefined) user_names_.add(name, token);
    if (kind == TokenKind::kUserDefined || kind == TokenKind::kControl ||
        kind == TokenKind::kUnknown || kind == TokenKind::kMarker) {
      all_names_.add(name, token);
    }
  }

  Result<std::vector<TokenId>> encode_ranges(std::string_view text,
                                             std::span<const Range> ranges) const {
    if (text.size() > limits::kPromptBytes) {
      return Error{ErrorCode::kLimit, fmt::format("text: at most {} bytes, found {}",
                                                  limits::kPromptBytes, text.size())};
    }
    // The one check that everything behind relies on: PCRE2, the composer and the mergers decode
    // without looking.
    if (const auto offset = find_invalid_utf8(text)) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("text: expected UTF-8, found something else at byte {}", *offset)};
    }
    std::vector<TokenId> tokens;
    if (Status status = encode_fragments(text, ranges, &tokens); !status) return status.error();
    return tokens;
  }

  // The first name that begins in [from, range.end): any name that lies in template text, or one
  // that users may write, which may reach beyond the range.
  std::optional<SpecialTokenMatcher::Match> find_name(std::string_view text, size_t from,
                                                      const Range& range) const {
    if (range.trust == Trust::kUser) return user_names_.find(text, from, range.end);
    const auto any = all_names_.find(text.substr(0, range.end), from);
    const auto user = user_names_.find(text, from, any ? any->begin + 1 : range.end);
    if (!any || !user) return any ? any : user;
    // The leftmost wins, then the longest, as if one matcher had looked; a user's name may end
    // beyond the template text.
    const bool user_first = user->begin < any->begin || user->end > any->end;
    return user_first ? user : any;
  }

  // Cuts the text at the names and encodes what lies between them.
  Status encode_fragments(std::string_view text, std::span<const Range> ranges,
                          std::vector<TokenId>* tokens) const {
    size_t done = 0;  // everything before it is encoded
    const auto encode_until = [&](size_t end) {
      if (end == done) return Status();
      // The fragment is preceded by a name, or by nothing.
      return encoder_->encode(text.substr(done, end - done), true, tokens);
    };
    size_t from = 0;
    for (const Range& range : ranges) {
      while (from < range.end) {
        const auto name = find_name(text, from, range);
        if (!name) break;
        if (Status status = encode_until(name->begin); !status) return status;
        tokens->push_back(name->token);
        done = from = name->end;
      }
      from = std::max(from, range.end);
    }
    return encode_until(text.size());
  }

  std::unique_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const TextEncoder> encoder_;  // refers to the vocabulary
  bool adds_begin_;
  SpecialTokenMatcher all_names_;   // for SpecialTokens::kParse
  SpecialTokenMatcher user_names_;  // for SpecialTokens::kAsText
  std::vector<std::string> notes_;
};

Result<TokenizerModel> read_model(const GgufMetadata& metadata) {
  const auto name = metadata.text("tokenizer.ggml.model");
  if (!name) return name.error();
  if (*name == "gpt2") return TokenizerModel::kBytePair;
  if (*name == "llama") return TokenizerModel::kSentencePiece;
  if (*name == "gemma4") return TokenizerModel::kCharacterPair;
  return Error{
      ErrorCode::kUnsupported,
      fmt::format("tokenizer.ggml.model: unknown tokenizer \"{}\"; known are gpt2 llama gemma4",
                  *name)};
}

Result<std::unique_ptr<TextEncoder>> make_encoder(const GgufMetadata& metadata,
                                                  TokenizerModel model,
                                                  const Vocabulary& vocabulary,
                                                  std::vector<std::string>* notes) {
  switch (model) {
    case TokenizerModel::kBytePair:
      return BytePairEncoder::make(metadata, vocabulary, notes);
    case TokenizerModel::kCharacterPair:
      return CharacterPairEncoder::make(metadata, vocabulary, notes);
    case TokenizerModel::kSentencePiece:
      break;
  }
  return SentencePieceEncoder::make(metadata, vocabulary);
}

Result<bool> read_adds_begin(const GgufMetadata& metadata, bool otherwise) {
  constexpr const char* kKey = "tokenizer.ggml.add_bos_token";
  if (!metadata.contains(kKey)) return otherwise;
  return metadata.boolean(kKey);
}

}  // namespace

std::string Tokenizer::decode(std::span<const TokenId> tokens) const {
  std::string text;
  bool at_start = strips_leading_space();
  for (TokenId token : tokens) {
    if (is_control(token)) continue;
    std::string_view bytes = bytes_of(token);
    if (bytes.empty()) continue;
    if (at_start && bytes.front() == ' ') bytes.remove_prefix(1);
    at_start = false;
    text += bytes;
  }
  return text;
}

Result<std::unique_ptr<Tokenizer>> make_tokenizer(const GgufMetadata& metadata) {
  const auto model = read_model(metadata);
  if (!model) return model.error();
  auto read = Vocabulary::read(metadata, *model);
  if (!read) return read.error();
  auto vocabulary = std::make_unique<const Vocabulary>(std::move(*read));
  std::vector<std::string> notes = vocabulary->notes();
  auto encoder = make_encoder(metadata, *model, *vocabulary, &notes);
  if (!encoder) return encoder.error();
  const auto adds_begin = read_adds_begin(metadata, (*encoder)->adds_begin());
  if (!adds_begin) return adds_begin.error();
  return std::unique_ptr<Tokenizer>(new ModelTokenizer(std::move(vocabulary), std::move(*encoder),
                                                       *adds_begin, std::move(notes)));
}

}  // namespace potluck
