#include "protocol/message.h"

#include <array>

namespace potluck {

const char* message_name(const Message& message) {
  constexpr std::array kNames = {"Hello",       "Welcome",       "Refusal",    "Assignment",
                                 "Residency",   "Compute",       "Partial",    "Heartbeat",
                                 "Goodbye",     "FetchManifest", "FetchGrain", "BulkData",
                                 "JoinRequest", "JoinAccept",    "Roster",     "SourceReport"};
  static_assert(kNames.size() == std::variant_size_v<Message>);
  return kNames[message.index()];
}

}  // namespace potluck
