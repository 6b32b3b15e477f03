// The algorithm of SentencePiece's BPE mode as llama.cpp has it: merge the pair whose token has the
// best score. Any two neighbors whose text is a token may merge; there is no list of merges.
#include "engine/tokenizer/sentencepiece.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "engine/base/printable.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/visible_space.h"

namespace potluck {
namespace {

Result<std::vector<float>> read_scores(const GgufMetadata& metadata, const Vocabulary& vocabulary) {
  constexpr const char* kKey = "tokenizer.ggml.scores";
  const auto numbers = metadata.numbers(kKey);
  if (!numbers) return numbers.error();
  if (numbers->size() != vocabulary.size()) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: expected {} entries, one per token, found {}", kKey,
                             vocabulary.size(), numbers->size())};
  }
  std::vector<float> scores;
  scores.reserve(numbers->size());
  for (double number : *numbers) {
    // Written so that NaN is refused too. A NaN in the heap would break its order.
    if (!(std::abs(number) <= std::numeric_limits<float>::max())) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("{}: entry {}: expected a finite number, found {}", kKey,
                               scores.size(), number)};
    }
    scores.push_back(static_cast<float>(number));
  }
  return scores;
}

// Where the word at the beginning of `text` ends: before the first space that follows another
// character. Merging word by word keeps the heap small, but is right only if no token crosses such
// a border; words_are_separate() looks.
size_t word_length(std::string_view text) {
  const size_t first = text.find_first_not_of(' ');
  return first == std::string_view::npos ? text.size()
                                         : std::min(text.find(' ', first), text.size());
}

bool words_are_separate(const Vocabulary& vocabulary) {
  for (TokenId token = 0; vocabulary.contains(token); ++token) {
    if (vocabulary.kind(token) != TokenKind::kText) continue;
    const std::string_view bytes = vocabulary.bytes_of(token);
    if (word_length(bytes) != bytes.size()) return false;
  }
  return true;
}

}  // namespace

// Merges one word after another, on memory that is kept between them; see BytePairEncoder's merger
// for the principle. Here a pair is known by its bytes, and outdated candidates by their length:
// from the same start, the same length is the same text.
class SentencePieceEncoder::Merger {
 public:
  Merger(const SentencePieceEncoder& encoder, std::vector<TokenId>* out)
      : vocabulary_(encoder.vocabulary_), scores_(encoder.scores_), out_(*out) {}

  Status encode(std::string_view word) {
    word_ = word;
    load_characters();
    for (uint32_t i = 0; i + 1 < symbols_.size(); ++i) add_candidate(i);
    while (!heap_.empty()) merge_best();
    for (uint32_t i = 0; i != kEnd; i = symbols_[i].next) {
      if (Status status = emit(text_of(symbols_[i])); !status) return status;
    }
    return {};
  }

 private:
  static constexpr uint32_t kEnd = UINT32_MAX;

  struct Symbol {
    uint32_t begin;
    uint32_t bytes;  // 0 once it was merged into its left neighbor
    uint32_t previous;
    uint32_t next;
  };

  struct Candidate {
    float score;
    uint32_t left;
    uint32_t bytes;  // of both symbols together

    // Order of the heap, whose top is its greatest: best score, then leftmost.
    bool operator<(const Candidate& other) const {
      if (score != other.score) return score < other.score;
      return left > other.left;
    }
  };

  std::string_view text_of(const Symbol& symbol) const {
    return word_.substr(symbol.begin, symbol.bytes);
  }

  void load_characters() {
    symbols_.clear();
    uint32_t begin = 0;
    while (begin < word_.size()) {
      const auto bytes = static_cast<uint32_t>(utf8_length(word_[begin]));
      const auto index = static_cast<uint32_t>(symbols_.size());
      symbols_.push_back({begin, bytes, index - 1, index + 1});
      begin += bytes;
    }
    symbols_.front().previous = kEnd;
    symbols_.back().next = kEnd;
  }

