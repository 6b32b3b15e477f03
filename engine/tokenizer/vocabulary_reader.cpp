#include "engine/tokenizer/vocabulary_reader.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/byte_alphabet.h"
#include "engine/tokenizer/visible_space.h"

namespace potluck {
namespace {

// Names under which models end a text or a turn when the file does not say so by id.
constexpr std::array<std::string_view, 24> kEndNames{
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<eos>",
    "</s>",
    "<EOT>",
    "_<EOT>",
    "<|EOT|>",
    "[EOT]",
    "[EOS]",
    "[e~[",
    "<｜end▁of▁sentence｜>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
};

std::optional<TokenKind> kind_of_type(int64_t type) {
  switch (type) {
    case 0:  // undefined
    case 5:
      return TokenKind::kUnused;
    case 1:
      return TokenKind::kText;
    case 2:
      return TokenKind::kUnknown;
    case 3:
      return TokenKind::kControl;
    case 4:
      return TokenKind::kUserDefined;
    case 6:
      return TokenKind::kByte;
    default:
      return std::nullopt;
  }
}

std::optional<uint8_t> hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return static_cast<uint8_t>(digit - '0');
  if (digit >= 'A' && digit <= 'F') return static_cast<uint8_t>(digit - 'A' + 10);
  if (digit >= 'a' && digit <= 'f') return static_cast<uint8_t>(digit - 'a' + 10);
  return std::nullopt;
}

// The byte that "<0x0A>" names.
std::optional<char> parse_byte_name(std::string_view name) {
  if (name.size() != 6 || !name.starts_with("<0x") || name.back() != '>') return std::nullopt;
  const auto high = hex_digit(name[3]);
  const auto low = hex_digit(name[4]);
  if (!high || !low) return std::nullopt;
  return static_cast<char>(*high << 4 | *low);
}

// Bytes of a SentencePiece-style token; nothing for one with a plain space, which no text becomes
// because every space of the text is a U+2581 by then.
std::optional<std::string> decode_visible_spaces(std::string_view text) {
  if (text.find(' ') != std::string_view::npos) return std::nullopt;
  return with_plain_spaces(text);
}

// "<|im_start|>" and DeepSeek's "<｜User｜>": by this form converters know what controls the
// conversation, and older ones have missed it.
bool looks_like_control(std::string_view name) {
  const auto is_between = [&](std::string_view open, std::string_view close) {
    return name.size() > open.size() + close.size() && name.starts_with(open) &&
           name.ends_with(close);
  };
  return is_between("<|", "|>") || is_between("<｜", "｜>");
}

bool is_one_character(std::string_view text) {
  return !text.empty() && utf8_length(text[0]) == text.size();
}

}  // namespace

Result<Vocabulary> VocabularyReader::read() {
  if (Status status = read_texts(); !status) return status.error();
  if (Status status = read_kinds(); !status) return status.error();
  if (Status status = check_texts(); !status) return status.error();
  if (Status status = read_roles(); !status) return status.error();
  if (Status status = store_bytes(); !status) return status.error();
  if (Status status = index_bytes(); !status) return status.error();
  return std::move(vocabulary_);
}

Status VocabularyReader::read_texts() {
  auto texts = metadata_.texts("tokenizer.ggml.tokens");
  if (!texts) return texts.error();
  texts_ = std::move(*texts);
  if (texts_.empty()) return Error{ErrorCode::kCorrupt, "tokenizer.ggml.tokens: no tokens"};
  if (texts_.size() > limits::kVocabulary) {
    return Error{ErrorCode::kLimit,
                 fmt::format("tokenizer.ggml.tokens: at most {} tokens, found {}",
                             limits::kVocabulary, texts_.size())};
  }
  return {};
}

