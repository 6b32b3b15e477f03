// The messages and tools of a chat request as a Conversation. Pure.
#pragma once

#include "coordinator/serving/http/json_fields.h"
#include "engine/chat/chat_message.h"

namespace potluck {

// Messages, tools, tool_choice, reasoning_effort and chat_template_kwargs of a request.
Conversation read_conversation(JsonFields& fields);

}  // namespace potluck
