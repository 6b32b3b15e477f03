// AnswerEvents: the events of another server's stream as the events of a completion. All that it
// says is a stranger's: kinds, lengths and numbers are checked. One object per answer, one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/serving/completion.h"
#include "coordinator/upstream/upstream.h"

namespace potluck {

// How an answer ended, by its own words.
struct AnswerEnd {
  FinishReason reason = FinishReason::kStop;
  std::string stop_string;
  CompletionUsage usage;
};

class AnswerEvents {
 public:
  static constexpr size_t kMostCalls = 64;
  static constexpr size_t kMostNameBytes = 256;
  static constexpr size_t kMostAnswerBytes = 16 << 20;  // text, thoughts and calls of one answer

  static std::unique_ptr<AnswerEvents> make(UpstreamStyle style);
  virtual ~AnswerEvents() = default;

  // What the event adds to the answer; may be nothing. An error: it is not what such a stream has.
  Result<AnswerPiece> take(std::string_view data);
  // Something of the answer was there, if only that it begins.
  bool begun() const { return begun_; }
  // The stream is over. An error: in the middle of the answer.
  Status finish();
  // Nothing before the answer is whole.
  const std::optional<AnswerEnd>& end() const { return end_; }

 protected:
  virtual Status read(const JsonValue& event, AnswerPiece* piece) = 0;

  // Calls are told as they grow, and whole at the end.
  Status begin_call(std::string id, std::string name, AnswerPiece* piece);
  Status grow_call(std::string_view arguments, AnswerPiece* piece);
  void close_call(AnswerPiece* piece);
  Status add_text(std::string* to, const std::string& text);

  bool begun_ = false;
  std::optional<FinishReason> reason_;  // once it was said
  std::string stop_string_;
  CompletionUsage usage_;

 private:
  Status count(size_t bytes);

  std::optional<AnswerEnd> end_;
  size_t calls_ = 0;
  size_t bytes_ = 0;
  bool in_call_ = false;
  ToolCall call_;
  std::string arguments_;
};

}  // namespace potluck
