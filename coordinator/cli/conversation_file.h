// A conversation as a file: its messages, as JSON. Pure but for the file; one thread.
#pragma once

#include <string>
#include <vector>

#include "engine/base/storage.h"
#include "engine/chat/chat_message.h"

namespace potluck {

struct SavedConversation {
  std::string model;  // the name of the one that answered
  std::vector<ChatMessage> messages;
};

// The text of such a file, and the conversation of one. Read and written again they are the same,
// whatever the messages hold. Errors say what was expected.
std::string write_conversation(const SavedConversation& conversation);
Result<SavedConversation> read_conversation_text(std::string_view text);

// For its owner alone. A file that holds something else is not replaced (kRefused).
Status save_conversation(Storage& storage, const std::string& path,
                         const SavedConversation& conversation);
Result<SavedConversation> load_conversation(Storage& storage, const std::string& path);

}  // namespace potluck
