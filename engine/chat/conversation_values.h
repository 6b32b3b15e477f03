// A conversation as values of the template language, each under the name by which templates know
// it. Pure but for the heap.
#pragma once

#include "engine/chat/chat_message.h"
#include "engine/chat/conversation_form.h"
#include "engine/template/value.h"

namespace potluck {

// Roles are template text where they are among the known ones; everything else is user text.
Result<Value> messages_value(const std::vector<ChatMessage>& messages, ConversationForm form,
                             Heap* heap);

}  // namespace potluck
