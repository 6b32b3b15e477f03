// Byte-pair encoding after Sennrich et al. (2016), on bytes as in GPT-2.
#include "engine/tokenizer/bpe.h"

#include <string_view>

#include <fmt/format.h>

#include "engine/tokenizer/merge_reader.h"
#include "engine/tokenizer/pair_merger.h"

namespace potluck {

// Merges one word after another, on memory that is kept between them.
class BytePairEncoder::WordMerger {
 public:
  WordMerger(const BytePairEncoder& encoder, std::vector<TokenId>* out)
      : vocabulary_(encoder.vocabulary_),
        keeps_whole_tokens_(encoder.pre_tokenizer_.keeps_whole_tokens()),
        merger_(encoder.merges_),
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
    merger_.merge(&out_);
    return {};
  }

 private:
  Status load_bytes(std::string_view word) {
    merger_.clear();
    for (char c : word) {
      const auto byte = static_cast<uint8_t>(c);
      TokenId token = vocabulary_.byte_token(byte);
      // Published vocabularies have all 256 bytes. A cut one may lack some, and then the unknown
      // token has to do.
      if (token == kNoToken) token = vocabulary_.unknown_token().value_or(kNoToken);
      if (token == kNoToken) {
        return Error{ErrorCode::kUnsupported,
                     fmt::format("the vocabulary has no token for the byte 0x{:02X}", byte)};
      }
      merger_.add(token);
    }
    return {};
  }

  const Vocabulary& vocabulary_;
  bool keeps_whole_tokens_;
  PairMerger merger_;
  std::vector<TokenId>& out_;
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
  auto merges = read_merges(metadata, TokenizerModel::kBytePair, vocabulary, notes);
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
