// ReplyAdder: adds the sums of a reply to the answer of its batch. Owns scratch memory, which says
// nothing between two calls. One thread.
#pragma once

#include <vector>

#include "coordinator/dispatch/row_calls.h"
#include "engine/base/result.h"
#include "protocol/message.h"

namespace potluck {

class ReplyAdder {
 public:
  // `partial` has passed check_reply() for `calls`, and `answer` has their rows. Checks the values
  // in the tensor frame, each of which is at most `limit` in magnitude, before it touches anything;
  // says why it refuses them.
  Status add(std::span<const RowCall> calls, const Partial& partial, ByteSpan tensor, int64_t limit,
             ExpertSums* answer);
  // The same checks alone.
  Status check(const Partial& partial, ByteSpan tensor, int64_t limit, uint32_t hidden);

 private:
  std::vector<int64_t> sums_;  // [rows of the reply, hidden]
};

}  // namespace potluck
