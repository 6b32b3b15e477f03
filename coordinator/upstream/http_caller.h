// HttpCaller: makes requests of other servers and passes on what these answer, byte by byte as it
// comes. The seam between what an upstream says and the network.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace potluck {

struct HttpCall {
  std::string url;
  std::vector<std::string> headers{};  // "Name: value"; may hold secrets
  // Makes the body; called once by the caller's thread, since it may take milliseconds.
  std::function<std::string()> body{};
  std::string ca_file{};  // empty: the system's certificates
  uint32_t silence_seconds = 120;
  uint32_t answer_seconds = 1800;
};

// Told in this order, by the caller's thread; must not block.
class HttpCallSink {
 public:
  virtual ~HttpCallSink() = default;

  // False, of both: nothing more is wanted, and the call ends.
  virtual bool on_status(int status) = 0;
  virtual bool on_bytes(std::string_view bytes) = 0;
  // Once, and the last: the answer is whole, or why it is not. kCancelled: it was not wanted.
  virtual void on_end(const Status& ended) = 0;
};

using HttpCallId = uint64_t;

class HttpCaller {
 public:
  virtual ~HttpCaller() = default;

  // kLimit: too many are under way. Any thread.
  virtual Result<HttpCallId> call(HttpCall call, std::shared_ptr<HttpCallSink> sink) = 0;
  // The sink may still be told what was on its way. Any thread.
  virtual void cancel(HttpCallId id) = 0;
};

}  // namespace potluck
