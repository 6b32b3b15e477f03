// Arguments one by one, between marks. Values are written as they are, so only a mark that goes on
// as a call does ends one. What is passed on is the JSON that they stand for.
#include <algorithm>

#include <fmt/format.h>

#include "engine/chat/call_reader.h"
#include "engine/chat/uncertain_end.h"

namespace potluck {
namespace {

constexpr size_t kMostKeyBytes = 256;

std::string inside_of_json(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += byte;
    } else if (byte == '\n') {
      out += "\\n";
    } else if (code < 0x20) {
      out += fmt::format("\\u{:04x}", code);
    } else {
      out += byte;
    }
  }
  return out;
}

}  // namespace

bool CallReader::read_tagged(SplitCalls* split) {
  switch (tag_) {
    case Tag::kNext:
      return read_tag(split);
    case Tag::kKey:
      return read_key(split);
    case Tag::kValue:
      return read_value(split);
  }
  return none();
}

// One more, or the end of the arguments.
bool CallReader::read_tag(SplitCalls* split) {
  const CallMark::Match key = marks_.key_open.match(rest());
  const CallMark::Match end = mark_behind().match_end(rest());
  if (key.full()) {
    begin_call(split);
    grow(tags_ == 0 ? "{" : ", ", split);
    at_ += key.size;
    tag_ = Tag::kKey;
    return true;
  }
  if (end.full() && (is_call_ || mark_behind().match(rest()).full())) {
    begin_call(split);
    grow(tags_ == 0 ? "{}" : "}", split);
    next_part();
    return true;
  }
  if ((key.partial() || end.partial()) && !all_) return false;
  if (!is_call_) return none();
  is_raw_ = true;
  return true;
}

bool CallReader::read_key(SplitCalls* split) {
  const CallMark::Found plain = marks_.value_open.find(rest(), 0);
  const CallMark::Found json = marks_.json_open.find(rest(), 0);
  const bool is_json = json.match.full() && (json.at < plain.at || !plain.match.full());
  const CallMark::Found& end = is_json ? json : plain;
  const bool is_long = std::min(end.at, rest().size()) > kMostKeyBytes;
  if (!end.match.full() && !all_ && !is_long) return false;
  if (!end.match.full() || is_long) {
    is_raw_ = true;
    return true;
  }
  key_name_ = trimmed(rest().substr(0, end.at));
  at_ += end.at + end.match.size;
  grow(write_json(JsonValue{key_name_}) + ": ", split);
  begin_value(is_json, split);
  return true;
}

void CallReader::begin_value(bool is_json, SplitCalls* split) {
  const ToolCallSyntax& syntax = marks_.syntax;
  form_ = ValueForm::kEither;
  if (is_json || syntax.json_texts) {
    form_ = ValueForm::kJson;
  } else if (!syntax.json_open.empty() || types_.types_of(name_, key_name_) == kStringType) {
    form_ = ValueForm::kText;
    grow("\"", split);
  }
  at_value_begin_ = (is_json ? syntax.json_open : syntax.value_open).ends_with('\n');
  looked_ = at_;
  tag_ = Tag::kValue;
}

bool CallReader::read_value(SplitCalls* split) {
  if (at_value_begin_) {
    if (rest().empty() && !all_) return false;
    if (rest().starts_with('\n')) ++at_;
    at_value_begin_ = false;
    looked_ = at_;
  }
  size_t end = looked_;
  size_t close = 0;
  if (end_of_value(&end, &close)) {
    end_value(end, close, split);
    return true;
  }
  looked_ = end;
  // A line end in front of the mark is no part of the value.
  if (!all_ && end > at_ && text_[end - 1] == '\n') --end;
  if (form_ == ValueForm::kText) {
    grow(inside_of_json(std::string_view(text_).substr(at_, end - at_)), split);
    at_ = end;
  }
  if (!all_) return false;
  grow_to(text_.size(), split);
  part_ = part_count();
  return true;
}

// From *end on. False: it is not there yet; up to *end everything belongs to the value.
bool CallReader::end_of_value(size_t* end, size_t* close) const {
  const std::string_view text = text_;
  for (size_t from = *end;;) {
    const CallMark::Found found = marks_.value_close.find(text, from);
    *end = std::min(found.at, text.size());
    if (!found.match.full()) {
      if (all_) *end = text.size();
      return false;
    }
    *close = found.match.size;
    const std::string_view behind = text.substr(found.at + found.match.size);
    bool may_be = false;
    const auto follows = [&](const CallMark::Match& match) {
      may_be = may_be || match.partial();
      return match.full();
    };
    bool is_end =
        follows(marks_.key_open.match(behind)) || follows(mark_behind().match_end(behind));
    for (const CallMark& stop : marks_.stops) is_end = is_end || follows(stop.match(behind));
    if (is_end || (may_be && all_)) return true;
    if (may_be) return false;
    from = found.at + 1;
  }
}

void CallReader::end_value(size_t end, size_t close, SplitCalls* split) {
  std::string_view value = std::string_view(text_).substr(at_, end - at_);
  if (marks_.syntax.value_close.starts_with('\n') && value.ends_with('\n')) value.remove_suffix(1);
  if (form_ == ValueForm::kText) {
    grow(inside_of_json(value) + "\"", split);
  } else {
    const uint32_t types = form_ == ValueForm::kJson ? uint32_t{kAllTypes & ~kStringType}
                                                     : types_.types_of(name_, key_name_);
    const JsonValue read = types_.value_of(value, types);
    const bool is_json = parse_json(trimmed(value)).ok();
    if (read.text() != nullptr && (form_ != ValueForm::kJson || !is_json)) {
      grow("\"" + inside_of_json(value) + "\"", split);
    } else {
      grow(is_json ? std::string(trimmed(value)) : write_json(read), split);
    }
  }
  at_ = end + close;
  looked_ = at_;
  ++tags_;
  tag_ = Tag::kNext;
}

}  // namespace potluck
