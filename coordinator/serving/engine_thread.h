// EngineThread: takes the turns of a CompletionEngine in a thread of its own, so that everyone else
// is the engine's client. The engine, its Forward objects and its executor are that thread's from
// the start to the end.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "coordinator/serving/completion_engine.h"

namespace potluck {

class EngineThread {
 public:
  // The engine must outlive it. kLimit when the system starts no further thread.
  static Result<std::unique_ptr<EngineThread>> start(CompletionEngine* engine);
  // Ends within one turn; requests that are left stay in the engine as they are.
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

 private:
  EngineThread() = default;

  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace potluck
