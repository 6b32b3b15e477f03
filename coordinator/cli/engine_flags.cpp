#include "coordinator/cli/engine_flags.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/cli/directories.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/model_argument.h"
#include "engine/base/limits.h"
#include "engine/model/context_plan.h"
#include "protocol/listen_address.h"

namespace potluck {
namespace {

constexpr uint64_t kLastResortBytes = 256 * kMiB;

// The flag takes these names only; without it, the command decides.
KvType chosen_kv(const std::string& name, KvType fallback) {
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    if (name == kv_type_name(type)) return type;
  }
  return fallback;
}

// As --verify takes them.
VerifyMode chosen_verify(const std::string& name) {
  if (name == "all") return VerifyMode::kAll;
  return name == "off" ? VerifyMode::kOff : VerifyMode::kSample;
}

// As --prefetch takes them, for experts on this machine's own disk.
ReadAhead chosen_read_ahead(const std::string& name) {
  if (name == "on") return ReadAhead::kAll;
  return name == "off" ? ReadAhead::kOff : ReadAhead::kSure;
}

// As --speculate takes them.
SpeculationRule chosen_speculation(const std::string& name) {
  if (name == "auto") return SpeculationRule::kMeasured;
  return name == "lookup" ? SpeculationRule::kAlways : SpeculationRule::kOff;
}

// What no single flag can know.
Status check_flags(const EngineFlags& flags) {
  bool for_workers = !flags.device.sim_link.empty() || flags.device.sim_compute != 1;
  if (for_workers && flags.workers == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 "--sim-link and --sim-compute: expected with --workers, found no workers"};
  }
  return {};
}

std::string describe_context(const Runtime& runtime) {
  const ModelConfig& config = runtime.model().config();
  KvType type = runtime.kv_type();
  std::string text = fmt::format(
      "context of {} positions, {} of KV cache when full ({} per position in {})",
      runtime.context(), format_bytes(KvCache::bytes_for(config, type, runtime.context())),
      format_bytes(KvCache::bytes_per_position(config, type)), kv_type_name(type));
  if (runtime.context() <= config.trained_context) return text;
  return text + fmt::format("; the model was trained on {} positions", config.trained_context);
}

}  // namespace

void add_prefer_flag(CLI::App* parser, std::string* target) {
  add_choice(parser, "--prefer", target, {"speed", "battery"},
             "what experts are shared out by: speed, or battery: devices that run on theirs get "
             "none as long as the others take no more than twice as long (default speed)")
      .envname("POTLUCK_PREFER");
}

void add_speculation_flag(CLI::App* parser, EngineFlags* flags) {
  flags->speculate = "auto";
  add_choice(parser, "--speculate", &flags->speculate, {"auto", "lookup", "off"},
             "compute tokens that may come next beside the one that is due; the text is the same: "
             "auto (those that followed the same words before, while that makes answers faster, "
             "default), lookup (all of these, without measuring) or off")
      .envname("POTLUCK_SPECULATE");
}

Prefer chosen_preference(const std::string& text) {
  return text == "battery" ? Prefer::kBattery : Prefer::kSpeed;
}

void add_engine_flags(CLI::App* parser, EngineFlags* flags) {
  add_text(parser, "MODEL", &flags->model, kModelHelp).required();
  add_whole(parser, "--threads", &flags->threads, {0, limits::kThreads},
            "threads (default, 0: one per processor that may be used)")
      .envname("POTLUCK_THREADS");
  add_whole(parser, "--ctx", &flags->context, {0, limits::kContext},
            "positions of context (default, 0: the model's, or what half the memory holds)")
      .envname("POTLUCK_CTX");
  add_choice(parser, "--kv", &flags->kv, {"f16", "f32", "q8_0"}, "type of the KV cache")
      .envname("POTLUCK_KV");
  add_size(parser, "--ram", &flags->ram,
           "memory for experts, such as 4GiB: of each worker with --workers, else of this "
           "process, which then streams the rest from disk (default: all of them if they fit, "
           "else what fits)")
      .envname("POTLUCK_RAM");
  add_text(parser, "--store", &flags->store,
           "directory for a laid-out copy of the experts, as large as they are (default: none, "
           "they are read from MODEL, unless it has such a copy from earlier; of local workers: "
           "in ~/.cache/potluck)")
      .envname("POTLUCK_STORE");
  add_whole(parser, "--slices", &flags->slices, {1, limits::kSlices},
            "slices each expert is cut into (default 1)")
      .envname("POTLUCK_SLICES");
  add_whole(parser, "--replicas", &flags->replicas, {1, limits::kHoldersPerUnit},
            "workers that hold each part of an expert, as far as there is room, the most used "
            "experts first (default 1, with serve --spread 2)")
      .envname("POTLUCK_REPLICAS");
  add_prefer_flag(parser, &flags->prefer);
  add_size(parser, "--own-experts", &flags->own_experts,
           "memory of this process for experts that it computes itself while its workers compute "
           "the others, such as 4GiB (default: none)")
      .envname("POTLUCK_OWN_EXPERTS");
  add_whole(parser, "--prefill-chunk", &flags->prefill_chunk, {1, limits::kPrefillChunk},
            "prompt tokens per step (default 512; where experts are read from disks, up to 4096 as "
            "memory allows)")
      .envname("POTLUCK_PREFILL_CHUNK");
  add_text(parser, "--isa", &flags->isa,
           "instruction set of the kernels, one of those that `potluck version` names")
      .envname("POTLUCK_ISA");
  add_whole(parser, "--workers", &flags->workers, {0, limits::kWorkers},
            "worker processes on this machine")
      .envname("POTLUCK_WORKERS");
  add_choice(
      parser, "--prefetch", &flags->prefetch, {"auto", "on", "off"},
      "read experts ahead of the layer that needs them: auto (those that a prompt's next layer "
      "all but certainly needs; workers, whose disks have idle moments, likely ones too), "
      "on (likely ones everywhere) or off")
      .envname("POTLUCK_PREFETCH");
  add_choice(parser, "--verify", &flags->verify, {"sample", "all", "off"},
             "compare workers' answers with another worker's or this machine's own: sample (all of "
             "a new worker's, then fewer, 1 in 100 at the least), all (each answer before it "
             "counts) or off")
      .envname("POTLUCK_VERIFY");
  add_switch(parser, "--share-model", &flags->share_model,
             "let the worker processes cut their experts from MODEL instead of fetching them");
  add_switch(parser, "--quiet", &flags->quiet, "errors only on standard error");
  add_log_flags(parser, &flags->log);
  add_text(parser, "--trace", &flags->trace,
           "a file for a trace of every layer, for chrome://tracing or ui.perfetto.dev")
      .envname("POTLUCK_TRACE");
  add_device_flags(parser, &flags->device);
  add_launcher_flag(parser, &flags->device);
}

