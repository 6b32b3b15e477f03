// Channels: the Harmony format of gpt-oss, in which an answer is a row of messages, each with a
// header that says for which channel or which function it is. ChannelSplitter takes the stream of
// an answer apart. One object per answer, one thread.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "engine/chat/split_calls.h"

namespace potluck {

namespace channels {
inline constexpr std::string_view kStart = "<|start|>";
inline constexpr std::string_view kChannel = "<|channel|>";
inline constexpr std::string_view kConstrain = "<|constrain|>";
inline constexpr std::string_view kMessage = "<|message|>";
inline constexpr std::string_view kEnd = "<|end|>";
inline constexpr std::string_view kCall = "<|call|>";
inline constexpr std::string_view kReturn = "<|return|>";
inline constexpr std::array kMarks{kStart, kChannel, kConstrain, kMessage, kEnd, kCall, kReturn};
inline constexpr std::string_view kFunctions = "functions.";
}  // namespace channels

struct SplitChannels {
  std::string reasoning;
  SplitCalls rest;
};

class ChannelSplitter {
 public:
  // `prompt`: its last message may have begun the answer.
  explicit ChannelSplitter(std::string_view prompt);

  // Marks in texts count until one has come as a token of its own.
  SplitChannels push(std::string_view text);
  SplitChannels push_mark(std::string_view name);
  SplitChannels finish();

 private:
  enum class Part { kHeader, kReasoning, kText, kCall };

  void take_text(std::string_view text, SplitChannels* split);
  void take_mark(std::string_view name, SplitChannels* split);
  void begin_body(SplitChannels* split);
  void end_body(SplitChannels* split);
  void look_at_header(SplitChannels* split);

  Part part_ = Part::kHeader;
  bool has_mark_tokens_ = false;
  std::string header_;
  size_t given_ = 0;     // of the header: bytes that the prompt has
  std::string pending_;  // may become a mark
  std::string name_;     // of the function that is called
  std::string arguments_;
  bool has_reasoning_ = false;  // said so far; parts are set apart
  bool has_text_ = false;
  bool is_new_ = false;  // the part has said nothing yet
};

}  // namespace potluck
