// The flags that `run`, `eval`, `bench` and `serve` share, and what becomes of them. Plain values.
#pragma once

#include <memory>
#include <string>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/device_flags.h"
#include "coordinator/cli/number_text.h"
#include "coordinator/models/model_catalog.h"
#include "coordinator/runtime/runtime.h"

namespace potluck {

struct EngineFlags {
  std::string model;
  int threads = 0;  // 0: as many as there are processors
  uint32_t context = 0;
  std::string kv;  // "": the command's default
  std::string ram;
  std::string store;
  uint32_t slices = 1;
  uint32_t replicas = 0;  // 0: not given
  std::string prefer = "speed";
  std::string own_experts;
  uint32_t prefill_chunk = 0;  // 0: not given
  std::string isa;
  std::string prefetch = "auto";
  std::string verify = "sample";
  std::string speculate = "off";
  bool quiet = false;
  LogFlags log;
  std::string trace;
  uint32_t workers = 0;
  DeviceFlags device;  // of the local workers, or of this process if it streams experts itself
  bool share_model = false;
  bool finds_model = false;  // the command finds its model itself, and calls use_model()
};

void add_engine_flags(CLI::App* parser, EngineFlags* flags);

// --speculate, of the commands that write answers.
void add_speculation_flag(CLI::App* parser, EngineFlags* flags);

// --prefer, of these commands and of `plan`.
void add_prefer_flag(CLI::App* parser, std::string* target);
Prefer chosen_preference(const std::string& text);

// Checks the flags; errors name the flag, what is allowed and what was found. `default_kv` holds
// unless --kv says otherwise.
Result<RuntimeOptions> runtime_options(const EngineFlags& flags, KvType default_kv,
                                       const Environment& environment, Terminal* terminal);

// What becomes of a model that was found.
void use_model(const FoundModel& model, const EngineFlags& flags, RuntimeOptions* options);

// Opens the runtime with progress on the terminal, and told to `watcher` if there is one; with
// --workers, waits until all are ready.
Result<std::unique_ptr<Runtime>> open_runtime(const RuntimeOptions& options,
                                              const Environment& environment, Terminal* terminal,
                                              const StageProgress& watcher = {});
// The same for a model that `storage` has.
Result<std::unique_ptr<Runtime>> open_runtime(const RuntimeOptions& options,
                                              const Environment& environment, Storage& storage,
                                              Terminal* terminal, const StageProgress& watcher);

}  // namespace potluck
