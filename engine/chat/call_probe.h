// CallProbe: finds the syntax of calls by what a template makes of small conversations. They answer
// the same question: by a text, by a call, by two, by a call with two arguments, by one with a
// number. Where they differ is the syntax. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "engine/chat/call_syntax.h"
#include "engine/chat/chat_message.h"

namespace potluck {

enum class CallProbe { kText, kOneCall, kTwoCalls, kTwoArguments, kNumber };
Conversation call_probe(CallProbe probe);

// What the template writes for a probe; nothing where it refuses.
using ProbeRenderer = std::function<std::optional<std::string>(const Conversation&)>;

// Nothing where the template knows no calls, or writes them in no form of call_syntax.h. What is
// found reads all the probes.
std::optional<ToolCallSyntax> find_call_syntax(const ProbeRenderer& render);

}  // namespace potluck
