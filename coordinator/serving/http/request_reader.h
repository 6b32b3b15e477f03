// RequestReader: one HTTP/1.1 request out of the bytes that a client sends. There is one reading
// only of where a request ends; what other programs might read in another way is refused. One
// object per request, one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "coordinator/serving/http/chunked_body.h"

namespace potluck {

class RequestReader {
 public:
  RequestReader(uint32_t head_bytes, uint64_t body_bytes);
  ~RequestReader();
  RequestReader(RequestReader&&) noexcept;
  RequestReader& operator=(RequestReader&&) noexcept;

  // Returns how many of the bytes belong to the request so far. Those of a head that is not whole
  // are wanted again, with more behind them.
  size_t take(std::string_view bytes);

  // Why there will be no request.
  const std::optional<HttpRefusal>& refusal() const { return refusal_; }
  bool head_done() const;
  bool done() const;

  // Once the head is done:
  size_t body_bytes() const;  // so far
  bool keep_alive() const;
  bool is_http11() const;
  bool is_head() const;
  bool expects_continue() const;

  // Once it is done; call once.
  HttpRequest request();

 private:
  struct Parser;
  size_t take_head(std::string_view bytes);
  size_t take_body(std::string_view bytes);
  std::optional<HttpRefusal> check_head() const;

  uint32_t head_bytes_;
  std::unique_ptr<Parser> parser_;  // of the head
  std::optional<ChunkedBody> chunks_;
  uint64_t length_ = 0;  // of a body without chunks
  uint64_t body_bytes_;  // at most
  std::string body_;
  std::optional<HttpRefusal> refusal_;
};

}  // namespace potluck
