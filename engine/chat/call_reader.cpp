#include "engine/chat/call_reader.h"

#include <algorithm>

#include "engine/chat/uncertain_end.h"

namespace potluck {
namespace {

// Names of functions have up to 64 characters in OpenAI's API, and identifiers of calls less.
constexpr size_t kMostNameBytes = 256;

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMostNameBytes &&
         name.find_first_of(" \t\r\n<>\"'{}()[],=") == std::string_view::npos;
}

// The one that stands first; of two at the same place the one that is certain.
void keep_first(const CallMark::Found& found, CallMark::Found* first) {
  const bool is_better = found.at < first->at || (found.at == first->at && found.match.full());
  if (found.at != std::string_view::npos && is_better) *first = found;
}

}  // namespace

ToolCall whole_call(std::string name, std::string arguments) {
  ToolCall call{"", std::move(name), JsonValue{JsonValue::Object()}};
  const std::string_view text = trimmed(arguments);
  if (text.empty() || text == "null") return call;
  auto parsed = parse_json(text);
  if (parsed && parsed->object() != nullptr) {
    call.arguments = *std::move(parsed);
  } else {
    call.arguments = JsonValue{std::move(arguments)};
  }
  return call;
}

CallReader::CallReader(const CallMarks& marks, const ArgumentTypes& types, bool begun)
    : marks_(marks), types_(types), begun_(begun && !marks.begin.empty()) {}

CallReader::State CallReader::push(std::string_view text, SplitCalls* split) {
  text_ += text;
  return read(split);
}

CallReader::State CallReader::finish(SplitCalls* split) {
  all_ = true;
  return read(split);
}

CallReader::State CallReader::read(SplitCalls* split) {
  while (state_ == State::kMore && read_part(split)) {
  }
  drop_taken();
  return state_;
}

std::string CallReader::take_rest() {
  return std::exchange(text_, {});
}

bool CallReader::read_part(SplitCalls* split) {
  if (part_ == part_count()) {
    split->calls.push_back(whole_call(name_, std::move(arguments_)));
    state_ = State::kCall;
    return false;
  }
  if (is_raw_) return read_raw(split);
  if (part() == nullptr) return read_mark();
  switch (part()->kind) {
    case CallPart::Kind::kMark:
      return read_mark();
    case CallPart::Kind::kName:
      return read_name();
    case CallPart::Kind::kId:
    case CallPart::Kind::kNumber:
      return skip_to_mark();
    case CallPart::Kind::kObject:
      return read_object(split);
    case CallPart::Kind::kArguments:
      return read_arguments(split);
    case CallPart::Kind::kTagged:
      return read_tagged(split);
  }
  return none();
}

bool CallReader::read_mark() {
  if (mark().empty()) {
    next_part();
    return true;
  }
  // Once it is a call, the end may lack its first piece.
  const CallMark::Match found = is_call_ ? mark().match_end(rest()) : mark().match(rest());
  if (found.full()) {
    at_ += found.size;
    next_part();
    return true;
  }
  if (found.partial() && !all_) return false;
  if (!is_call_) return none();
  lacks_close_ = true;
  part_ = part_count();
  return true;
}

// It ends where what follows begins: a mark, arguments, or the first of the tags.
bool CallReader::read_name() {
  size_t next = part_ + 1 - (begun_ ? 1 : 0);
  while (next < marks_.parts.size() && marks_.syntax.parts[next].kind == CallPart::Kind::kMark &&
         marks_.parts[next].empty()) {
    ++next;
  }
  if (next == marks_.parts.size()) return none();
  CallMark::Found end;
  switch (marks_.syntax.parts[next].kind) {
    case CallPart::Kind::kArguments:
      if (const size_t brace = rest().find('{'); brace != std::string_view::npos) {
        end = {brace, {CallMark::Match::Kind::kFull, 0}};
      }
      break;
    case CallPart::Kind::kTagged:
      keep_first(marks_.key_open.find(rest(), 0), &end);
      keep_first(marks_.behind(next).find(rest(), 0), &end);
      break;
    default:
      keep_first(marks_.parts[next].find(rest(), 0), &end);
  }
  const bool is_long = std::min(end.at, rest().size()) > kMostNameBytes;
  if (is_long || (all_ && !end.match.full())) return none();
  if (!end.match.full()) return false;
  const std::string_view name = trimmed(rest().substr(0, end.at));
  if (!may_name(name)) return none();
  name_ = name;
  at_ += end.at;
  part_ = next + (begun_ ? 1 : 0);
  return true;
}

bool CallReader::may_name(std::string_view name) const {
  const bool must_be_known = marks_.syntax.bare && !begun_;
  return is_name(name) && (!must_be_known || types_.knows(name));
}

bool CallReader::skip_to_mark() {
  const CallMark::Found end = mark_behind().find(rest(), 0);
  if (end.match.full()) {
    at_ += end.at;
    next_part();
    return true;
  }
  return all_ || std::min(end.at, rest().size()) > kMostNameBytes ? none() : false;
}

// Arguments that are no JSON: all up to the next mark.
bool CallReader::read_raw(SplitCalls* split) {
  CallMark::Found stop;
  for (const CallMark& mark : marks_.stops) keep_first(mark.find(text_, at_), &stop);
  const bool is_certain = stop.match.full() || all_;
  if (!stop.match.full() && all_) {
    grow_to(text_.size(), split);
  } else {
    const std::string_view before = std::string_view(text_).substr(0, stop.at);
    grow_to(std::max(at_, without_space_at_end(before).size()), split);
  }
  if (!is_certain) return false;
  is_raw_ = false;
  next_part();
  return true;
}

bool CallReader::none() {
  state_ = State::kNoCall;
  return false;
}

void CallReader::next_part() {
  ++part_;
  scanner_.reset();
  suspect_ = std::string::npos;
}

void CallReader::begin_call(SplitCalls* split) {
  if (std::exchange(is_call_, true)) return;
  split->begin_call(name_);
}

void CallReader::grow(std::string_view arguments, SplitCalls* split) {
  arguments_ += arguments;
  split->grow(arguments);
}

void CallReader::grow_to(size_t end, SplitCalls* split) {
  if (end <= at_) return;
  grow(std::string_view(text_).substr(at_, end - at_), split);
  at_ = end;
}

void CallReader::drop_taken() {
  if (!is_call_ || at_ == 0) return;
  text_.erase(0, at_);
  for (size_t* place : {&scanned_, &text_begin_, &value_begin_, &looked_}) {
    *place -= std::min(*place, at_);
  }
  if (suspect_ != std::string::npos) suspect_ -= std::min(suspect_, at_);
  at_ = 0;
}

const CallPart* CallReader::part() const {
  if (begun_ && part_ == 0) return nullptr;
  return &marks_.syntax.parts[part_ - (begun_ ? 1 : 0)];
}

const CallMark& CallReader::mark() const {
  return begun_ && part_ == 0 ? marks_.begin : marks_.parts[part_ - (begun_ ? 1 : 0)];
}

const CallMark& CallReader::mark_behind() const {
  return marks_.behind(part_ - (begun_ ? 1 : 0));
}

}  // namespace potluck
