// Hand-built vocabularies for tests and the fuzz target, and small helpers around them. Test code,
// one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/gguf/gguf.h"
#include "engine/tokenizer/tokenizer.h"

namespace potluck {

enum TokenType : int64_t {
  kNormalType = 1,
  kUnknownType = 2,
  kControlType = 3,
  kUserType = 4,
  kUnusedType = 5,
  kByteType = 6,
};

struct TinyVocabulary {
  std::string model = "gpt2";
  std::string pre = "gpt-2";
  std::vector<std::string> texts;
  std::vector<int64_t> types;
  std::vector<double> scores;
  std::vector<std::string> merges;
  std::vector<std::pair<std::string, MetadataValue>> others;

  TokenId add(std::string text, int64_t type = kNormalType, double score = 0) {
    texts.push_back(std::move(text));
    types.push_back(type);
    scores.push_back(score);
    return static_cast<TokenId>(texts.size()) - 1;
  }

  // Adds the merge and, where it is new, the token it makes.
  void merge(const std::string& left, const std::string& right) {
    merges.push_back(left + " " + right);
    for (const std::string& text : texts) {
      if (text == left + right) return;
    }
    add(left + right);
  }

  void set(const std::string& key, MetadataValue value) {
    others.emplace_back("tokenizer.ggml." + key, std::move(value));
  }

  GgufMetadata metadata() const {
    GgufMetadata made;
    made.insert("tokenizer.ggml.model", model);
    made.insert("tokenizer.ggml.tokens", MetadataArray(texts));
    made.insert("tokenizer.ggml.token_type", MetadataArray(types));
    if (model == "llama") made.insert("tokenizer.ggml.scores", MetadataArray(scores));
    if (model == "gpt2") made.insert("tokenizer.ggml.pre", pre);
    if (model != "llama") made.insert("tokenizer.ggml.merges", MetadataArray(merges));
    for (const auto& [key, value] : others) made.insert(key, value);
    return made;
  }

  std::unique_ptr<Tokenizer> make() const {
    auto tokenizer = make_tokenizer(metadata());
    CHECK(tokenizer.ok());
    return std::move(*tokenizer);
  }
};

inline std::string utf8_of(uint32_t code_point) {
  auto byte = [](uint32_t value) { return static_cast<char>(value); };
  if (code_point < 0x80) return {byte(code_point)};
  if (code_point < 0x800) return {byte(0xC0 | code_point >> 6), byte(0x80 | (code_point & 0x3F))};
  if (code_point < 0x10000) {
    return {byte(0xE0 | code_point >> 12), byte(0x80 | (code_point >> 6 & 0x3F)),
            byte(0x80 | (code_point & 0x3F))};
  }
  return {byte(0xF0 | code_point >> 18), byte(0x80 | (code_point >> 12 & 0x3F)),
          byte(0x80 | (code_point >> 6 & 0x3F)), byte(0x80 | (code_point & 0x3F))};
}

// How byte-level vocabularies write a byte: the three runs of printing characters as themselves,
// the rest from U+0100 on.
inline std::string alphabet_of(uint8_t byte) {
  uint32_t skipped = 0;
  for (uint32_t b = 0; b < 256; ++b) {
    const bool prints = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    if (b == byte) return utf8_of(prints ? b : 0x100 + skipped);
    skipped += prints ? 0 : 1;
  }
  return {};
}

inline std::string alphabet_of(std::string_view bytes) {
  std::string written;
  for (char c : bytes) written += alphabet_of(static_cast<uint8_t>(c));
  return written;
}

// Ids: 0 to 255 the bytes, then <|endoftext|> 256 (control, end), <|im_start|> 257 and <|im_end|>
// 258 (control), <think> 259 (user-defined), then merges: "th" 260, "the", " the", "in", ...
inline TinyVocabulary byte_level_vocabulary() {
  TinyVocabulary tiny;
  for (int byte = 0; byte < 256; ++byte) tiny.add(alphabet_of(static_cast<uint8_t>(byte)));
  tiny.set("eos_token_id", uint64_t(tiny.add("<|endoftext|>", kControlType)));
  tiny.add("<|im_start|>", kControlType);
  tiny.add("<|im_end|>", kControlType);
  tiny.add("<think>", kUserType);
  const std::string space = alphabet_of(" ");
  tiny.merge("t", "h");
  tiny.merge("th", "e");
  tiny.merge(space, "the");
  tiny.merge("i", "n");
  tiny.merge(space, space);
  tiny.merge("a", "a");
  tiny.merge("aa", "aa");
  tiny.merge(alphabet_of("\xE2\x82"), alphabet_of("\xAC"));  // never applies before the next one
  tiny.merge(alphabet_of("\xE2"), alphabet_of("\x82"));
  return tiny;
}

// Ids: <unk> 0, <s> 1, </s> 2, the bytes 3 to 258, then characters and words.
inline TinyVocabulary sentencepiece_vocabulary() {
  TinyVocabulary tiny;
  tiny.model = "llama";
  tiny.add("<unk>", kUnknownType);
  tiny.add("<s>", kControlType);
  tiny.add("</s>", kControlType);
  const std::string_view hex = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    tiny.add(std::string("<0x") + hex[byte >> 4] + hex[byte & 15] + ">", kByteType);
  }
  const std::string mark = "\xE2\x96\x81";
  for (const std::string text : {"h", "e", "l", "o", "t", "a"}) tiny.add(text, kNormalType, -90);
  tiny.add(mark, kNormalType, -91);
  tiny.add("he", kNormalType, -3);
  tiny.add("ll", kNormalType, -2);
  tiny.add("llo", kNormalType, -4);
  tiny.add("hello", kNormalType, -5);
  tiny.add(mark + "hello", kNormalType, -6);
  tiny.add(mark + "t", kNormalType, -7);
  tiny.add(mark + mark, kNormalType, -1);
  return tiny;
}