Status VocabularyReader::read_kinds() {
  constexpr const char* kKey = "tokenizer.ggml.token_type";
  vocabulary_.kinds_.assign(texts_.size(), TokenKind::kText);
  if (!metadata_.contains(kKey)) return {};
  auto types = metadata_.integers(kKey);
  if (!types) return types.error();
  if (types->size() != texts_.size()) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: expected {} entries, one per token, found {}", kKey,
                             texts_.size(), types->size())};
  }
  for (TokenId token = 0; token < size(); ++token) {
    const int64_t type = (*types)[static_cast<size_t>(token)];
    const auto known = kind_of_type(type);
    if (!known) return token_error(token, fmt::format("type 0 to 6 expected, found {}", type));
    kind(token) = *known;
  }
  return {};
}

Status VocabularyReader::check_texts() const {
  std::unordered_set<std::string_view> seen;
  seen.reserve(texts_.size());
  for (TokenId token = 0; token < size(); ++token) {
    if (const auto offset = find_invalid_utf8(text(token))) {
      return token_error(token, fmt::format("text is not UTF-8 at byte {}", *offset));
    }
    if (!text(token).empty() && !seen.insert(text(token)).second) {
      return token_error(token, "another token has the same text");
    }
    const bool is_name = kind(token) != TokenKind::kText;
    if (is_name && text(token).size() > limits::kNameBytes) {
      return token_error(token, fmt::format("a special token's name has at most {} bytes, found {}",
                                            limits::kNameBytes, text(token).size()));
    }
  }
  return {};
}

Result<std::optional<TokenId>> VocabularyReader::role(const std::string& key) const {
  if (!metadata_.contains(key)) return std::optional<TokenId>();
  const auto token = metadata_.integer(key);
  if (!token) return token.error();
  if (*token >= texts_.size()) {
    return Error{ErrorCode::kCorrupt, fmt::format("{}: expected a token below {}, found {}", key,
                                                  texts_.size(), *token)};
  }
  return std::optional<TokenId>(static_cast<TokenId>(*token));
}

// SentencePiece's own numbering, for files that leave the key out.
std::optional<TokenId> VocabularyReader::customary(TokenId token, TokenKind expected) const {
  const bool fits = model_ == TokenizerModel::kSentencePiece && token < size();
  return fits && kind(token) == expected ? std::optional<TokenId>(token) : std::nullopt;
}

Status VocabularyReader::read_roles() {
  auto begin = role("tokenizer.ggml.bos_token_id");
  if (!begin) return begin.error();
  if (!*begin) *begin = customary(1, TokenKind::kControl);
  if (*begin) make_control(**begin);
  vocabulary_.begin_ = *begin;

  auto unknown = role("tokenizer.ggml.unknown_token_id");
  if (!unknown) return unknown.error();
  if (!*unknown) *unknown = customary(0, TokenKind::kUnknown);
  if (*unknown && kind(**unknown) == TokenKind::kUnknown) vocabulary_.unknown_ = *unknown;

  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                          "tokenizer.ggml.eom_token_id"}) {
    auto end = role(key);
    if (!end) return end.error();
    const bool is_end_of_text = key == std::string_view("tokenizer.ggml.eos_token_id");
    if (!*end && is_end_of_text) *end = customary(2, TokenKind::kControl);
    if (!*end) continue;
    if (is_end_of_text) vocabulary_.end_ = *end;
    make_control(**end);
    vocabulary_.ends_.push_back(**end);
  }
  find_named_roles();
  return {};
}

// Files mark some tokens that control the conversation as text. Where the file gives such a token
// that role it is a control token, so that text cannot forge it. A token of a single character
// stays text: there the role is a wrong default (1 and 2 are common), and without it text would
// break.
void VocabularyReader::make_control(TokenId token) {
  if (kind(token) == TokenKind::kUserDefined ||
      (kind(token) == TokenKind::kText && !is_one_character(text(token)))) {
    kind(token) = TokenKind::kControl;
  }
}

