// Byte-pair encoding after Sennrich et al. (2016), on bytes as in GPT-2. The work per word is a
// linked list of symbols and a heap of possible merges; memory is kept from word to word.
#include "engine/tokenizer/bpe.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/base/printable.h"
#include "engine/tokenizer/byte_alphabet.h"

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
  explicit MergeReader(const Vocabulary& vocabulary)
      : vocabulary_(vocabulary), names_(names_of(vocabulary)) {}

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
    const auto bytes = decode_byte_alphabet(text);
    const TokenId token = bytes ? vocabulary_.find_text(*bytes) : kNoToken;
    if (token == kNoToken && !names_.contains(text)) return std::nullopt;
    return token;
  }

  const Vocabulary& vocabulary_;
  std::unordered_set<std::string_view> names_;
  size_t unknown_ = 0;
  size_t first_unknown_ = 0;
};

Result<MergeTable> read_merges(const GgufMetadata& metadata, const Vocabulary& vocabulary,
                               std::vector<std::string>* notes) {
  const auto texts = metadata.texts(kMergesKey);
  if (!texts) return texts.error();
  if (texts->size() > kMostMerges) {
    return Error{ErrorCode::kLimit, fmt::format("{}: at most {} entries, found {}", kMergesKey,
                                                kMostMerges, texts->size())};
  }
  return MergeReader(vocabulary).read(*texts, notes);
}

}  // namespace

// Merges one word after another, on memory that is kept between them. The symbols of a word form a
// linked list; a heap holds the merges that neighbors allow. A merge leaves outdated candidates in
// the heap: they are known by symbols that have changed since. O(n log n) for a word of n bytes;
// looking for the best pair after each merge would be O(n^2), and a megabyte without a space is one
// word.
class BytePairEncoder::WordMerger {
 public:
  WordMerger(const BytePairEncoder& encoder, std::vector<TokenId>* out)
      : vocabulary_(encoder.vocabulary_),
        merges_(encoder.merges_),
        keeps_whole_tokens_(encoder.pre_tokenizer_.keeps_whole_tokens()),
        out_(*out) {}

  Status encode(std::string_view word) {
    // Llama 3 ("ignore_merges"): some of its tokens are words that no sequence of merges makes.
    if (keeps_whole_tokens_) {
      const TokenId whole = vocabulary_.find_text(word);
      if (whole != kNoToken) {
        out_.push_back(whole);
        return {};
      }
    }
    if (Status status = load_bytes(word); !status) return status;
    for (uint32_t i = 0; i + 1 < symbols_.size(); ++i) add_candidate(i);
    while (!heap_.empty()) merge_best();
    for (uint32_t i = 0; i != kEnd; i = symbols_[i].next) out_.push_back(symbols_[i].token);
    return {};
  }

 private:
  static constexpr uint32_t kEnd = UINT32_MAX;

  struct Symbol {
    TokenId token;  // kNoToken once it was merged into its left neighbor
    uint32_t previous;
    uint32_t next;
  };

  struct Candidate {
    Merge merge;
    uint32_t left;
    TokenId left_token;
    TokenId right_token;

    // Order of the heap, whose top is its greatest: lowest rank, then leftmost. Leftmost among
    // equals is what the reference implementations do: in "aaa" the first two merge.
    bool operator<(const Candidate& other) const {
      if (merge.rank != other.merge.rank) return merge.rank > other.merge.rank;
      return left > other.left;
    }
  };

  Status load_bytes(std::string_view word) {
    symbols_.clear();
    for (uint32_t i = 0; i < word.size(); ++i) {
      const auto byte = static_cast<uint8_t>(word[i]);
      TokenId token = vocabulary_.byte_token(byte);
      // Published vocabularies have all 256 bytes. A cut one may lack some, and then the unknown
      // token has to do.
      if (token == kNoToken) token = vocabulary_.unknown_token().value_or(kNoToken);
      if (token == kNoToken) {
        return Error{ErrorCode::kUnsupported,
                     fmt::format("the vocabulary has no token for the byte 0x{:02X}", byte)};
      }
      symbols_.push_back({token, i - 1, i + 1});
    }
    symbols_.front().previous = kEnd;
    symbols_.back().next = kEnd;
    return {};
  }

  void add_candidate(uint32_t left) {
    const Symbol& symbol = symbols_[left];
    if (symbol.next == kEnd) return;
    const TokenId right_token = symbols_[symbol.next].token;
    const Merge* merge = merges_.find(symbol.token, right_token);
    if (merge == nullptr) return;
    heap_.push_back({*merge, left, symbol.token, right_token});
    std::push_heap(heap_.begin(), heap_.end());
  }

  void merge_best() {
    const Candidate best = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
    Symbol& left = symbols_[best.left];
    // Symbols only grow, so the same tokens mean that nothing has happened to the pair.
    if (left.token != best.left_token || left.next == kEnd) return;
    Symbol& right = symbols_[left.next];
    if (right.token != best.right_token) return;
    left.token = best.merge.merged;
    right.token = kNoToken;
    left.next = right.next;
    if (left.next != kEnd) symbols_[left.next].previous = best.left;
    // Only the merged symbol has new neighbors, so only these two pairs are new.
    if (left.previous != kEnd) add_candidate(left.previous);
    add_candidate(best.left);
  }

  const Vocabulary& vocabulary_;
  const MergeTable& merges_;
  bool keeps_whole_tokens_;
  std::vector<TokenId>& out_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

Result<std::unique_ptr<TextEncoder>> BytePairEncoder::make(const GgufMetadata& metadata,
                                                           const Vocabulary& vocabulary,
                                                           std::vector<std::string>* notes) {
  constexpr const char* kPreKey = "tokenizer.ggml.pre";
  // Files from before April 2024 lack the key; their converter knew only this rule set.
  std::string name = "default";
  if (metadata.contains(kPreKey)) {
    auto text = metadata.text(kPreKey);
    if (!text) return text.error();
    name = std::move(*text);
  }
  auto pre_tokenizer = PreTokenizer::make(name);
  if (!pre_tokenizer) return pre_tokenizer.error();
  auto merges = read_merges(metadata, vocabulary, notes);
  if (!merges) return merges.error();
  return std::unique_ptr<TextEncoder>(
      new BytePairEncoder(vocabulary, std::move(*pre_tokenizer), std::move(*merges)));
}

BytePairEncoder::BytePairEncoder(const Vocabulary& vocabulary, PreTokenizer pre_tokenizer,
                                 MergeTable merges)
    : vocabulary_(vocabulary),
      pre_tokenizer_(std::move(pre_tokenizer)),
      merges_(std::move(merges)) {
  if (pre_tokenizer_.composes()) composer_.emplace();
}

Status BytePairEncoder::encode(std::string_view text, bool, std::vector<TokenId>* out) const {
  std::string buffer;
  if (composer_) text = composer_->compose(text, &buffer);
  WordMerger merger(*this, out);
  return pre_tokenizer_.split(text, [&](std::string_view word) { return merger.encode(word); });
}

}  // namespace potluck
