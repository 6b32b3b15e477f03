// SplitCalls: what a piece of an answer adds to its text and its calls. Plain values.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/chat/chat_message.h"

namespace potluck {

// What a call grows by: it begins with its name, and its arguments follow as the text that the
// model writes, which need not be JSON.
struct ToolCallGrowth {
  bool begins = false;
  std::string id = {};  // of a call that begins; given by the engine
  std::string name = {};
  std::string arguments = {};
};

struct SplitCalls {
  std::string content = {};
  std::vector<ToolCall> calls = {};         // those that are now whole; without ids
  std::vector<ToolCallGrowth> growth = {};  // of the same calls, as they come

  void begin_call(std::string name) { growth.push_back({true, {}, std::move(name), {}}); }
  void grow(std::string_view arguments) {
    if (arguments.empty()) return;
    if (growth.empty()) growth.emplace_back();
    growth.back().arguments += arguments;
  }
};

// The call once its arguments are all there: an object if they are one, else the text.
ToolCall whole_call(std::string name, std::string arguments);

}  // namespace potluck