void VocabularyReader::find_named_roles() {
  std::vector<TokenId>& ends = vocabulary_.ends_;
  std::unordered_map<std::string_view, TokenId> named;
  for (TokenId token = 0; token < size(); ++token) {
    if (kind(token) != TokenKind::kControl && kind(token) != TokenKind::kUserDefined) continue;
    if (looks_like_control(text(token))) kind(token) = TokenKind::kControl;
    if (std::find(kEndNames.begin(), kEndNames.end(), text(token)) == kEndNames.end()) continue;
    kind(token) = TokenKind::kControl;
    named.emplace(text(token), token);
    ends.push_back(token);
  }
  // In the Harmony format (gpt-oss), and in one like it, <|end|> closes a message of a turn that
  // goes on.
  const bool harmony = named.contains("<|return|>") && named.contains("<|call|>");
  const bool like_harmony = named.contains("<|calls|>") && named.contains("<|flush|>");
  if ((harmony || like_harmony) && named.contains("<|end|>")) {
    ends.erase(std::remove(ends.begin(), ends.end(), named["<|end|>"]), ends.end());
  }
}

Result<std::string> VocabularyReader::decode(TokenId token) {
  switch (kind(token)) {
    case TokenKind::kByte: {
      const auto byte = parse_byte_name(text(token));
      if (!byte) return token_error(token, "a byte token is called <0x00> to <0xFF>");
      return std::string(1, *byte);
    }
    case TokenKind::kText: {
      const bool is_byte_pair = model_ == TokenizerModel::kBytePair;
      auto bytes =
          is_byte_pair ? decode_byte_alphabet(text(token)) : decode_visible_spaces(text(token));
      reachable_[static_cast<size_t>(token)] = bytes.has_value() && !bytes->empty();
      return bytes ? std::move(*bytes) : text(token);
    }
    default:
      return text(token);
  }
}

Status VocabularyReader::store_bytes() {
  reachable_.assign(texts_.size(), false);
  vocabulary_.offsets_.reserve(texts_.size() + 1);
  vocabulary_.offsets_.push_back(0);
  for (TokenId token = 0; token < size(); ++token) {
    const auto bytes = decode(token);
    if (!bytes) return bytes.error();
    vocabulary_.bytes_.insert(vocabulary_.bytes_.end(), bytes->begin(), bytes->end());
    vocabulary_.offsets_.push_back(vocabulary_.bytes_.size());
  }
  return {};
}

Status VocabularyReader::index_bytes() {
  vocabulary_.by_bytes_.reserve(texts_.size());
  for (TokenId token = 0; token < size(); ++token) {
    const std::string_view bytes = vocabulary_.bytes_of(token);
    if (kind(token) == TokenKind::kByte) {
      TokenId& known = vocabulary_.byte_tokens_[static_cast<uint8_t>(bytes[0])];
      if (known != kNoToken) return token_error(token, "another token stands for the same byte");
      known = token;
    } else if (reachable_[static_cast<size_t>(token)]) {
      vocabulary_.by_bytes_.emplace(bytes, token);
      vocabulary_.longest_text_ = std::max(vocabulary_.longest_text_, bytes.size());
    }
  }
  if (model_ == TokenizerModel::kBytePair) prefer_text_for_bytes();
  return {};
}

// A byte-level vocabulary writes bytes as text tokens; the others, "<0x0A>", are a second choice.
void VocabularyReader::prefer_text_for_bytes() {
  for (int value = 0; value < 256; ++value) {
    const char byte = static_cast<char>(value);
    const TokenId token = vocabulary_.find_text({&byte, 1});
    if (token != kNoToken) vocabulary_.byte_tokens_[static_cast<size_t>(value)] = token;
  }
}

Error VocabularyReader::token_error(TokenId token, const std::string& what) const {
  return {ErrorCode::kCorrupt, fmt::format("tokenizer.ggml.tokens: token {}: {}", token, what)};
}

}  // namespace potluck
