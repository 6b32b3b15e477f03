// Arguments as JSON, alone or as a member of an object. They are passed on as they come: the text
// that the model writes, not what a parser would make of it.
#include <algorithm>

#include "engine/chat/call_reader.h"
#include "engine/chat/uncertain_end.h"

namespace potluck {
namespace {

constexpr size_t kNowhere = std::string::npos;

// White space between values waits: in front of what is no JSON it belongs to neither.
size_t certain_end(std::string_view text, size_t begin, size_t end, bool in_text) {
  if (in_text || end <= begin) return end;
  return begin + without_space_at_end(text.substr(begin, end - begin)).size();
}

}  // namespace

bool CallReader::read_arguments(SplitCalls* split) {
  if (!scanner_) return begin_arguments(split);
  while (scanned_ < text_.size() && may_scan()) {
    const JsonScanner::Step step = scanner_->push(text_[scanned_]);
    if (step == JsonScanner::Step::kError) return give_up_json(split);
    ++scanned_;
    if (step != JsonScanner::Step::kEnd && step != JsonScanner::Step::kPastEnd) continue;
    grow_to(scanned_, split);
    next_part();
    return true;
  }
  if (all_) return give_up_json(split);
  const size_t end = std::min(scanned_, suspect_);
  grow_to(certain_end(text_, at_, end, scanner_->in_text()), split);
  return false;
}

bool CallReader::begin_arguments(SplitCalls* split) {
  const size_t first = rest().find_first_not_of(kWhiteSpace);
  if (first == std::string_view::npos) return all_ ? none() : false;
  const CallMark& close = mark_behind();
  const CallMark::Match ended = close.empty() ? CallMark::Match{} : close.match(rest());
  if (ended.partial() && !all_) return false;
  begin_call(split);
  if (ended.full()) {
    next_part();
    return true;
  }
  at_ += first;
  scanned_ = at_;
  if (text_[at_] == '{') {
    scanner_.emplace();
  } else {
    is_raw_ = true;
  }
  return true;
}

// Inside of a text a closing mark may be part of it, or the text may lack its quote. What follows
// tells; until then nothing is passed on from there. Outside, a bracket may begin a list or a mark.
bool CallReader::may_scan() {
  if (suspect_ != kNowhere) return true;
  const std::string_view text = std::string_view(text_).substr(scanned_);
  bool may_be = false;
  for (const CallMark& stop : marks_.stops) {
    if (stop.pieces().front().front() != text.front()) continue;
    const CallMark::Match found = stop.match(text);
    if (found.full() && scanner_->in_text()) suspect_ = scanned_;
    may_be = may_be || found.partial();
  }
  return suspect_ != kNowhere || !may_be || all_;
}

// It is no JSON: the arguments end at the mark that was in a text, or else somewhere behind.
bool CallReader::give_up_json(SplitCalls* split) {
  if (suspect_ == kNowhere) {
    is_raw_ = true;
    return true;
  }
  grow_to(suspect_, split);
  next_part();
  return true;
}

bool CallReader::read_object(SplitCalls* split) {
  if (!scanner_ && !begin_object()) return false;
  while (scanned_ < text_.size() && may_scan()) {
    const bool was_text = scanner_->in_text();
    const JsonScanner::Step step = scanner_->push(text_[scanned_]);
    if (!was_text && scanner_->in_text()) text_begin_ = scanned_;
    if (step == JsonScanner::Step::kError) break;
    const size_t part = part_;
    if (!take_step(step, scanned_++, split)) return false;
    if (part_ != part) return true;
  }
  const bool is_broken = all_ || (scanned_ < text_.size() && may_scan());
  if (!is_broken) {
    const size_t end = std::min(scanned_, suspect_);
    if (is_value_ && is_call_ && !is_quoted_) {
      grow_to(certain_end(text_, at_, end, scanner_->in_text()), split);
    }
    return false;
  }
  if (!is_call_) return none();
  if (!has_arguments_) return give_up_json(split);
  // What stands behind the arguments is text again.
  at_ = scanned_;
  next_part();
  return true;
}

bool CallReader::begin_object() {
  const size_t first = rest().find_first_not_of(kWhiteSpace);
  if (first == std::string_view::npos) return all_ ? none() : false;
  if (rest()[first] != '{') return none();
  scanner_.emplace();
  scanned_ = at_ + first;
  return true;
}

// `at`: of the byte that was the step.
bool CallReader::take_step(JsonScanner::Step step, size_t at, SplitCalls* split) {
  using enum JsonScanner::Step;
  switch (step) {
    case kKeyEnd: {
      auto key = parse_json(std::string_view(text_).substr(text_begin_, at + 1 - text_begin_));
      if (!key || key->text() == nullptr) return is_call_ ? true : none();
      key_ = *key->text();
      return true;
    }
    case kValueBegin:
      return begin_member(at, split);
    case kValueEnd:
      return end_member(at + 1, split);
    case kMemberPast:
      return end_member(at, split);
    case kPastEnd:
      return end_member(at, split) && end_object(at + 1, split);
    case kEnd:
      return end_object(at + 1, split);
    default:
      return true;
  }
}

bool CallReader::begin_member(size_t at, SplitCalls* split) {
  value_begin_ = at;
  const ToolCallSyntax& syntax = marks_.syntax;
  if (syntax.name_key.empty() && name_.empty()) {
    if (!may_name(key_)) return none();
    name_ = key_;
    is_value_ = true;
  } else {
    is_value_ = key_ == syntax.arguments_key && !has_arguments_ && !held_;
  }
  if (!is_value_ || name_.empty()) return true;
  begin_call(split);
  at_ = at;
  is_quoted_ = text_[at] == '"';
  return true;
}

bool CallReader::end_member(size_t end, SplitCalls* split) {
  const std::string_view value = std::string_view(text_).substr(value_begin_, end - value_begin_);
  if (std::exchange(is_value_, false)) {
    if (!is_call_) {
      held_ = value;
      return true;
    }
    has_arguments_ = true;
    auto inner = is_quoted_ ? parse_json(value) : JsonValue{};
    if (inner && inner->text() != nullptr) {
      grow(*inner->text(), split);
      at_ = end;
    }
    grow_to(end, split);
    return true;
  }
  if (key_ != marks_.syntax.name_key || !name_.empty()) return true;
  auto name = parse_json(value);
  if (!name || name->text() == nullptr || !may_name(*name->text())) return none();
  name_ = *name->text();
  return true;
}

bool CallReader::end_object(size_t end, SplitCalls* split) {
  if (!is_call_) {
    if (name_.empty()) return none();
    begin_call(split);
    auto inner = held_ && held_->front() == '"' ? parse_json(*held_) : JsonValue{};
    const bool is_quoted = inner && inner->text() != nullptr;
    grow(is_quoted ? *inner->text() : held_.value_or("{}"), split);
  }
  at_ = end;
  next_part();
  return true;
}

}  // namespace potluck
