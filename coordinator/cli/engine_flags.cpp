#include "coordinator/cli/engine_flags.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/model/context_plan.h"

namespace potluck {
namespace {

constexpr uint64_t kLastResortBytes = 256 * kMiB;

Error out_of_range(const char* flag, uint64_t low, uint64_t high, uint64_t found) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("{}: expected {} to {}, found {}", flag, low, high, found)};
}

Result<uint64_t> unit_factor(const std::string& flag, std::string unit) {
  struct Unit {
    const char* name;
    uint64_t factor;
  };
  constexpr Unit kUnits[] = {{"", 1},
                             {"b", 1},
                             {"k", kKiB},
                             {"kib", kKiB},
                             {"kb", 1000},
                             {"m", kMiB},
                             {"mib", kMiB},
                             {"mb", 1000000},
                             {"g", kGiB},
                             {"gib", kGiB},
                             {"gb", 1000000000},
                             {"t", 1024 * kGiB},
                             {"tib", 1024 * kGiB},
                             {"tb", 1000000000000}};
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const Unit& known : kUnits) {
    if (unit == known.name) return known.factor;
  }
  return Error{
      ErrorCode::kInvalidArgument,
      fmt::format("{}: unknown unit '{}', expected K, M, G or T, KiB .. or KB ..", flag, unit)};
}

Result<KvType> parse_kv(const std::string& text, KvType fallback) {
  if (text.empty()) return fallback;
  if (text == "f32") return KvType::kF32;
  if (text == "f16") return KvType::kF16;
  if (text == "q8_0") return KvType::kQ8_0;
  return Error{ErrorCode::kInvalidArgument, "--kv: expected f16, f32 or q8_0, found " + text};
}

Status check_flags(const EngineFlags& flags) {
  if (flags.threads < 0 || flags.threads > static_cast<int>(limits::kThreads)) {
    return out_of_range("--threads", 1, limits::kThreads, static_cast<uint64_t>(flags.threads));
  }
  if (flags.slices < 1 || flags.slices > limits::kSlices) {
    return out_of_range("--slices", 1, limits::kSlices, flags.slices);
  }
  if (flags.prefill_chunk < 1 || flags.prefill_chunk > limits::kPrefillChunk) {
    return out_of_range("--prefill-chunk", 1, limits::kPrefillChunk, flags.prefill_chunk);
  }
  if (flags.prefetch != "auto" && flags.prefetch != "on" && flags.prefetch != "off") {
    return Error{ErrorCode::kInvalidArgument,
                 "--prefetch: expected auto, on or off, found " + flags.prefetch};
  }
  if (flags.workers > limits::kWorkers) {
    return out_of_range("--workers", 0, limits::kWorkers, flags.workers);
  }
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

void add_engine_flags(CLI::App* parser, EngineFlags* flags) {
  parser->add_option("MODEL", flags->model, "a GGUF file; of a split model, its first part")
      ->required();
  parser
      ->add_option("--threads", flags->threads,
                   "threads (default: one per processor that may be used)")
      ->envname("POTLUCK_THREADS");
  parser
      ->add_option("--ctx", flags->context,
                   "positions of context (default: the model's, or what half the memory holds)")
      ->envname("POTLUCK_CTX");
  parser->add_option("--kv", flags->kv, "type of the KV cache: f16, f32 or q8_0")
      ->envname("POTLUCK_KV");
  parser
      ->add_option("--ram", flags->ram,
                   "memory for experts, such as 4GiB: of each worker with --workers, else of this "
                   "process, which then streams the rest from its store (default: all of them if "
                   "they fit, else what fits)")
      ->envname("POTLUCK_RAM");
  parser
      ->add_option("--store", flags->store,
                   "directory for experts on disk (default: beside the model; of local workers: "
                   "in ~/.potluck)")
      ->envname("POTLUCK_STORE");
  parser->add_option("--slices", flags->slices, "slices each expert is cut into (default 1)")
      ->envname("POTLUCK_SLICES");
  parser
      ->add_option("--prefill-chunk", flags->prefill_chunk, "prompt tokens per step (default 512)")
      ->envname("POTLUCK_PREFILL_CHUNK");
  parser->add_option("--isa", flags->isa, "instruction set of the kernels: scalar, avx2 ..")
      ->envname("POTLUCK_ISA");
  parser->add_option("--workers", flags->workers, "worker processes on this machine")
      ->envname("POTLUCK_WORKERS");
  parser
      ->add_option(
          "--prefetch", flags->prefetch,
          "read experts ahead of the layer that needs them: auto (workers do; alone, where "
          "the disk is never idle, it costs more than it brings), on or off")
      ->envname("POTLUCK_PREFETCH");
  parser->add_flag(
      "--share-model", flags->share_model,
      "let the worker processes cut their experts from MODEL instead of fetching them");
  parser->add_flag("--quiet", flags->quiet, "errors only on standard error");
  add_device_flags(parser, &flags->device);
}

Result<uint64_t> parse_size(const std::string& flag, const std::string& text) {
  double number = 0;
  auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || !(number >= 0)) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: expected a size such as 4GiB, found '{}'", flag, text)};
  }
  Result<uint64_t> factor = unit_factor(flag, std::string(rest, text.data() + text.size()));
  if (!factor) return factor.error();
  double bytes = number * static_cast<double>(*factor);
  if (bytes > 1e18) {
    return Error{ErrorCode::kLimit, fmt::format("{}: {} is too large", flag, text)};
  }
  return static_cast<uint64_t>(bytes);
}