void use_model(const FoundModel& model, const EngineFlags& flags, RuntimeOptions* options) {
  options->model_path = model.path();
  options->stream.store_directory = flags.store.empty() ? store_of_model(model) : flags.store;
  options->stream.store_wanted = !flags.store.empty();
  if (flags.share_model) options->pool_options.local.model_path = model.path();
}

Result<RuntimeOptions> runtime_options(const EngineFlags& flags, KvType default_kv,
                                       const Environment& environment, Terminal* terminal) {
  if (Status status = check_flags(flags); !status) return status.error();
  Result<DeviceOptions> device = device_options(flags.device);
  if (!device) return device.error();
  auto launcher = launcher_words(flags.device);
  if (!launcher) return launcher.error();
  uint64_t ram = 0;
  if (!flags.ram.empty()) {
    Result<uint64_t> size = parse_size("--ram", flags.ram);
    if (!size) return size.error();
    ram = *size;
  }
  uint64_t own = 0;
  if (!flags.own_experts.empty()) {
    Result<uint64_t> size = parse_size("--own-experts", flags.own_experts);
    if (!size) return size.error();
    own = *size;
  }
  RuntimeOptions options;
  options.threads_given = flags.threads > 0;
  options.threads =
      options.threads_given ? flags.threads : default_threads(process_limits(environment.system));
  options.context = flags.context;
  options.system = &environment.system;
  options.kv_type = chosen_kv(flags.kv, default_kv);
  options.stream.ram_bytes = ram;
  options.stream.read_ahead = chosen_read_ahead(flags.prefetch);
  options.stream.log = terminal;
  options.slices = flags.slices;
  options.prefill_chunk = flags.prefill_chunk;
  options.speculation = chosen_speculation(flags.speculate);
  options.isa = flags.isa;
  options.stream.reader = device->reader;
  options.pool = flags.workers > 0;
  options.trace_path = flags.trace;
  PoolOptions& pool = options.pool_options;
  pool.slices = flags.slices;
  pool.replicas = std::max<uint32_t>(1, flags.replicas);
  pool.prefer = chosen_preference(flags.prefer);
  pool.own_bytes = own;
  pool.local_workers = flags.workers;
  pool.last_resort_bytes = kLastResortBytes;
  pool.log = terminal;
  pool.prefetch = flags.prefetch != "off";
  pool.verify = chosen_verify(flags.verify);
  // Digests, not experts: a coordinator has no store, but hashing all weights takes long enough to
  // be done once.
  pool.records_directory = own_directories().cache + "/layers";
  pool.local.program = environment.program;
  pool.local.store_directory =
      flags.store.empty() ? own_directories().cache + "/store" : flags.store;
  pool.local.ram_bytes = ram;
  pool.local.isa = flags.isa;
  pool.local.more_arguments = join_arguments(flags.device);
  pool.local.launcher = std::move(*launcher);
  if (!pool.local.launcher.empty()) {
    // Workers of other namespaces do not reach this one's loopback.
    auto everywhere = find_listen_place("*", this_machine());
    if (!everywhere) return everywhere.error().in("--worker-launcher");
    pool.listen = std::move(*everywhere);
  }
  if (flags.finds_model) return options;
  auto model = find_named_model(flags.model, environment);
  if (!model) return model.error();
  use_model(*model, flags, &options);
  return options;
}

Result<std::unique_ptr<Runtime>> open_runtime(const RuntimeOptions& options,
                                              const Environment& environment, Terminal* terminal,
                                              const StageProgress& watcher) {
  return open_runtime(options, environment, environment.storage, terminal, watcher);
}

Result<std::unique_ptr<Runtime>> open_runtime(const RuntimeOptions& options,
                                              const Environment& environment, Storage& storage,
                                              Terminal* terminal, const StageProgress& watcher) {
  auto progress = [&](const std::string& stage, uint64_t done, uint64_t total) {
    terminal->progress(stage, done, total);
    if (watcher) watcher(stage, done, total);
  };
  auto runtime = Runtime::open(options, storage, environment.clock, environment.entropy, progress);
  if (!runtime) return runtime.error();
  for (const std::string& note : (*runtime)->model().notes()) terminal->notice(note);
  terminal->notice(describe_context(**runtime));
  uint32_t workers = options.pool_options.local_workers;
  if (workers > 0) {
    Status ready = (*runtime)->pool()->wait_until_ready(
        workers, [&](uint64_t done, uint64_t total) { progress("delivering units", done, total); });
    if (!ready) return ready.error();
  }
  terminal->end_progress();
  return runtime;
}

}  // namespace potluck
