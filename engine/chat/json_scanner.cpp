// Numbers, escapes and names are not checked to the letter: that is for the parser, once the whole
// text is there. What is checked is what decides where the value ends.
#include "engine/chat/json_scanner.h"

#include <string_view>

#include "engine/base/limits.h"

namespace potluck {
namespace {

bool is_json_space(char byte) {
  return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

bool is_word(char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || byte == 'E' ||
         byte == '+' || byte == '-' || byte == '.';
}

bool begins_word(char byte) {
  return (byte >= '0' && byte <= '9') || byte == '-' || byte == 't' || byte == 'f' || byte == 'n';
}

}  // namespace

JsonScanner::Step JsonScanner::push(char byte) {
  if (in_text_) return push_text(byte);
  if (in_word_) return push_word(byte);
  if (is_json_space(byte)) return Step::kMore;
  return push_mark(byte);
}

JsonScanner::Step JsonScanner::push_text(char byte) {
  if (escapes_) {
    escapes_ = false;
    return Step::kMore;
  }
  if (byte == '\\') escapes_ = true;
  if (byte != '"') return Step::kMore;
  in_text_ = false;
  if (!is_key_) return ended();
  is_key_ = false;
  wait_ = Wait::kColon;
  return open_.size() == 1 ? Step::kKeyEnd : Step::kMore;
}

JsonScanner::Step JsonScanner::push_word(char byte) {
  if (is_word(byte)) return Step::kMore;
  in_word_ = false;
  if (open_.empty()) return Step::kPast;
  const bool is_member = open_.size() == 1 && open_[0] == '{';
  wait_ = Wait::kAfter;
  const Step step = is_json_space(byte) ? Step::kMore : push_mark(byte);
  if (!is_member || step == Step::kError) return step;
  return step == Step::kEnd ? Step::kPastEnd : Step::kMemberPast;
}

JsonScanner::Step JsonScanner::push_mark(char byte) {
  switch (wait_) {
    case Wait::kFirstItem:
      if (byte == ']') return close(byte);
      return begin_value(byte);
    case Wait::kValue:
      return begin_value(byte);
    case Wait::kFirstKey:
      if (byte == '}') return close(byte);
      [[fallthrough]];
    case Wait::kKey:
      if (byte != '"') return Step::kError;
      in_text_ = true;
      is_key_ = true;
      return Step::kMore;
    case Wait::kColon:
      if (byte != ':') return Step::kError;
      wait_ = Wait::kValue;
      return Step::kMore;
    case Wait::kAfter:
      break;
  }
  if (open_.empty()) return Step::kError;  // behind the value
  if (byte != ',') return close(byte);
  wait_ = open_.back() == '{' ? Wait::kKey : Wait::kValue;
  return Step::kMore;
}

JsonScanner::Step JsonScanner::begin_value(char byte) {
  const bool is_member = open_.size() == 1 && open_[0] == '{';
  if (byte == '{' || byte == '[') {
    if (open_.size() == limits::kJsonDepth) return Step::kError;
    open_.push_back(byte);
    wait_ = byte == '{' ? Wait::kFirstKey : Wait::kFirstItem;
  } else if (byte == '"') {
    in_text_ = true;
  } else if (begins_word(byte)) {
    in_word_ = true;
  } else {
    return Step::kError;
  }
  return is_member ? Step::kValueBegin : Step::kMore;
}

JsonScanner::Step JsonScanner::close(char byte) {
  const char expected = open_.back() == '{' ? '}' : ']';
  if (byte != expected) return Step::kError;
  open_.pop_back();
  return ended();
}

// The value that this byte belongs to, or closes, has ended.
JsonScanner::Step JsonScanner::ended() {
  wait_ = Wait::kAfter;
  if (open_.empty()) return Step::kEnd;
  return open_.size() == 1 && open_[0] == '{' ? Step::kValueEnd : Step::kMore;
}

}  // namespace potluck
