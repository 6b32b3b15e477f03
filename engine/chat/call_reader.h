// CallReader: reads one call out of text that comes in pieces, part by part as its syntax says.
// Until the arguments begin it takes nothing, so that what turns out to be no call can be text
// again; from then on it is a call, and every byte up to its end goes into its arguments, JSON or
// not. One object per call, one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/chat/argument_types.h"
#include "engine/chat/call_marks.h"
#include "engine/chat/json_scanner.h"
#include "engine/chat/split_calls.h"

namespace potluck {

class CallReader {
 public:
  enum class State { kMore, kCall, kNoCall };

  // Marks and types must outlive it. With `begun` the text begins with the mark in front of all
  // calls. Without marks at all only the names of tools make a call.
  CallReader(const CallMarks& marks, const ArgumentTypes& types, bool begun);

  State push(std::string_view text, SplitCalls* split);
  // There is no more text: what is there is a call, or none.
  State finish(SplitCalls* split);

  // What follows the call, or all that was pushed if it is none.
  std::string take_rest();
  // The mark that ends it was not there, but may come behind what follows.
  bool lacks_close() const { return lacks_close_; }

 private:
  enum class Tag { kNext, kKey, kValue };
  enum class ValueForm { kText, kJson, kEither };

  // --- call_reader.cpp: each reads on, and says whether it came any further ---
  State read(SplitCalls* split);
  bool read_part(SplitCalls* split);
  bool read_mark();
  bool read_name();
  bool skip_to_mark();
  bool read_raw(SplitCalls* split);

  bool none();
  void next_part();
  void begin_call(SplitCalls* split);
  void grow(std::string_view arguments, SplitCalls* split);
  void grow_to(size_t end, SplitCalls* split);
  void drop_taken();
  std::string_view rest() const { return std::string_view(text_).substr(at_); }
  size_t part_count() const { return marks_.parts.size() + (begun_ ? 1 : 0); }
  const CallPart* part() const;  // null: the mark in front of all calls
  const CallMark& mark() const;
  const CallMark& mark_behind() const;
  bool may_name(std::string_view name) const;

  // --- call_reader_json.cpp ---
  bool read_arguments(SplitCalls* split);
  bool begin_arguments(SplitCalls* split);
  bool read_object(SplitCalls* split);
  bool begin_object();
  bool may_scan();
  bool take_step(JsonScanner::Step step, size_t at, SplitCalls* split);
  bool begin_member(size_t at, SplitCalls* split);
  bool end_member(size_t end, SplitCalls* split);
  bool end_object(size_t end, SplitCalls* split);
  bool give_up_json(SplitCalls* split);

  // --- call_reader_tags.cpp ---
  bool read_tagged(SplitCalls* split);
  bool read_tag(SplitCalls* split);
  bool read_key(SplitCalls* split);
  bool read_value(SplitCalls* split);
  void begin_value(bool is_json, SplitCalls* split);
  void end_value(size_t end, size_t close, SplitCalls* split);
  bool end_of_value(size_t* end, size_t* close) const;

  const CallMarks& marks_;
  const ArgumentTypes& types_;
  bool begun_;        // the first part is the mark in front of all calls
  bool all_ = false;  // no more text follows
  State state_ = State::kMore;
  std::string text_;
  size_t part_ = 0;       // with that mark
  size_t at_ = 0;         // where the part begins; of arguments what was not taken yet
  bool is_call_ = false;  // from here on
  bool lacks_close_ = false;
  std::string name_;
  std::string arguments_;

  // Of JSON.
  std::optional<JsonScanner> scanner_;
  size_t scanned_ = 0;
  size_t suspect_ = std::string::npos;  // in a text: a mark that ends the call, if this is no JSON
  bool is_raw_ = false;
  // Of an object.
  size_t text_begin_ = 0;
  size_t value_begin_ = 0;
  std::string key_;
  bool is_value_ = false;   // the arguments are being read
  bool is_quoted_ = false;  // and are a text that holds JSON
  bool has_arguments_ = false;
  std::optional<std::string> held_;  // arguments in front of the name
  // Of tags.
  Tag tag_ = Tag::kNext;
  size_t tags_ = 0;
  size_t looked_ = 0;
  std::string key_name_;
  ValueForm form_ = ValueForm::kText;  // texts are passed on as they come
  bool at_value_begin_ = false;
};

}  // namespace potluck