Result<RuntimeOptions> runtime_options(const EngineFlags& flags, KvType default_kv,
                                       const Environment& environment, Terminal* terminal) {
  if (Status status = check_flags(flags); !status) return status.error();
  Result<KvType> kv = parse_kv(flags.kv, default_kv);
  if (!kv) return kv.error();
  Result<DeviceOptions> device = device_options(flags.device);
  if (!device) return device.error();
  uint64_t ram = 0;
  if (!flags.ram.empty()) {
    Result<uint64_t> size = parse_size("--ram", flags.ram);
    if (!size) return size.error();
    ram = *size;
  }
  RuntimeOptions options;
  options.model_path = flags.model;
  options.threads_given = flags.threads > 0;
  options.threads =
      options.threads_given ? flags.threads : default_threads(process_limits(environment.system));
  options.context = flags.context;
  options.system = &environment.system;
  options.kv_type = *kv;
  options.stream.ram_bytes = ram;
  options.stream.store_directory = flags.store.empty() ? flags.model + ".potluck" : flags.store;
  options.stream.prefetch = flags.prefetch == "on";
  options.stream.notice = [terminal](const std::string& text) { terminal->notice(text); };
  options.slices = flags.slices;
  options.prefill_chunk = flags.prefill_chunk;
  options.isa = flags.isa;
  options.stream.reader = device->reader;
  options.pool = flags.workers > 0;
  PoolOptions& pool = options.pool_options;
  pool.slices = flags.slices;
  pool.local_workers = flags.workers;
  pool.last_resort_bytes = kLastResortBytes;
  pool.notice = options.stream.notice;
  pool.prefetch = flags.prefetch != "off";
  pool.records_directory = home_directory() + "/layers";
  pool.local.program = environment.program;
  pool.local.store_directory = flags.store.empty() ? home_directory() + "/store" : flags.store;
  pool.local.ram_bytes = ram;
  pool.local.isa = flags.isa;
  pool.local.more_arguments = join_arguments(flags.device);
  if (flags.share_model) pool.local.model_path = flags.model;
  return options;
}

Result<std::unique_ptr<Runtime>> open_runtime(const RuntimeOptions& options,
                                              const Environment& environment, Terminal* terminal) {
  auto progress = [terminal](const std::string& stage, uint64_t done, uint64_t total) {
    terminal->progress(stage, done, total);
  };
  auto runtime =
      Runtime::open(options, environment.storage, environment.clock, environment.entropy, progress);
  if (!runtime) return runtime.error();
  terminal->notice(describe_context(**runtime));
  uint32_t workers = options.pool_options.local_workers;
  if (workers > 0) {
    Status ready =
        (*runtime)->pool()->wait_until_ready(workers, [terminal](uint64_t done, uint64_t total) {
          terminal->progress("delivering units", done, total);
        });
    if (!ready) return ready.error();
  }
  terminal->end_progress();
  return runtime;
}

std::string home_directory() {
  if (const char* home = std::getenv("POTLUCK_HOME"); home != nullptr && *home != 0) return home;
  const char* user = std::getenv("HOME");
  return std::string(user != nullptr && *user != 0 ? user : ".") + "/.potluck";
}

}  // namespace potluck
