// The CompletionEngine of a runtime. Plain functions; the runtime's thread.
#pragma once

#include <memory>
#include <string>

#include "coordinator/runtime/runtime.h"
#include "coordinator/serving/completion_engine.h"

namespace potluck {

// What clients call the model of this file: "models/taleteller-Q4_K_M.gguf" is
// "taleteller-Q4_K_M".
std::string served_model_id(const std::string& path);

// What the model file says of itself. The template may be null; `created` in unix seconds.
ServedModel describe_served_model(const Model& model, const ChatTemplate* chat_template,
                                  int64_t created);

// `options` comes without what the runtime knows: the served model, type and size of the caches,
// the prefill chunk; whether to speculate, unless they say so. The runtime and the template, which
// may be null, must outlive the engine.
std::unique_ptr<CompletionEngine> make_engine(Runtime& runtime, const ChatTemplate* chat_template,
                                              EngineOptions options);

// Where earlier conversations with this model are kept on disk. The storage and the sink must
// outlive the store.
Result<std::unique_ptr<PrefixStore>> open_prefix_store(const Runtime& runtime, Storage& storage,
                                                       const std::string& directory, uint64_t quota,
                                                       LogSink* log);

}  // namespace potluck
