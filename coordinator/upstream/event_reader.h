// EventReader: server-sent events out of bytes that come in pieces. What a server may make us keep
// is bounded. One thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace potluck {

class EventReader {
 public:
  // Of one event: the arguments of a large tool call, as JSON in JSON.
  static constexpr size_t kMostEventBytes = 4 << 20;

  // Takes the next bytes and tells of each event that is whole: its name, which may be empty, and
  // its data. Ends with the first error, also that of the taker. kLimit: an event is too long.
  using Taker = std::function<Status(std::string_view name, std::string_view data)>;
  Status push(std::string_view bytes, const Taker& taker);

 private:
  Status take_line(std::string_view line, const Taker& taker);

  std::string line_;  // without its end yet
  std::string name_;
  std::string data_;
  bool has_data_ = false;
};

}  // namespace potluck
