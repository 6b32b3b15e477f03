#include "coordinator/serving/http/response_store.h"

#include <algorithm>
#include <utility>

namespace potluck {
namespace {

uint64_t bytes_of(const JsonValue& value) {
  uint64_t bytes = sizeof(JsonValue);
  if (const std::string* text = value.text()) return bytes + text->size();
  if (const auto* array = value.array()) {
    for (const JsonValue& entry : *array) bytes += bytes_of(entry);
  }
  if (const auto* object = value.object()) {
    for (const auto& [name, member] : *object) {
      bytes += sizeof(std::string) + name.size() + bytes_of(member);
    }
  }
  return bytes;
}

uint64_t bytes_of(const StoredResponse& response) {
  uint64_t bytes = sizeof(StoredResponse) + response.user.size() + response.json.size();
  for (const ChatMessage& message : response.messages) {
    bytes += sizeof(ChatMessage) + bytes_of(message.content) +
             message.reasoning_content.value_or("").size();
    for (const ToolCall& call : message.tool_calls) {
      bytes += sizeof(ToolCall) + call.id.size() + call.name.size() + bytes_of(call.arguments);
    }
  }
  return bytes;
}

}  // namespace

void ResponseStore::put(std::string id, StoredResponse response) {
  const uint64_t bytes = bytes_of(response);
  if (bytes > most_bytes_) return;
  MutexLock lock(mutex_);
  while (!entries_.empty() && (entries_.size() >= most_ || bytes_ + bytes > most_bytes_)) {
    bytes_ -= entries_.front().bytes;
    entries_.pop_front();
  }
  bytes_ += bytes;
  entries_.push_back(
      {std::move(id), std::make_shared<const StoredResponse>(std::move(response)), bytes});
}

std::shared_ptr<const StoredResponse> ResponseStore::find(const std::string& id,
                                                          const std::string& user) const {
  MutexLock lock(mutex_);
  const auto found = locate(id, user);
  return found == entries_.end() ? nullptr : found->response;
}

bool ResponseStore::remove(const std::string& id, const std::string& user) {
  MutexLock lock(mutex_);
  const auto found = locate(id, user);
  if (found == entries_.end()) return false;
  bytes_ -= found->bytes;
  entries_.erase(found);
  return true;
}

uint64_t ResponseStore::bytes() const {
  MutexLock lock(mutex_);
  return bytes_;
}

std::deque<ResponseStore::Entry>::const_iterator ResponseStore::locate(
    const std::string& id, const std::string& user) const {
  return std::ranges::find_if(
      entries_, [&](const Entry& entry) { return entry.id == id && entry.response->user == user; });
}

}  // namespace potluck
