// Python's operations on text, on bytes with marks. Positions are found in plain bytes and then cut
// out of the marked text, so each byte keeps its mark.
#include "engine/template/text_operations.h"

#include <algorithm>
#include <utility>

#include "engine/base/utf8.h"
#include "engine/template/characters.h"
#include "engine/template/operators.h"
#include "engine/template/serialize.h"

namespace potluck {
namespace {

// Whether the first character of `rest` is one of `characters`.
bool begins_with_one_of(std::string_view rest, std::string_view characters) {
  const std::string_view first = rest.substr(0, utf8_length(rest[0]));
  return find_text(characters, first, 0).has_value();
}

size_t last_character(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (text[begin] & 0xC0) == 0x80) --begin;
  return begin;
}

using Ranges = BudgetVector<ByteRange>;

Ranges split_at_spaces(std::string_view text, int64_t count, Budget* budget) {
  Ranges pieces(budget);
  std::string_view rest = strip_left(text);
  while (!rest.empty() && !budget->exceeded()) {
    const size_t begin = text.size() - rest.size();
    if (count >= 0 && pieces.size() == static_cast<size_t>(count)) {
      pieces.push_back({begin, text.size()});  // spaces at its end stay
      break;
    }
    while (!rest.empty() && !is_space(decode_utf8(rest))) rest.remove_prefix(utf8_length(rest[0]));
    pieces.push_back({begin, text.size() - rest.size()});
    rest = strip_left(rest);
  }
  return pieces;
}

Ranges split_at(std::string_view text, std::string_view separator, int64_t count, Budget* budget) {
  Ranges pieces(budget);
  size_t begin = 0;
  while (!budget->exceeded() && (count < 0 || pieces.size() < static_cast<size_t>(count))) {
    const auto found = find_text(text, separator, begin);
    if (!found) break;
    pieces.push_back({begin, *found});
    begin = *found + separator.size();
  }
  pieces.push_back({begin, text.size()});
  return pieces;
}

// Makes at most `count` cuts, searching from the right; the rest stays whole.
Ranges split_at_from_right(std::string_view text, std::string_view separator, int64_t count,
                           Budget* budget) {
  Ranges pieces(budget);
  size_t end = text.size();
  while (!budget->exceeded() && (count < 0 || pieces.size() < static_cast<size_t>(count))) {
    const size_t found = end < separator.size() ? std::string_view::npos
                                                : text.rfind(separator, end - separator.size());
    if (found == std::string_view::npos) break;
    pieces.push_back({found + separator.size(), end});
    end = found;
  }
  pieces.push_back({0, end});
  pieces.reverse();
  return pieces;
}

Ranges split_at_spaces_from_right(std::string_view text, int64_t count, Budget* budget) {
  Ranges pieces = split_at_spaces(text, -1, budget);
  if (count < 0 || pieces.size() <= static_cast<size_t>(count) || budget->exceeded()) return pieces;
  const size_t joined = pieces.size() - static_cast<size_t>(count);
  Ranges kept(budget);
  kept.push_back({0, pieces[joined - 1].end});  // spaces at its beginning stay
  for (size_t i = joined; i < pieces.size(); ++i) kept.push_back(pieces[i]);
  return kept;
}

// Each character through `change`, which must keep its length; marks stay where they are.
template <class Change>
MarkedText map_characters(const MarkedText& text, const Change& change, Budget* budget) {
  // Appended in pieces: a call per character would spend a step for each.
  constexpr size_t kPieceBytes = 1024;
  MarkedText out(budget);
  out.reserve(text.size());
  for (size_t i = 0; i < text.segment_count() && !budget->exceeded(); ++i) {
    const TextSegment segment = text.segment(i);
    std::string_view rest = segment.text;
    std::string piece;
    while (!rest.empty() && !budget->exceeded()) {
      append_utf8(change(decode_utf8(rest)), &piece);
      rest.remove_prefix(utf8_length(rest[0]));
      if (piece.size() < kPieceBytes && !rest.empty()) continue;
      out.append(piece, segment.trust);
      piece.clear();
    }
  }
  return out;
}

// The first character, and each behind others that `separates`, large; all others small.
template <class Separates>
MarkedText capitalize_behind(const MarkedText& text, const Separates& separates, Budget* budget) {
  bool starts = true;
  const auto change = [&](uint32_t character) {
    const bool large = std::exchange(starts, separates(character));
    return large ? to_upper(character) : to_lower(character);
  };
  return map_characters(text, change, budget);
}

}  // namespace

MarkedText strip(const MarkedText& text, Ends ends, const MarkedText* characters, Budget* budget) {
  budget->spend_text(text.size());
  std::string_view rest = text.bytes();
  if (characters == nullptr) {
    if (ends != Ends::kRight) rest = strip_left(rest);
    const size_t begin = text.size() - rest.size();
    if (ends != Ends::kLeft) rest = strip_right(rest);
    return text.slice(begin, begin + rest.size(), budget);
  }
  const std::string_view set = characters->bytes();
  size_t begin = 0;
  size_t end = text.size();
  while (ends != Ends::kRight && begin < end && begins_with_one_of(rest.substr(begin), set)) {
    begin += utf8_length(rest[begin]);
    budget->spend_text(set.size());
    if (budget->exceeded()) break;
  }
  while (ends != Ends::kLeft && begin < end) {
    const size_t last = last_character(rest.substr(0, end));
    if (!begins_with_one_of(rest.substr(last, end - last), set)) break;
    end = last;
    budget->spend_text(set.size());
    if (budget->exceeded()) break;
  }
  return text.slice(begin, end, budget);
}

