// CallMark: a text that models write around the parts of a call, such as "<tool_call>". It is read
// as its pieces: names in angle or square brackets, words, single characters. White space between
// them is of no account, since models vary it. Immutable; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace potluck {

// The pieces of a text, and where each stands.
struct MarkPiece {
  size_t begin = 0;
  size_t end = 0;
};
std::vector<MarkPiece> mark_pieces(std::string_view text);
// "<name>", "[NAME]": what may also be one token of the vocabulary.
bool is_bracketed(std::string_view piece);

class CallMark {
 public:
  struct Match {
    enum class Kind : uint8_t {
      kNo,
      kPartial,  // the text ends before it is decided
      kFull,
    };
    Kind kind = Kind::kNo;
    size_t size = 0;  // bytes, with the white space in front; of a full match
    bool full() const { return kind == Kind::kFull; }
    bool partial() const { return kind == Kind::kPartial; }
  };

  CallMark() = default;
  explicit CallMark(std::string_view text);

  bool empty() const { return pieces_.empty(); }
  // Unlikely in an ordinary text: begins with a name in brackets, or part of one.
  bool is_strong() const;
  const std::vector<std::string>& pieces() const { return pieces_; }
  // Without its first pieces.
  CallMark from(size_t piece) const;

  // What `text` begins with, white space aside. An empty mark is everywhere.
  Match match(std::string_view text) const;
  // The same, if it may be without its first pieces, but not without all.
  Match match_end(std::string_view text) const;

  struct Found {
    size_t at = std::string_view::npos;  // of its first piece
    Match match;
  };
  // The first place at or behind `from` where it stands or may still come to stand.
  Found find(std::string_view text, size_t from) const;

 private:
  std::vector<std::string> pieces_;
};

}  // namespace potluck
