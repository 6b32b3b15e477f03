// http_get(): a small document from a server, whole, such as the answer of a hub's API. A server
// that is busy is asked again, within the bounds of HttpOptions. Blocks; any thread.
#pragma once

#include <string>

#include "coordinator/spread/http_handle.h"

namespace potluck {

struct HttpDocument {
  int status = 0;  // of the last answer; anything but those that pass (429, 5xx)
  std::string body;
  std::string error_code;  // HttpReply::error_code(), error_text()
  std::string error_text;
};

// kInvalidArgument: an address that cannot be used; kLimit: a longer answer; kRefused, kIo,
// kCancelled as HttpFile::open() says.
Result<HttpDocument> http_get(const std::string& address, const HttpOptions& options,
                              uint64_t most_bytes);

}  // namespace potluck
