#include "engine/chat/text_operations.h"

#include <algorithm>

#include "engine/base/utf8.h"
#include "engine/chat/characters.h"
#include "engine/chat/operators.h"
#include "engine/chat/serialize.h"

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

using Ranges = std::vector<ByteRange>;

Ranges split_at_spaces(std::string_view text, int64_t count) {
  Ranges pieces;
  std::string_view rest = strip_left(text);
  while (!rest.empty()) {
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

Ranges split_at(std::string_view text, std::string_view separator, int64_t count) {
  Ranges pieces;
  size_t begin = 0;
  while (count < 0 || pieces.size() < static_cast<size_t>(count)) {
    const auto found = find_text(text, separator, begin);
    if (!found) break;
    pieces.push_back({begin, *found});
    begin = *found + separator.size();
  }
  pieces.push_back({begin, text.size()});
  return pieces;
}

// From the right, `count` cuts: all cuts that a search from the right finds, the rest joined again.
Ranges split_at_from_right(std::string_view text, std::string_view separator, int64_t count) {
  Ranges pieces;
  size_t end = text.size();
  while (count < 0 || pieces.size() < static_cast<size_t>(count)) {
    const size_t found = end < separator.size() ? std::string_view::npos
                                                : text.rfind(separator, end - separator.size());
    if (found == std::string_view::npos) break;
    pieces.push_back({found + separator.size(), end});
    end = found;
  }
  pieces.push_back({0, end});
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

Ranges split_at_spaces_from_right(std::string_view text, int64_t count) {
  Ranges pieces = split_at_spaces(text, -1);
  if (count < 0 || pieces.size() <= static_cast<size_t>(count)) return pieces;
  const size_t joined = pieces.size() - static_cast<size_t>(count);
  const ByteRange head{0, pieces[joined - 1].end};  // spaces at its beginning stay
  pieces.erase(pieces.begin(), pieces.begin() + static_cast<std::ptrdiff_t>(joined));
  pieces.insert(pieces.begin(), head);
  return pieces;
}

}  // namespace

MarkedText strip(const MarkedText& text, Ends ends, const MarkedText* characters, Budget* budget) {
  budget->spend_text(text.size());
  std::string_view rest = text.bytes();
  if (characters == nullptr) {
    if (ends != Ends::kRight) rest = strip_left(rest);
    const size_t begin = text.size() - rest.size();
    if (ends != Ends::kLeft) rest = strip_right(rest);
    return text.slice(begin, begin + rest.size());
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
  return text.slice(begin, end);
}

Result<MarkedText> replace(const MarkedText& text, const MarkedText& from, const MarkedText& to,
                           int64_t count, Budget* budget) {
  MarkedText out;
  size_t done = 0;
  size_t search = 0;
  for (int64_t replaced = 0; count < 0 || replaced < count; ++replaced) {
    const auto found = find_text(text.bytes(), from.bytes(), search);
    if (!found) break;
    budget->spend_text(*found - done + to.size());
    if (Status status = budget->check(); !status) return status.error();
    if (Status status = check_text_size(out.size() + to.size()); !status) return status.error();
    out.append(text, done, *found);
    out.append(to);
    done = *found + from.size();
    search = done;
    if (!from.empty()) continue;
    // An empty text is found in front of every character and at the end.
    if (done == text.size()) break;
    search = done + utf8_length(text.bytes()[done]);
  }
  budget->spend_text(text.size());
  out.append(text, done, text.size());
  return out;
}

Result<Value> split(const MarkedText& text, const MarkedText* separator, int64_t count,
                    bool from_right, Heap* heap) {
  heap->budget().spend_text(text.size());
  Ranges ranges;
  if (separator == nullptr) {
    ranges = from_right ? split_at_spaces_from_right(text.bytes(), count)
                        : split_at_spaces(text.bytes(), count);
  } else if (separator->empty()) {
    return Error{ErrorCode::kInvalidArgument, "split: the separator is empty"};
  } else if (from_right && count >= 0) {
    // Comparing at every place may take the product of both lengths.
    heap->budget().spend_text(text.size() * std::min<uint64_t>(separator->size(), 64));
    if (separator->size() > 64) {
      return Error{ErrorCode::kLimit, "rsplit: a separator of more than 64 bytes"};
    }
    ranges = split_at_from_right(text.bytes(), separator->bytes(), count);
  } else {
    ranges = split_at(text.bytes(), separator->bytes(), count);
  }
  std::vector<Value> pieces;
  for (const ByteRange& range : ranges) {
    pieces.push_back(heap->text(text.slice(range.begin, range.end)));
    if (Status status = heap->budget().check(); !status) return status.error();
  }
  return heap->list(std::move(pieces));
}

Result<MarkedText> join(const std::vector<Value>& items, const MarkedText& separator,
                        Budget* budget) {
  MarkedText out;
  bool first = true;
  for (const Value& item : items) {
    auto text = to_text(item, budget);
    if (!text) return text.error();
    if (!first) out.append(separator);
    first = false;
    out.append(*text);
    budget->spend_text(text->size() + separator.size());
    if (Status status = budget->check(); !status) return status.error();
    if (Status status = check_text_size(out.size()); !status) return status.error();
  }
  return out;
}

Result<MarkedText> indent(const MarkedText& text, const MarkedText& prefix, bool first, bool blank,
                          Budget* budget) {
  MarkedText out;
  std::vector<ByteRange> lines = split_lines(text.bytes());
  // As if one more line end stood there: the last line of "a\n" is an empty one.
  if (lines.empty() || split_lines(std::string(text.bytes()) + "\n").size() > lines.size()) {
    lines.push_back({text.size(), text.size()});
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    const ByteRange& line = lines[i];
    if (i > 0) out.append("\n", text.trust_at(line.begin > 0 ? line.begin - 1 : 0));
    const bool is_empty = line.begin == line.end;
    if (i == 0 ? first : blank || !is_empty) out.append(prefix);
    out.append(text, line.begin, line.end);
    budget->spend_text(line.end - line.begin + prefix.size());
    if (Status status = budget->check(); !status) return status.error();
    if (Status status = check_text_size(out.size()); !status) return status.error();
  }
  return out;
}

MarkedText map_bytes(const MarkedText& text,
                     const std::function<std::string(std::string_view)>& change, Budget* budget) {
  budget->spend_text(text.size());
  MarkedText out;
  for (const TextSegment& segment : text.segments()) {
    out.append(change(segment.text), segment.trust);
  }
  return out;
}

MarkedText upper(const MarkedText& text, Budget* budget) {
  return map_bytes(text, to_upper, budget);
}

MarkedText lower(const MarkedText& text, Budget* budget) {
  return map_bytes(text, to_lower, budget);
}

MarkedText capitalize(const MarkedText& text, bool words, Budget* budget) {
  bool starts = true;
  return map_bytes(
      text,
      [&](std::string_view segment) {
        std::string out;
        for (size_t at = 0; at < segment.size();) {
          const size_t bytes = utf8_length(segment[at]);
          const std::string_view character = segment.substr(at, bytes);
          out += starts ? to_upper(character) : to_lower(character);
          const bool is_letter = to_upper(character) != to_lower(character);
          starts = words && !is_letter;
          at += bytes;
        }
        return out;
      },
      budget);
}

MarkedText reverse(const MarkedText& text, Budget* budget) {
  budget->spend(text.size());
  MarkedText out;
  for (size_t end = text.size(); end > 0;) {
    const size_t begin = last_character(text.bytes().substr(0, end));
    out.append(text, begin, end);
    end = begin;
  }
  return out;
}

size_t count_text(std::string_view text, std::string_view needle, Budget* budget) {
  budget->spend_text(text.size());
  if (needle.empty()) return count_characters(text) + 1;
  size_t count = 0;
  for (auto at = find_text(text, needle, 0); at;
       at = find_text(text, needle, *at + needle.size())) {
    ++count;
  }
  return count;
}

}  // namespace potluck