  void add_candidate(uint32_t left) {
    const Symbol& symbol = symbols_[left];
    if (symbol.next == kEnd) return;
    const uint32_t bytes = symbol.bytes + symbols_[symbol.next].bytes;
    // Without this, hashing ever longer symbols would make a long word quadratic.
    if (bytes > vocabulary_.longest_text()) return;
    const TokenId token = vocabulary_.find_text(word_.substr(symbol.begin, bytes));
    if (token == kNoToken) return;
    heap_.push_back({scores_[static_cast<size_t>(token)], left, bytes});
    std::push_heap(heap_.begin(), heap_.end());
  }

  void merge_best() {
    const Candidate best = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
    Symbol& left = symbols_[best.left];
    if (left.bytes == 0 || left.next == kEnd) return;
    Symbol& right = symbols_[left.next];
    if (left.bytes + right.bytes != best.bytes) return;
    left.bytes = best.bytes;
    right.bytes = 0;
    left.next = right.next;
    if (left.next != kEnd) symbols_[left.next].previous = best.left;
    if (left.previous != kEnd) add_candidate(left.previous);
    add_candidate(best.left);
  }

  Status emit(std::string_view text) {
    const TokenId token = vocabulary_.find_text(text);
    if (token != kNoToken) {
      out_.push_back(token);
      return {};
    }
    // All bytes of a character or none: half a character would decode to garbage.
    const size_t before = out_.size();
    for (char c : text) {
      const TokenId byte_token = vocabulary_.byte_token(static_cast<uint8_t>(c));
      if (byte_token == kNoToken) return emit_unknown(before, text);
      out_.push_back(byte_token);
    }
    return {};
  }

  Status emit_unknown(size_t before, std::string_view text) {
    out_.resize(before);
    if (!vocabulary_.unknown_token()) {
      return Error{
          ErrorCode::kUnsupported,
          fmt::format("the vocabulary has no tokens for the character \"{}\"", printable(text))};
    }
    out_.push_back(*vocabulary_.unknown_token());
    return {};
  }

  const Vocabulary& vocabulary_;
  const std::vector<float>& scores_;
  std::vector<TokenId>& out_;
  std::string_view word_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

SentencePieceEncoder::SentencePieceEncoder(const Vocabulary& vocabulary, std::vector<float> scores,
                                           bool adds_leading_space)
    : vocabulary_(vocabulary),
      scores_(std::move(scores)),
      adds_leading_space_(adds_leading_space),
      words_are_separate_(words_are_separate(vocabulary)) {}

Result<std::unique_ptr<TextEncoder>> SentencePieceEncoder::make(const GgufMetadata& metadata,
                                                                const Vocabulary& vocabulary) {
  constexpr const char* kSpaceKey = "tokenizer.ggml.add_space_prefix";
  bool adds_leading_space = true;
  if (metadata.contains(kSpaceKey)) {
    const auto value = metadata.boolean(kSpaceKey);
    if (!value) return value.error();
    adds_leading_space = *value;
  }
  auto scores = read_scores(metadata, vocabulary);
  if (!scores) return scores.error();
  return std::unique_ptr<TextEncoder>(
      new SentencePieceEncoder(vocabulary, std::move(*scores), adds_leading_space));
}

Status SentencePieceEncoder::encode(std::string_view text, bool starts,
                                    std::vector<TokenId>* out) const {
  // Vocabulary gives the marks for spaces as plain spaces, so here they become one as well.
  const std::string plain = (starts && adds_leading_space_ ? " " : "") + with_plain_spaces(text);
  std::string_view rest = plain;
  Merger merger(*this, out);
  while (!rest.empty()) {
    const size_t length = words_are_separate_ ? word_length(rest) : rest.size();
    if (Status status = merger.encode(rest.substr(0, length)); !status) return status;
    rest.remove_prefix(length);
  }
  return {};
}

}  // namespace potluck
