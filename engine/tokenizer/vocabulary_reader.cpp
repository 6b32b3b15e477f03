// The steps depend on each other's order: texts are checked before anything decodes them, kinds and
// roles are settled before store_bytes() decides how a text is to be read, and only then can bytes
// be looked up.
#include "engine/tokenizer/vocabulary_reader.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/base/printable.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/byte_alphabet.h"
#include "engine/tokenizer/marker_names.h"
#include "engine/tokenizer/visible_space.h"

namespace potluck {
namespace {

// The numbers are those of SentencePiece's types, as llama.cpp wrote them into GGUF.
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

bool is_one_character(std::string_view text) {
  return !text.empty() && utf8_length(text[0]) == text.size();
}

}  // namespace

VocabularyReader::VocabularyReader(const GgufMetadata& metadata, TokenizerModel model)
    : metadata_(metadata), model_(model) {
  const auto source = metadata.text("tokenizer.chat_template");
  // Only to tell which mistyped markers matter to the user: those that the template writes.
  if (source) chat_template_ = *source;
}

Result<Vocabulary> VocabularyReader::read() {
  if (Status status = read_texts(); !status) return status.error();
  if (Status status = read_kinds(); !status) return status.error();
  if (Status status = check_texts(); !status) return status.error();
  read_roles();
  find_named_roles();
  if (Status status = store_bytes(); !status) return status.error();
  index_bytes();
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

Status VocabularyReader::check_texts() {
  std::unordered_map<std::string_view, TokenId> seen;
  seen.reserve(texts_.size());
  uint32_t repeated = 0;
  std::string example;
  for (TokenId token = 0; token < size(); ++token) {
    if (const auto offset = find_invalid_utf8(text(token))) {
      return token_error(token, fmt::format("text is not UTF-8 at byte {}", *offset));
    }
    const auto [first, is_new] = seen.emplace(text(token), token);
    if (!is_new && !text(token).empty() && repeated++ == 0) {
      example = fmt::format("{} and {} are \"{}\"", first->second, token, printable(text(token)));
    }
    // Only names are bounded: they become nodes of a trie, one per byte. Texts are bounded by the
    // header.
    const bool is_name = kind(token) != TokenKind::kText;
    if (is_name && text(token).size() > limits::kNameBytes) {
      return token_error(token, fmt::format("a special token's name has at most {} bytes, found {}",
                                            limits::kNameBytes, text(token).size()));
    }
  }
  if (repeated > 0) {
    note(
        fmt::format("tokenizer.ggml.tokens: {} token(s) have the text of another one ({}): text "
                    "becomes the first of each",
                    repeated, example));
  }
  return {};
}

// Nothing if the file does not say, or says something impossible: the model can do without.
std::optional<TokenId> VocabularyReader::role(const std::string& key) {
  if (!metadata_.contains(key)) return std::nullopt;
  const auto token = metadata_.integer(key);
  if (token && *token < texts_.size()) return static_cast<TokenId>(*token);
  const std::string found =
      token ? fmt::format("{}: expected a token below {}, found {}", key, texts_.size(), *token)
            : token.error().message;
  note(found + "; it is left out");
  return std::nullopt;
}

// SentencePiece's own numbering, for files that leave the key out.
std::optional<TokenId> VocabularyReader::customary(TokenId token, TokenKind expected,
                                                   std::string_view name) const {
  const bool exists = model_ == TokenizerModel::kSentencePiece && token < size();
  const bool fits = exists && (kind(token) == expected || text(token) == name);
  return fits ? std::optional<TokenId>(token) : std::nullopt;
}

void VocabularyReader::read_roles() {
  auto begin = role("tokenizer.ggml.bos_token_id");
  if (!begin) begin = customary(1, TokenKind::kControl, "<s>");
  if (begin) make_control(*begin);
  vocabulary_.begin_ = begin;

  auto unknown = role("tokenizer.ggml.unknown_token_id");
  if (!unknown) unknown = customary(0, TokenKind::kUnknown, "<unk>");
  if (unknown && kind(*unknown) == TokenKind::kUnknown) vocabulary_.unknown_ = unknown;

  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                          "tokenizer.ggml.eom_token_id"}) {
    auto end = role(key);
    const bool is_end_of_text = key == std::string_view("tokenizer.ggml.eos_token_id");
    if (!end && is_end_of_text) end = customary(2, TokenKind::kControl, "</s>");
    if (!end) continue;
    if (is_end_of_text) vocabulary_.end_ = end;
    make_control(*end);
    vocabulary_.ends_.push_back(*end);
  }
}