// Ids: <pad> 0, <eos> 1, <bos> 2, <unk> 3, <|turn> 4, <turn|> 5 (control), the bytes 6 to 261, then
// characters, then what merges make of them.
inline TinyVocabulary character_pair_vocabulary() {
  TinyVocabulary tiny;
  tiny.model = "gemma4";
  for (const char* name : {"<pad>", "<eos>", "<bos>"}) tiny.add(name, kControlType);
  tiny.add("<unk>", kUnknownType);
  for (const char* name : {"<|turn>", "<turn|>"}) tiny.add(name, kControlType);
  tiny.set("eos_token_id", uint64_t{1});
  tiny.set("bos_token_id", uint64_t{2});
  tiny.set("unknown_token_id", uint64_t{3});
  const std::string_view hex = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    tiny.add(std::string("<0x") + hex[byte >> 4] + hex[byte & 15] + ">", kByteType);
  }
  const std::string mark = "\xE2\x96\x81";
  for (const std::string& text :
       {std::string("h"), std::string("e"), std::string("l"), std::string("o"), std::string("\n"),
        mark, std::string("\xC3\xA9")}) {
    tiny.add(text);
  }
  tiny.merge("l", "l");
  tiny.merge("h", "e");
  tiny.merge(mark, "he");
  tiny.merge("he", "ll");
  tiny.merge("hell", "o");
  tiny.merge(mark, mark);
  tiny.merge("\n", "\n");
  tiny.add("\n\n\n\n");  // no merges make it
  return tiny;
}

inline std::vector<TokenId> encode_ok(const Tokenizer& tokenizer, std::string_view text,
                                      SpecialTokens special = SpecialTokens::kAsText) {
  auto tokens = tokenizer.encode(text, special);
  CHECK(tokens.ok());
  return *tokens;
}

inline std::string stream(const Tokenizer& tokenizer, std::span<const TokenId> tokens) {
  StreamingDecoder decoder(tokenizer);
  std::string text;
  for (TokenId token : tokens) text += decoder.push(token);
  return text + decoder.finish();
}

}  // namespace potluck
