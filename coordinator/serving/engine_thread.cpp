#include "coordinator/serving/engine_thread.h"

#include "engine/base/out_of_resources.h"

namespace potluck {

Result<std::unique_ptr<EngineThread>> EngineThread::start(CompletionEngine* engine) {
  std::unique_ptr<EngineThread> made(new EngineThread);
  auto thread = start_thread([engine, stop = &made->stop_] { engine->run_until(*stop); });
  if (!thread) return thread.error();
  made->thread_ = std::move(*thread);
  return made;
}

EngineThread::~EngineThread() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

}  // namespace potluck
