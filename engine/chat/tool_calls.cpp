#include "engine/chat/tool_calls.h"

#include <algorithm>
#include <utility>

#include "engine/base/utf8.h"
#include "engine/chat/uncertain_end.h"

namespace potluck {

ToolCallSplitter::ToolCallSplitter(std::optional<ToolCallSyntax> syntax, ArgumentTypes types)
    : types_(std::make_shared<const ArgumentTypes>(std::move(types))) {
  if (syntax) marks_ = std::make_shared<const CallMarks>(std::move(*syntax));
}

SplitCalls ToolCallSplitter::push(std::string_view text) {
  SplitCalls split;
  if (!marks_) {
    split.content = text;
    return split;
  }
  pending_ += text;
  while (advance(&split)) {
  }
  return split;
}

SplitCalls ToolCallSplitter::finish() {
  SplitCalls split;
  if (!marks_) return split;
  all_ = true;
  while (advance(&split)) {
  }
  emit(std::exchange(pending_, {}), &split);
  return split;
}

// One step on what is pending; false when more text is needed.
bool ToolCallSplitter::advance(SplitCalls* split) {
  switch (state_) {
    case State::kText:
      return find_call(split);
    case State::kCall:
      return read_call(split);
    case State::kBetween:
      return look_between();
  }
  return false;
}

ToolCallSplitter::Trigger ToolCallSplitter::first_trigger() const {
  Trigger first;
  const auto look_for = [&](Trigger::Kind kind, const CallMark& mark) {
    const CallMark::Found found = mark.find(pending_, 0);
    // What may still become the one is waited for, even if it is the other already.
    const bool is_first =
        found.at < first.found.at || (found.at == first.found.at && found.match.partial() && !all_);
    if (found.at != std::string::npos && is_first) first = {kind, found};
  };
  look_for(Trigger::Kind::kBegin, marks_->begin);
  if (marks_->begin.empty() || marks_->first.is_strong()) {
    look_for(Trigger::Kind::kFirst, marks_->first);
  }
  if (in_section_ && marks_->end.is_strong()) look_for(Trigger::Kind::kEnd, marks_->end);
  if (lacks_close_ && marks_->close.is_strong()) look_for(Trigger::Kind::kEnd, marks_->close);
  return first;
}

bool ToolCallSplitter::find_call(SplitCalls* split) {
  if (marks_->syntax.bare && is_fresh_ && !types_->empty()) {
    const size_t first = pending_.find_first_not_of(kWhiteSpace);
    if (first == std::string::npos) return false;
    if (pending_[first] == '{') {
      space_before_ = pending_.substr(0, first);
      pending_.erase(0, first);
      begin_call(false);
      return true;
    }
  }
  const Trigger trigger = first_trigger();
  const size_t at = std::min(trigger.found.at, pending_.size());
  if (trigger.found.match.full()) {
    // The white space in front of a mark is kept aside: if what follows is no call, it belongs to
    // the text again.
    const size_t before = without_space_at_end(std::string_view(pending_).substr(0, at)).size();
    emit_up_to(before, split);
    space_before_ = pending_.substr(0, at - before);
    pending_.erase(0, at - before);
    if (trigger.kind == Trigger::Kind::kEnd) {
      pending_.erase(0, trigger.found.match.size);
      in_section_ = false;
      lacks_close_ = false;
      skips_space_ = true;
      return true;
    }
    begin_call(trigger.kind == Trigger::Kind::kBegin);
    return true;
  }
  if (trigger.found.match.partial() && all_) {
    emit_up_to(at + utf8_length(pending_[at]), split);
    return true;
  }
  emit_up_to(without_space_at_end(std::string_view(pending_).substr(0, at)).size(), split);
  return false;
}

void ToolCallSplitter::begin_call(bool begun) {
  reader_ = std::make_unique<CallReader>(*marks_, *types_, begun);
  in_section_ = in_section_ || begun;
  state_ = State::kCall;
}

bool ToolCallSplitter::read_call(SplitCalls* split) {
  CallReader::State state = reader_->push(std::exchange(pending_, {}), split);
  if (state == CallReader::State::kMore && all_) state = reader_->finish(split);
  if (state == CallReader::State::kMore) return false;
  pending_ = reader_->take_rest();
  lacks_close_ = reader_->lacks_close();
  reader_.reset();
  if (state == CallReader::State::kCall) {
    state_ = State::kBetween;
    skips_space_ = true;
    is_fresh_ = false;
    return true;
  }
  // No call: its first character is text, and what follows is looked at again.
  state_ = State::kText;
  pending_.insert(0, std::exchange(space_before_, {}));
  const size_t first = pending_.find_first_not_of(kWhiteSpace);
  if (first != std::string::npos) emit_up_to(first + utf8_length(pending_[first]), split);
  is_fresh_ = false;
  return true;
}

bool ToolCallSplitter::call_begins(std::string_view text, bool* may_be) const {
  if (marks_->begins_with_object()) {
    const size_t first = text.find_first_not_of(kWhiteSpace);
    *may_be = *may_be || first == std::string_view::npos;
    return first != std::string_view::npos && text[first] == '{';
  }
  const CallMark::Match match = marks_->first.match(text);
  *may_be = *may_be || match.partial();
  return match.full();
}

// Behind a call: the next one, the mark behind all of them, or text.
bool ToolCallSplitter::look_between() {
  bool may_be = false;
  const std::string_view text = pending_;
  const CallMark::Match separator = marks_->separator.match(text);
  const size_t taken = separator.full() ? separator.size : 0;
  may_be = separator.partial();
  if (call_begins(text.substr(taken), &may_be)) {
    space_before_ = pending_.substr(0, taken);
    pending_.erase(0, taken);
    begin_call(false);
    return true;
  }
  const CallMark::Match end = marks_->end.match(text);
  may_be = may_be || end.partial();
  if (in_section_ && !marks_->end.empty() && end.full()) {
    pending_.erase(0, end.size);
    in_section_ = false;
    state_ = State::kText;
    return true;
  }
  if (may_be && !all_) return false;
  state_ = State::kText;
  return true;
}

void ToolCallSplitter::emit_up_to(size_t end, SplitCalls* split) {
  emit(std::string_view(pending_).substr(0, end), split);
  pending_.erase(0, end);
}

void ToolCallSplitter::emit(std::string_view text, SplitCalls* split) {
  if (skips_space_) {
    const size_t first = text.find_first_not_of(kWhiteSpace);
    text.remove_prefix(std::min(first, text.size()));
    skips_space_ = text.empty();
  }
  if (text.find_first_not_of(kWhiteSpace) != std::string_view::npos) is_fresh_ = false;
  split->content += text;
}

}  // namespace potluck
