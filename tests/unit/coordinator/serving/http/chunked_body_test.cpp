#include "coordinator/serving/http/chunked_body.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

constexpr size_t kLineBytes = 32;
constexpr uint64_t kChunkedBytes = 100;

// The content; with a number in front the status of a refusal, or "more" where more is wanted.
std::string read_in_pieces(std::string_view bytes, size_t piece) {
  ChunkedBody chunks(kLineBytes, kChunkedBytes);
  std::string body;
  std::string waiting;
  size_t used = 0;
  for (size_t i = 0; i < bytes.size() && !chunks.done() && !chunks.refusal(); i += piece) {
    waiting += bytes.substr(i, piece);
    const size_t taken = chunks.take(waiting, &body);
    waiting.erase(0, taken);
    used += taken;
  }
  if (chunks.refusal()) return std::to_string(chunks.refusal()->status);
  if (!chunks.done()) return "more " + body;
  return body + "|" + std::string(bytes.substr(used));
}

TEST(ChunkedBody, IsTheSameInWhateverPieces) {
  const std::pair<std::string, std::string> cases[] = {
      {"0\r\n\r\n", "|"},
      {"3\r\nabc\r\n00\r\n\r\nGET /", "abc|GET /"},
      {"1;a=\"\r\nb\r\n0\r\n\r\n", "b|"},
      {"a ; x\r\n0123456789\r\nB\r\n0123456789A\r\n0\r\n\r\n", "01234567890123456789A|"},
      {"3\r\nab", "more ab"},
      {"3", "more "},
      {"\r\n", "400"},
      {"-1\r\n", "400"},
      {"0x1\r\n", "400"},
      {"1\nb", "400"},
      {"1\r\nbc", "400"},
      {"1\r\nb\rc", "400"},
      {"1;\x01\r\n", "400"},
      {"0\r\nA: b\r\n\r\n", "400"},
      {"65\r\n", "413"},
      {"ffffffffffffffffff\r\n", "413"},
      {"64\r\n" + std::string(100, 'x') + "\r\n1\r\n", "413"},
      {"1;" + std::string(40, 'x'), "413"},
  };
  for (const auto& [bytes, expected] : cases) {
    for (const size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, bytes.size()}) {
      std::string got = read_in_pieces(bytes, piece);
      // What lies behind the end is taken over by the next request, however much of it has come.
      EXPECT_EQ(got, expected) << bytes << " by " << piece;
    }
  }
}

}  // namespace
}  // namespace potluck
