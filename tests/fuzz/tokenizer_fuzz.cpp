// Arbitrary text through every pre-tokenizer and both kinds of vocabulary: accepted text
// comes back byte for byte (or composed, where the model composes), streaming agrees, and no
// control token comes out of text. Arbitrary bytes as names, types and merges of a vocabulary: an
// error, or a tokenizer that works.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/tokenizer/pre_tokenizer_table.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

struct Subject {
  std::unique_ptr<Tokenizer> tokenizer;
  bool returns_text;  // decoding gives the text as it was
};

std::vector<Subject> make_subjects() {
  std::vector<Subject> subjects;
  for (const PreTokenizerRow& row : pre_tokenizer_table()) {
    auto tiny = byte_level_vocabulary();
    tiny.pre = row.names.substr(0, row.names.find(' '));
    subjects.push_back({tiny.make(), !row.composes});
  }
  subjects.push_back({sentencepiece_vocabulary().make(), false});
  return subjects;
}

void check_text(const Subject& subject, std::string_view text) {
  const Tokenizer& tokenizer = *subject.tokenizer;
  const auto tokens = tokenizer.encode(text, SpecialTokens::kAsText);
  const auto parsed = tokenizer.encode(text, SpecialTokens::kParse);
  CHECK(tokens.ok() == parsed.ok());
  if (!tokens) return;
  for (TokenId token : *tokens) CHECK(!tokenizer.is_control(token));
  const std::string decoded = tokenizer.decode(*tokens);
  if (subject.returns_text) CHECK(decoded == text);
  CHECK(stream(tokenizer, *tokens) == decoded);
  // Encoding what was decoded changes nothing any more.
  CHECK(encode_ok(tokenizer, decoded) == *tokens);
}

void check_tokens(const Subject& subject, std::string_view bytes) {
  std::vector<TokenId> tokens;
  for (size_t i = 0; i + 2 <= bytes.size(); i += 2) {
    tokens.push_back(static_cast<uint8_t>(bytes[i]) | static_cast<uint8_t>(bytes[i + 1]) << 8);
  }
  const std::string text = stream(*subject.tokenizer, tokens);
  CHECK(subject.tokenizer->encode(text, SpecialTokens::kAsText).ok());  // it is valid UTF-8
}

// Lines of the input become tokens, each with a type, and merges.
void check_vocabulary(std::string_view bytes) {
  auto tiny = bytes.size() % 2 == 0 ? byte_level_vocabulary() : sentencepiece_vocabulary();
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    const std::string line(bytes.substr(0, end));
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (line.empty()) continue;
    const auto type = static_cast<int64_t>(line[0] & 7);
    if (line[0] & 8) {
      tiny.merges.push_back(line.substr(1));
    } else {
      tiny.add(line.substr(1), type, line[0]);
    }
    if (line[0] & 64) tiny.set("bos_token_id", static_cast<uint64_t>(tiny.texts.size()));
  }
  const auto made = make_tokenizer(tiny.metadata());
  if (!made) {
    CHECK(!made.error().message.empty());
    return;
  }
  std::string names;
  for (const std::string& text : tiny.texts) names += text;
  const auto tokens = (*made)->encode(names, SpecialTokens::kAsText);
  CHECK(tokens.ok());
  for (TokenId token : *tokens) CHECK(!(*made)->is_control(token));
  CHECK((*made)->encode(names, SpecialTokens::kParse).ok());
}

}  // namespace
}  // namespace potluck

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<potluck::Subject> subjects = potluck::make_subjects();
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] % 8 == 0) {
    potluck::check_vocabulary(bytes);
    return 0;
  }
  const auto& subject = subjects[data[0] / 8 % subjects.size()];
  potluck::check_text(subject, bytes);
  potluck::check_tokens(subject, bytes);
  return 0;
}
