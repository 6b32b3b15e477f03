#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/unit/engine/tokenizer/tiny_vocabulary.h"

namespace potluck {
namespace {

const std::string kBad = "\xEF\xBF\xBD";

// Tokens whose bytes are these strings, valid UTF-8 or not.
class PieceTokenizer final : public Tokenizer {
 public:
  explicit PieceTokenizer(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}

  Result<std::vector<TokenId>> encode(std::string_view, SpecialTokens) const override {
    return Error{ErrorCode::kUnsupported, "only decodes"};
  }
  Result<std::vector<TokenId>> encode(std::span<const TextSegment>) const override {
    return Error{ErrorCode::kUnsupported, "only decodes"};
  }
  std::string_view bytes_of(TokenId token) const override {
    return pieces_[static_cast<size_t>(token)];
  }
  bool is_control(TokenId token) const override { return bytes_of(token) == "<control>"; }
  bool is_end(TokenId) const override { return false; }
  uint32_t vocabulary_size() const override { return static_cast<uint32_t>(pieces_.size()); }
  std::vector<TokenId> prompt_prefix() const override { return {}; }
  std::optional<TokenId> begin_token() const override { return std::nullopt; }
  std::optional<TokenId> end_token() const override { return std::nullopt; }
  bool strips_leading_space() const override { return false; }

 private:
  std::vector<std::string> pieces_;
};

std::string stream_pieces(const std::vector<std::string>& pieces) {
  std::vector<TokenId> tokens;
  for (size_t i = 0; i < pieces.size(); ++i) tokens.push_back(static_cast<TokenId>(i));
  return stream(PieceTokenizer(pieces), tokens);
}

// Calls `visit` with every way of cutting `bytes` into pieces.
template <class Visit>
void for_every_split(const std::string& bytes, const Visit& visit) {
  const size_t cuts = bytes.size() - 1;
  for (size_t mask = 0; mask < (size_t{1} << cuts); ++mask) {
    std::vector<std::string> pieces(1);
    for (size_t i = 0; i < bytes.size(); ++i) {
      pieces.back() += bytes[i];
      if (i < cuts && (mask >> i & 1) != 0) pieces.emplace_back();
    }
    visit(pieces);
  }
}

TEST(StreamingDecoder, ValidTextSurvivesEverySplit) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x99\x82z";
  for_every_split(text, [&](const auto& pieces) { ASSERT_EQ(stream_pieces(pieces), text); });
}

struct Replacement {
  std::string bytes;
  std::string text;
};

// What one U+FFFD stands for, from the Unicode Standard's tables 3-8 to 3-11 and what follows of
// them for the end of a text.
TEST(StreamingDecoder, InvalidBytesAreReplacedAlikeInEverySplit) {
  const std::vector<Replacement> cases = {
      {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41",
       kBad + kBad + kBad + kBad + kBad + kBad + kBad + kBad + "A"},
      {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42",
       kBad + kBad + kBad + kBad + kBad + "A" + kBad + kBad + "B"},
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", kBad + kBad + kBad + kBad + "A"},
      {"\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64",
       "a" + kBad + kBad + kBad + "b" + kBad + "c" + kBad + kBad + "d"},
      {"a\xF0\x9F\x99", "a" + kBad},
      {"a\xE2", "a" + kBad},
      {"\xE2\x82\xE2\x82\xAC", kBad + "\xE2\x82\xAC"},
      {"\x80\x80", kBad + kBad},
  };
  for (const Replacement& one : cases) {
    for_every_split(one.bytes,
                    [&](const auto& pieces) { ASSERT_EQ(stream_pieces(pieces), one.text); });
  }
}

TEST(StreamingDecoder, GivesACharacterAsSoonAsItIsWhole) {
  const PieceTokenizer tokenizer({"x\xF0\x9F", "\x99", "\x82y", "\xE2", "\xFF"});
  StreamingDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(0), "x");
  EXPECT_EQ(decoder.push(1), "");
  EXPECT_EQ(decoder.push(2), "\xF0\x9F\x99\x82y");
  EXPECT_EQ(decoder.push(3), "");
  EXPECT_EQ(decoder.push(4), kBad + kBad);  // neither can become a character any more
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamingDecoder, FinishGivesWhatIsLeftOnce) {
  const PieceTokenizer tokenizer({"\xF0\x9F\x99"});
  StreamingDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(0), "");
  EXPECT_EQ(decoder.finish(), kBad);
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamingDecoder, ControlTokensAreNotShown) {
  EXPECT_EQ(stream_pieces({"a", "<control>", "b"}), "ab");
  // They do not come between the bytes of a character either.
  EXPECT_EQ(stream_pieces({"\xE2\x82", "<control>", "\xAC"}), "\xE2\x82\xAC");
}

TEST(StreamingDecoder, TheSpaceThatWasAddedIsDroppedOnceAtTheBeginning) {
  const auto tokenizer = sentencepiece_vocabulary().make();
  auto tokens = encode_ok(*tokenizer, "hello t");
  EXPECT_EQ(stream(*tokenizer, tokens), "hello t");
  EXPECT_EQ(tokenizer->decode(tokens), "hello t");
  tokens.insert(tokens.begin(), 1);  // <s> in front changes nothing
  EXPECT_EQ(stream(*tokenizer, tokens), "hello t");
  EXPECT_EQ(tokenizer->decode(tokens), "hello t");
}

TEST(StreamingDecoder, AContinuationKeepsItsFirstSpace) {
  const auto tokenizer = sentencepiece_vocabulary().make();
  const auto tokens = encode_ok(*tokenizer, "hello");
  StreamingDecoder decoder(*tokenizer, StreamStart::kContinuation);
  EXPECT_EQ(decoder.push(tokens[0]), " hello");
}

TEST(StreamingDecoder, AgreesWithTheWholeDecodeOfRandomText) {
  constexpr uint64_t kSeed = 4711;
  SCOPED_TRACE(kSeed);
  const CounterRandom random(kSeed);
  for (const auto& tiny : {byte_level_vocabulary(), sentencepiece_vocabulary()}) {
    const auto tokenizer = tiny.make();
    for (uint64_t round = 0; round < 200; ++round) {
      std::string text;
      for (uint64_t i = 0; i < 50; ++i) {
        const auto code_point = static_cast<uint32_t>(random.bits(round, i) % 0x2000);
        text += utf8_of(code_point);
      }
      const auto tokens = encode_ok(*tokenizer, text);
      EXPECT_EQ(stream(*tokenizer, tokens), tokenizer->decode(tokens));
    }
  }
}

}  // namespace
}  // namespace potluck
