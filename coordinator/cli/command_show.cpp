// `potluck show`: what is in a model file, and how its experts are cut.
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/chat_flags.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/model_argument.h"
#include "coordinator/cli/terminal.h"
#include "engine/base/process_limits.h"
#include "engine/experts/grain_cutter.h"
#include "engine/experts/lay_out_speed.h"
#include "engine/model/context_plan.h"
#include "engine/model/model.h"

namespace potluck {
namespace {

struct ShowFlags {
  std::string model;
  bool json = false;
};

std::map<std::string, uint64_t> bytes_by_format(const GgufModel& model) {
  std::map<std::string, uint64_t> bytes;
  for (const GgufTensor& tensor : model.tensors()) {
    bytes[std::string(block_format(tensor.type).name)] += tensor.bytes;
  }
  return bytes;
}

// `threads` lay out where experts are streamed from the file (--ram).
nlohmann::json describe_experts(const GgufModel& model, const std::vector<ExpertBank>& banks,
                                int threads) {
  if (banks.empty()) return nullptr;
  const ExpertBank& first = banks.front();
  ChunkPlan plan = plan_chunks(first.shape);
  GrainCutter cutter(model, banks);
  const double lay_out_speed = measure_lay_out_speed(cutter, SystemClock());
  return {{"layers", banks.size()},
          {"experts_per_layer", first.experts},
          {"width", first.shape.width},
          {"chunk_width", plan.chunk_width},
          {"grains_per_expert", plan.grains},
          {"expert_bytes", cutter.expert_bytes(first.layer)},
          {"total_bytes", cutter.total_bytes()},
          {"lay_out_bytes_per_s", std::llround(lay_out_speed * threads)},
          {"copy_pays_from_bytes_per_s", std::llround(copy_pays_from(lay_out_speed, threads))}};
}

// What stands in the file and takes no part: next-token layers, and what sees or hears.
struct Skipped {
  uint64_t tensors = 0;
  uint64_t bytes = 0;

