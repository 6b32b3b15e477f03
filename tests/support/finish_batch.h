// For tests that hand one batch to an executor: waits for its outcome, as a step would. A plain
// function; the executor's thread.
#pragma once

#include "engine/experts/executor.h"

namespace potluck::test {

inline Status finish(ExpertExecutor& executor, ExpertExecutor::Ticket ticket) {
  std::optional<Status> outcome = executor.take_completed(ticket);
  for (; !outcome; outcome = executor.take_completed(ticket)) {
    executor.turn(std::chrono::milliseconds(100));
  }
  return *outcome;
}

}  // namespace potluck::test
