// The tools of `run`: their definitions from a file, and calls of them in words. Pure but for the
// file.
#pragma once

#include <string>
#include <vector>

#include "engine/base/storage.h"
#include "engine/chat/chat_message.h"

namespace potluck {

// A JSON list of tools as OpenAI's API has them; a bare function {"name": .., "parameters": ..}
// stands for one, too. Errors name the file and the entry.
Result<std::vector<JsonValue>> load_tools(Storage& storage, const std::string& path);

// The name and the arguments as JSON, for people to read.
std::string describe_call(const ToolCall& call);
// One JSON object with the members "name" and "arguments", for programs.
std::string call_as_json(const ToolCall& call);

}  // namespace potluck