  Skipped(const GgufModel& model, const ModelConfig& config) {
    for (const GgufTensor& tensor : model.tensors()) {
      if (!is_skipped(config, tensor.name)) continue;
      ++tensors;
      bytes += tensor.bytes;
    }
  }
};

// What one token reads, as the file stores it: of the token embedding a row, unless it is the
// output matrix too; of the embedding that layers read a row; of the experts those that a token
// uses.
nlohmann::json describe_token(const GgufModel& model, const ModelConfig& config,
                              const std::vector<ExpertBank>& banks) {
  uint64_t experts = 0;
  for (const ExpertBank& bank : banks) {
    for (const GgufTensor* tensor : bank.tensors()) experts += tensor->bytes;
  }
  uint64_t resident = 0;
  for (const GgufTensor& tensor : model.tensors()) resident += tensor.bytes;
  resident -= experts + Skipped(model, config).bytes;
  const GgufTensor* embedding = model.find("token_embd.weight");
  bool is_only_looked_up = embedding != nullptr && model.find("output.weight") != nullptr;
  if (is_only_looked_up) resident -= embedding->bytes - embedding->row_bytes();
  const GgufTensor* of_layers = model.find("per_layer_token_embd.weight");
  if (of_layers != nullptr) resident -= of_layers->bytes - of_layers->row_bytes();
  uint64_t used =
      config.router.experts == 0 ? 0 : experts / config.router.experts * config.router.top_k;
  return {{"resident_bytes", resident},
          {"expert_bytes", used},
          {"cache_bytes_per_position", KvCache::bytes_per_position(config, KvType::kF16)}};
}

// What one position of context takes, by --kv.
nlohmann::json describe_cache(const ModelConfig& config) {
  nlohmann::json bytes;
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    bytes[std::string(kv_type_name(type))] = KvCache::bytes_per_position(config, type);
  }
  return bytes;
}

// Whether `run` can chat with the model.
nlohmann::json describe_chat_template(const GgufMetadata& metadata) {
  const auto own = model_chat_template(metadata);
  if (!own) return nullptr;
  return *own ? "usable" : "unusable: " + own->error().message;
}

nlohmann::json describe(const GgufModel& model, const ModelConfig& config,
                        const std::vector<ExpertBank>& banks, int threads) {
  const Skipped skipped(model, config);
  return {{"name", config.name},
          {"architecture", config.architecture},
          {"gguf_version", model.version()},
          {"files", model.paths().size()},
          {"file_bytes", model.file_bytes()},
          {"layers", config.layers},
          {"hidden", config.hidden},
          {"heads", config.heads},
          {"kv_heads", config.kv_heads},
          {"head_dim", config.head_dim},
          {"vocabulary", config.vocabulary},
          {"trained_context", config.trained_context},
          {"kv_bytes_per_position", describe_cache(config)},
          {"recurrent_state_bytes", KvCache::fixed_bytes(config)},
          {"chat_template", describe_chat_template(model.metadata())},
          {"next_token_layers", config.next_token_layers},
          {"skipped", {{"tensors", skipped.tensors}, {"bytes", skipped.bytes}}},
          {"experts_used", config.router.top_k},
          {"experts", describe_experts(model, banks, threads)},
          {"per_token", describe_token(model, config, banks)},
          {"bytes_by_format", bytes_by_format(model)}};
}

void print_plain(const nlohmann::json& report, const std::string& indent, Output& out) {
  for (const auto& [key, value] : report.items()) {
    if (value.is_object()) {
      out.line(indent + key);
      print_plain(value, indent + "  ", out);
      continue;
    }
    std::string text = value.is_string() ? value.get<std::string>() : json_text(value);
    if (key.ends_with("bytes") && value.is_number()) text = format_bytes(value.get<uint64_t>());
    if (key.ends_with("bytes_per_s")) text = fmt::format("{:.1f} GB/s", value.get<double>() / 1e9);
    out.line(fmt::format("{}{:<20} {}", indent, key, text));
  }
}

// What is known of a published model without a file.
nlohmann::json describe_published(const PublishedFile& file) {
  const PublishedModel& model = *file.model;
  uint64_t experts = 0;
  uint64_t resident = 0;
  for (const GgufTensor& tensor : file.tensors) {
    const bool is_expert = tensor.name.find("_exps.") != std::string::npos;
    (is_expert ? experts : resident) += tensor.bytes;
  }
  nlohmann::json report = {{"name", model.title},
                           {"source", model.source},
                           {"architecture", model.architecture},
                           {"quantization", file.format},
                           {"file_bytes", file.bytes()},
                           {"parameters", file.parameters()},
                           {"layers", model.layers},
                           {"hidden", model.hidden},
                           {"vocabulary", model.vocabulary},
                           {"heads", model.attention.heads},
                           {"head_dim", model.attention.head_dim},
                           {"experts_used", model.top_k},
                           {"resident_bytes", resident}};
  if (model.context > 0) report["trained_context"] = model.context;
  // Of latent attention there is one for all.
  if (model.attention.kv_heads > 0) report["kv_heads"] = model.attention.kv_heads;
  report["experts"] = {{"layers", file.banks.size()},
                       {"experts_per_layer", model.experts},
                       {"width", model.expert_width},
                       {"shared_width", model.shared_width},
                       {"total_bytes", experts}};
  return report;
}

void report(const ShowFlags& flags, const nlohmann::json& description,
            const Environment& environment) {
  if (flags.json) {
    environment.out.json(description);
  } else {
    print_plain(description, "", environment.out);
  }
}

Status show_file(const ShowFlags& flags, const std::string& path, const Environment& environment) {
  Result<GgufModel> model = GgufModel::open(environment.storage, path);
  if (!model) return model.error();
  Result<ModelConfig> config = read_config(*model);
  if (!config) return config.error();
  Result<std::vector<ExpertBank>> banks = find_expert_banks(*model, *config);
  if (!banks) return banks.error();
  // Vocabulary and tensors are described even where no text can be made into tokens.
  auto tokenizer = make_tokenizer(model->metadata());
  const std::vector<std::string> notes = notes_of(*model, tokenizer ? tokenizer->get() : nullptr);
  Terminal& terminal = environment.terminal;
  for (const std::string& note : notes) terminal.notice(note);
  nlohmann::json description =
      describe(*model, *config, *banks, default_threads(process_limits(environment.system)));
  if (flags.json) description["notes"] = notes;
  report(flags, description, environment);
  return {};
}

Status show(const ShowFlags& flags, const Environment& environment) {
  auto found = path_or_published(flags.model, environment);
  if (!found) return found.error();
  if (const auto* path = std::get_if<std::string>(&*found)) {
    return show_file(flags, *path, environment);
  }
  report(flags, describe_published(std::get<PublishedFile>(*found)), environment);
  return {};
}

}  // namespace

Command add_show(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<ShowFlags>();
  CLI::App* parser = add_command(app, "show", "describe a model file, or a published model");
  add_text(parser, "MODEL", &flags->model, kModelOrShapeHelp).required();
  add_switch(parser, "--json", &flags->json, "one JSON object");
  return {parser, [flags, &environment] { return show(*flags, environment); }};
}

}  // namespace potluck
