// A conversation as values of the template language, each under the name by which templates know
// it. Pure but for the heap.
#pragma once

#include "engine/chat/chat_message.h"
#include "engine/template/value.h"

namespace potluck {

// The forms in which templates take conversations; they differ.
struct ConversationForm {
  bool parts = false;           // texts as lists of parts
  bool text_arguments = false;  // arguments of tool calls as JSON text
};

// Roles are template text where they are among the known ones; everything else is user text.
Result<Value> messages_value(const std::vector<ChatMessage>& messages, ConversationForm form,
                             Heap* heap);

}  // namespace potluck
