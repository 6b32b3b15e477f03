#include "coordinator/serving/http/sse.h"

namespace potluck {

std::string sse_data(const JsonValue& value) {
  return "data: " + write_json(value) + "\n\n";
}

std::string sse_event(std::string_view name, const JsonValue& value) {
  return "event: " + std::string(name) + "\n" + sse_data(value);
}

}  // namespace potluck
