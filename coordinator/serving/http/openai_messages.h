// The messages and tools of a chat request as a Conversation. Pure.
#pragma once

#include <string>

#include "coordinator/serving/http/json_fields.h"
#include "engine/chat/chat_message.h"

namespace potluck {

// Messages, tools, reasoning_effort and chat_template_kwargs of a request. apply_demands() is for
// the caller.
Conversation read_conversation(JsonFields& fields);

// Effort "none" also means that the model is not to think at all.
void add_reasoning_effort(std::string effort, Conversation* conversation);

}  // namespace potluck
