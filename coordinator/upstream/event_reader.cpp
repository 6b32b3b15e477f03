#include "coordinator/upstream/event_reader.h"

#include <algorithm>
#include <utility>

namespace potluck {
namespace {

Error too_long_event() {
  return {ErrorCode::kLimit, "it sends an event that is too long"};
}

}  // namespace

Status EventReader::push(std::string_view bytes, const Taker& taker) {
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    if (line_.size() + data_.size() + end > kMostEventBytes) return too_long_event();
    line_ += bytes.substr(0, end);
    if (end == bytes.size()) return {};
    bytes.remove_prefix(end + 1);
    if (line_.ends_with('\r')) line_.pop_back();
    const std::string line = std::exchange(line_, {});
    if (Status taken = take_line(line, taker); !taken) return taken;
  }
  return {};
}

Status EventReader::take_line(std::string_view line, const Taker& taker) {
  if (line.empty()) {
    const std::string name = std::exchange(name_, {});
    const std::string data = std::exchange(data_, {});
    return std::exchange(has_data_, false) ? taker(name, data) : Status();
  }
  const size_t colon = std::min(line.find(':'), line.size());
  const std::string_view field = line.substr(0, colon);
  std::string_view value = line.substr(std::min(colon + 1, line.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") name_ = value;
  if (field != "data") return {};
  if (std::exchange(has_data_, true)) data_ += '\n';
  data_ += value;
  return {};
}

}  // namespace potluck
