// CallIds: gives the calls of one answer their ids. A call has one from where it begins on, before
// it is whole. Belongs to a request; the engine's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include <fmt/format.h>

#include "engine/chat/answer_stream.h"

namespace potluck {

class CallIds {
 public:
  // `count`: of all calls so far, which the engine keeps.
  void give(AnswerPiece* piece, uint64_t* count) {
    for (ToolCallGrowth& growth : piece->growth) {
      if (!growth.begins) continue;
      growth.id = fmt::format("call_{}", ++*count);
      begun_.push_back(growth.id);
    }
    for (ToolCall& call : piece->calls) {
      if (begun_.empty()) begun_.push_back(fmt::format("call_{}", ++*count));
      call.id = std::move(begun_.front());
      begun_.pop_front();
    }
  }

 private:
  std::deque<std::string> begun_;  // those that are not whole
};

}  // namespace potluck