// Files type some tokens that control the conversation as text. Where the file also gives such a
// token a role, it is taken as a control token, so that text cannot forge it. A token of a single
// character stays text: such a role is a wrong default (1 and 2 are common), and without the token
// text would break.
void VocabularyReader::make_control(TokenId token) {
  if (kind(token) == TokenKind::kUserDefined ||
      (kind(token) == TokenKind::kText && !is_one_character(text(token)))) {
    kind(token) = TokenKind::kControl;
  }
}

// Some files type the markers of a conversation as ordinary text. A token with such a name is a
// marker all the same, unless merges make it of smaller tokens: then it may be text that was
// learned.
void VocabularyReader::find_named_roles() {
  const std::unordered_set<std::string> merged = merged_candidates();
  const std::unordered_set<std::string> typed_names = names_of_markers();
  std::unordered_map<std::string, TokenId> named;
  for (TokenId token = 0; token < size(); ++token) {
    const TokenKind typed = kind(token);
    if (typed == TokenKind::kByte || typed == TokenKind::kUnknown) continue;
    const std::string name = marker_name(token);
    const bool is_text = typed == TokenKind::kText || typed == TokenKind::kUnused;
    const bool is_html = is_text && is_also_html(name) && vocabulary_.end_;
    const bool ends = is_end_name(name) && !is_html;
    const bool is_known = ends || (is_text && is_turn_name(name) && !is_html);
    const bool learned = is_text && merged.contains(text(token));
    // Template text becomes the token that the file types rightly; the other one stays text.
    const bool is_double = is_text && typed_names.contains(name);
    if (is_double) {
      if (ends) vocabulary_.ends_.push_back(token);
      continue;
    }
    if (is_known || (looks_like_control(name) && !learned)) {
      take_as(TokenKind::kControl, token, name, ends);
    } else if (is_text && looks_added(name) && !learned && model_ == TokenizerModel::kBytePair) {
      take_as(TokenKind::kMarker, token, name, false);
    }
    if (kind(token) != TokenKind::kControl) continue;
    named.emplace(name, token);
    if (ends) vocabulary_.ends_.push_back(token);
  }
  settle_ends(named);
  if (!mistyped_.empty()) {
    note(
        fmt::format("the file was converted wrongly: it types {} as ordinary text; taken for the "
                    "marker(s) that the name says",
                    fmt::join(mistyped_, ", ")));
  }
}

// Rules for families in which names alone are not enough.
void VocabularyReader::settle_ends(const std::unordered_map<std::string, TokenId>& named) {
  std::vector<TokenId>& ends = vocabulary_.ends_;
  // In the Harmony format (gpt-oss), and in one like it, <|end|> closes a message of a turn that
  // goes on.
  const bool harmony = named.contains("<|return|>") && named.contains("<|call|>");
  const bool like_harmony = named.contains("<|calls|>") && named.contains("<|flush|>");
  if ((harmony || like_harmony) && named.contains("<|end|>")) {
    std::erase(ends, named.at("<|end|>"));
  }
  // GLM ends its turn by beginning the user's or a tool's.
  if (!named.contains("<|observation|>") || !named.contains("<|user|>")) return;
  ends.push_back(named.at("<|observation|>"));
  ends.push_back(named.at("<|user|>"));
}