Result<MarkedText> replace(const MarkedText& text, const MarkedText& from, const MarkedText& to,
                           int64_t count, Budget* budget) {
  MarkedText out(budget);
  size_t done = 0;
  size_t search = 0;
  // Charged before the work: what a search costs does not depend on what it finds.
  budget->spend_text(text.size() + from.size());
  for (int64_t replaced = 0; count < 0 || replaced < count; ++replaced) {
    const auto found = find_text(text.bytes(), from.bytes(), search);
    if (!found) break;
    out.append(text, done, *found);
    out.append(to);
    budget->spend_text(from.size());
    if (Status status = budget->check(); !status) return status.error();
    done = *found + from.size();
    search = done;
    if (!from.empty()) continue;
    // An empty text is found in front of every character and at the end.
    if (done == text.size()) break;
    search = done + utf8_length(text.bytes()[done]);
  }
  out.append(text, done, text.size());
  return out;
}

Result<Value> split(const MarkedText& text, const MarkedText* separator, int64_t count,
                    bool from_right, Heap* heap) {
  Budget* budget = &heap->budget();
  budget->spend_text(text.size());
  Ranges ranges(budget);
  if (separator == nullptr) {
    ranges = from_right ? split_at_spaces_from_right(text.bytes(), count, budget)
                        : split_at_spaces(text.bytes(), count, budget);
  } else if (separator->empty()) {
    return Error{ErrorCode::kInvalidArgument, "split: the separator is empty"};
  } else if (from_right && count >= 0) {
    // rfind() compares at every place, so the work is the product of both lengths.
    if (separator->size() > 64) {
      return Error{ErrorCode::kLimit, "rsplit: a separator of more than 64 bytes"};
    }
    // Comparing at every place may take the product of both lengths.
    budget->spend_text(text.size() * separator->size());
    if (Status status = budget->check(); !status) return status.error();
    ranges = split_at_from_right(text.bytes(), separator->bytes(), count, budget);
  } else {
    ranges = split_at(text.bytes(), separator->bytes(), count, budget);
  }
  Values pieces = heap->values();
  for (const ByteRange& range : ranges) {
    pieces.push_back(heap->text(text.slice(range.begin, range.end, budget)));
    if (Status status = budget->check(); !status) return status.error();
  }
  return heap->list(std::move(pieces));
}

Result<MarkedText> join(const Values& items, const MarkedText& separator, Heap* heap) {
  MarkedText out = heap->blank();
  bool first = true;
  for (const Value& item : items) {
    auto text = to_text(item, heap);
    if (!text) return text.error();
    if (!first) out.append(separator);
    first = false;
    out.append(**text);
    if (Status status = heap->budget().check(); !status) return status.error();
  }
  return out;
}

Result<MarkedText> indent(const MarkedText& text, const MarkedText& prefix, bool first, bool blank,
                          Budget* budget) {
  MarkedText out(budget);
  budget->spend_text(text.size());
  Lines lines(text.bytes());
  size_t end = 0;  // of the line before
  for (size_t i = 0;; ++i) {
    auto line = lines.next();
    // Treats the text as if one more line end followed: the last line of "a\n" is an empty one.
    const bool is_last = !line;
    if (is_last) {
      const bool ends_open = end == text.size() || text.bytes().back() == '\r';
      if (i > 0 && ends_open) return out;
      line = ByteRange{text.size(), text.size()};
    }
    if (i > 0) out.append("\n", text.trust_at(line->begin > 0 ? line->begin - 1 : 0));
    const bool is_empty = line->begin == line->end;
    if (i == 0 ? first : blank || !is_empty) out.append(prefix);
    out.append(text, line->begin, line->end);
    if (Status status = budget->check(); !status) return status.error();
    if (is_last) return out;
    end = line->end;
  }
}

MarkedText upper(const MarkedText& text, Budget* budget) {
  return map_characters(text, to_upper, budget);
}

MarkedText lower(const MarkedText& text, Budget* budget) {
  return map_characters(text, to_lower, budget);
}

MarkedText capitalize(const MarkedText& text, Budget* budget) {
  return capitalize_behind(
      text, [](uint32_t) { return false; }, budget);
}

MarkedText title(const MarkedText& text, Budget* budget) {
  const auto is_no_letter = [](uint32_t c) { return to_upper(c) == to_lower(c); };
  return capitalize_behind(text, is_no_letter, budget);
}

MarkedText title_words(const MarkedText& text, Budget* budget) {
  const auto separates = [](uint32_t c) {
    return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  };
  return capitalize_behind(text, separates, budget);
}

MarkedText reverse(const MarkedText& text, Budget* budget) {
  MarkedText out(budget);
  out.reserve(text.size());
  for (size_t end = text.size(); end > 0 && !budget->exceeded();) {
    const size_t begin = last_character(text.bytes().substr(0, end));
    out.append(text, begin, end);
    end = begin;
  }
  return out;
}

size_t count_text(std::string_view text, std::string_view needle, Budget* budget) {
  budget->spend_text(text.size() + needle.size());
  if (needle.empty()) return count_characters(text) + 1;
  size_t count = 0;
  for (auto at = find_text(text, needle, 0); at;
       at = find_text(text, needle, *at + needle.size())) {
    ++count;
  }
  return count;
}

}  // namespace potluck
