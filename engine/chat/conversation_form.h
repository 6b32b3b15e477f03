// ConversationForm: in which form a template takes conversations; they differ, and refuse or lose
// what comes in another one. Found by rendering small conversations. Plain values and pure
// functions.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/chat/chat_message.h"
#include "engine/template/marked_text.h"

namespace potluck {

struct ConversationForm {
  bool parts = false;             // texts as lists of parts
  bool text_arguments = false;    // arguments of tool calls as JSON text
  bool object_arguments = false;  // as objects alone: others are the only member of one
  bool null_content = false;      // no text beside calls is null, not an empty one
  bool short_ids = false;         // ids of calls have nine letters and digits
  bool single_calls = false;      // one call to a message
  bool parted_text = false;       // text and calls in messages of their own
  bool thinking = false;          // reasoning is called so
  bool joined_thinking = false;   // and takes the text of messages with calls
};

using FormRenderer = std::function<Result<MarkedText>(const Conversation&, ConversationForm)>;
ConversationForm find_conversation_form(const FormRenderer& render);

// As single_calls and parted_text ask: messages with calls become several, and each call has its
// results behind it.
std::vector<ChatMessage> parted_messages(const std::vector<ChatMessage>& messages,
                                         ConversationForm form);
// Nine letters and digits; an id that has this form stays, and the same ids give the same.
std::string short_call_id(std::string_view id);

}  // namespace potluck
