// Tokenizer: text to token ids and back, as the model file's vocabulary defines it. Immutable after
// make_tokenizer(); const methods may be called from any thread at once. StreamingDecoder belongs
// to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/text_segment.h"
#include "engine/gguf/gguf.h"

namespace potluck {

using TokenId = int32_t;

// Whether names of special tokens in the text ("<|im_end|>") become those tokens. User text is
// always kAsText: it can never become a control token.
enum class SpecialTokens { kAsText, kParse };

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Nothing is added (no begin-of-text). Invalid UTF-8 is an error that names the byte offset.
  virtual Result<std::vector<TokenId>> encode(std::string_view text,
                                              SpecialTokens special) const = 0;

  // The segments as one text: words and merges cross their borders. Names of control tokens become
  // those tokens where they lie in template text as a whole.
  virtual Result<std::vector<TokenId>> encode(std::span<const TextSegment> segments) const = 0;

  // The bytes a token stands for; special tokens give their name. Ids out of range give nothing.
  virtual std::string_view bytes_of(TokenId token) const = 0;

  // A token that controls the conversation rather than being text, and the one that stands for what
  // the vocabulary cannot express: not shown to users.
  virtual bool is_control(TokenId token) const = 0;
  // Generation stops here (end of text, end of turn).
  virtual bool is_end(TokenId token) const = 0;

  virtual uint32_t vocabulary_size() const = 0;
  // What the model file asks to put in front of a prompt: a begin-of-text token or nothing.
  virtual std::vector<TokenId> prompt_prefix() const = 0;
  // The tokens that templates know as bos_token and eos_token, where the file names them.
  virtual std::optional<TokenId> begin_token() const = 0;
  virtual std::optional<TokenId> end_token() const = 0;
  // SentencePiece-style vocabularies write a space before the first word; decoding drops it.
  virtual bool strips_leading_space() const = 0;
  // What is odd about the vocabulary of the file, and how it was taken: for the user to know. Whole
  // sentences without a full stop.
  virtual std::span<const std::string> notes() const { return {}; }

  // All bytes of all tokens, control tokens left out.
  std::string decode(std::span<const TokenId> tokens) const;
};

// Reads tokenizer.ggml.* metadata. Unknown tokenizers and pre-tokenizers are refused by name, with
// the list of known ones. What is wrong but can do no harm becomes a note of the tokenizer.
Result<std::unique_ptr<Tokenizer>> make_tokenizer(const GgufMetadata& metadata);

// Whether a stream of tokens begins a text or goes on where a prompt has ended. It matters for
// tokenizers that strip the leading space: only the one at the beginning of a text was added.
enum class StreamStart { kText, kContinuation };

// Turns tokens into text as they come, never cutting a UTF-8 character: bytes of an unfinished
// character are held back; what can never become a character is replaced by U+FFFD.
class StreamingDecoder {
 public:
  explicit StreamingDecoder(const Tokenizer& tokenizer, StreamStart start = StreamStart::kText)
      : tokenizer_(tokenizer), at_start_(start == StreamStart::kText) {}

  std::string push(TokenId token);  // whole characters that are now certain
  std::string finish();             // what is left at the end

 private:
  const Tokenizer& tokenizer_;
  std::string pending_;
  bool at_start_;
};

}  // namespace potluck
