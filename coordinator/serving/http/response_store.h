// ResponseStore: answers of /v1/responses for as long as there is room, so that a client can go on
// from one by its id alone, look at it again or delete it. In memory; the oldest goes first. Any
// thread.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/thread_annotations.h"
#include "engine/chat/chat_message.h"

namespace potluck {

struct StoredResponse {
  std::string user;                   // whose it is: to others it is not there
  std::vector<ChatMessage> messages;  // the conversation with the answer, without instructions
  std::string json;                   // as it was answered
};

class ResponseStore {
 public:
  // A conversation of 100,000 tokens takes about half a MiB, and its whole again with each turn.
  explicit ResponseStore(uint64_t most_bytes = 64 * kMiB, size_t most = 1024)
      : most_bytes_(most_bytes), most_(most) {}

  // What is larger than all the room is not kept.
  void put(std::string id, StoredResponse response);
  // Null if it is not there, or not there any more.
  std::shared_ptr<const StoredResponse> find(const std::string& id, const std::string& user) const;
  // Whether it was there.
  bool remove(const std::string& id, const std::string& user);

  uint64_t bytes() const;

 private:
  struct Entry {
    std::string id;
    std::shared_ptr<const StoredResponse> response;
    uint64_t bytes = 0;
  };
  std::deque<Entry>::const_iterator locate(const std::string& id, const std::string& user) const
      REQUIRES(mutex_);

  const uint64_t most_bytes_;
  const size_t most_;
  mutable Mutex mutex_;
  std::deque<Entry> entries_ GUARDED_BY(mutex_);  // the oldest first
  uint64_t bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace potluck
