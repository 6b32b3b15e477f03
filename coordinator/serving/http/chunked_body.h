// ChunkedBody: decodes a chunked request body (RFC 9112, 7.1). What it finds does not depend on how
// the network has cut the bytes. Extensions are skipped; trailers are refused, because the checks
// of the head have not seen them. One thread.
//
// Beast's own reader does not do: it takes quoted extensions differently when they come in pieces,
// has no limit for them, and fails an assertion, which ends the program, when the last chunk comes
// in small pieces (found by the fuzz target http_head).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "coordinator/serving/http/http_message.h"

namespace potluck {

class ChunkedBody {
 public:
  // At most: bytes of the line before a chunk, and of the whole body.
  ChunkedBody(size_t line_bytes, uint64_t body_bytes)
      : line_bytes_(line_bytes), body_bytes_(body_bytes) {}

  // Appends content to the body. Returns how many bytes it has used; the caller keeps the rest and
  // passes it again with what follows.
  size_t take(std::string_view bytes, std::string* body);
  bool done() const { return state_ == State::kDone; }
  const std::optional<HttpRefusal>& refusal() const { return refusal_; }

 private:
  enum class State { kSize, kContent, kContentEnd, kEnd, kDone };

  size_t take_size(std::string_view bytes, uint64_t body_so_far);
  size_t take_line_end(std::string_view bytes, State next, const char* otherwise);

  size_t line_bytes_;
  uint64_t body_bytes_;
  State state_ = State::kSize;
  uint64_t left_ = 0;  // of the chunk
  std::optional<HttpRefusal> refusal_;
};

}  // namespace potluck
