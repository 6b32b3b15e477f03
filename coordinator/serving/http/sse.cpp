#include "coordinator/serving/http/sse.h"

namespace potluck {

std::string sse_data(const JsonValue& value) {
  return "data: " + write_json(value) + "\n\n";
}

}  // namespace potluck