// Gives a token the kind that its name says, and notes it if the user should know.
void VocabularyReader::take_as(TokenKind taken, TokenId token, const std::string& name, bool ends) {
  const TokenKind typed = kind(token);
  kind(token) = taken;
  texts_[static_cast<size_t>(token)] = name;
  constexpr size_t kNamed = 8;
  const bool matters = ends || chat_template_.find(name) != std::string::npos;
  if (typed != TokenKind::kText || !matters || mistyped_.size() > kNamed) return;
  mistyped_.push_back(mistyped_.size() == kNamed ? "others"
                                                 : fmt::format("\"{}\"", printable(name)));
}

// The name of a token, also where the file spells it in the byte alphabet.
std::string VocabularyReader::marker_name(TokenId token) const {
  const std::string& written = text(token);
  const bool may_be_name = written.starts_with('<') || written.starts_with('[');
  if (model_ != TokenizerModel::kBytePair || !may_be_name) return written;
  auto spelled = decode_byte_alphabet(written);
  const bool is_name = spelled && *spelled != written && !find_invalid_utf8(*spelled) &&
                       (looks_like_control(*spelled) || is_end_name(*spelled));
  if (is_name) return *std::move(spelled);
  return written;
}

// Names of the tokens that the file itself types as something else than text.
std::unordered_set<std::string> VocabularyReader::names_of_markers() const {
  std::unordered_set<std::string> names;
  for (TokenId token = 0; token < size(); ++token) {
    const bool is_marker =
        kind(token) == TokenKind::kControl || kind(token) == TokenKind::kUserDefined;
    if (is_marker) names.insert(marker_name(token));
  }
  return names;
}

// Texts in the form of markers that merges make.
std::unordered_set<std::string> VocabularyReader::merged_candidates() const {
  std::unordered_set<std::string_view> candidates;
  for (TokenId token = 0; token < size(); ++token) {
    if (kind(token) != TokenKind::kText && kind(token) != TokenKind::kUnused) continue;
    const std::string name = marker_name(token);
    if (looks_like_control(name) || looks_added(name)) candidates.insert(text(token));
  }
  std::unordered_set<std::string> merged;
  if (candidates.empty()) return merged;
  const MetadataValue* value = metadata_.find("tokenizer.ggml.merges");
  const auto* array = value == nullptr ? nullptr : std::get_if<MetadataArray>(value);
  const auto* merges = array == nullptr ? nullptr : std::get_if<std::vector<std::string>>(array);
  if (merges == nullptr) return merged;
  for (std::string whole : *merges) {
    // A merge "a b" makes the token "ab".
    std::erase(whole, ' ');
    if (candidates.contains(whole)) merged.insert(std::move(whole));
  }
  return merged;
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
      // A text that is not in the alphabet was added to the vocabulary as it is: it can be shown,
      // but no text becomes it.
      reachable_[static_cast<size_t>(token)] = bytes.has_value() && !bytes->empty();
      if (bytes) return *std::move(bytes);
      return text(token);
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

void VocabularyReader::index_bytes() {
  vocabulary_.by_bytes_.reserve(texts_.size());
  for (TokenId token = 0; token < size(); ++token) {
    const std::string_view bytes = vocabulary_.bytes_of(token);
    if (kind(token) == TokenKind::kByte) {
      TokenId& known = vocabulary_.byte_tokens_[static_cast<uint8_t>(bytes[0])];
      if (known == kNoToken) known = token;
    } else if (reachable_[static_cast<size_t>(token)]) {
      // emplace(), not assignment: of two tokens with the same text the first one counts, as the
      // note says. The views stay valid since bytes_ does not grow any more.
      vocabulary_.by_bytes_.emplace(bytes, token);
      vocabulary_.longest_text_ = std::max(vocabulary_.longest_text_, bytes.size());
    }
  }
  if (model_ == TokenizerModel::kBytePair) prefer_text_for_bytes();
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
