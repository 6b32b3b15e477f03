#include "coordinator/serving/engine_setup.h"

#include <algorithm>
#include <map>

namespace potluck {
namespace {

constexpr std::string_view kModelSuffix = ".gguf";

// The block format that most bytes are in.
std::string quantization(const GgufModel& file) {
  std::map<std::string, uint64_t> bytes;
  for (const GgufTensor& tensor : file.tensors()) {
    bytes[std::string(block_format(tensor.type).name)] += tensor.bytes;
  }
  auto most = std::ranges::max_element(bytes, {}, [](const auto& entry) { return entry.second; });
  return most == bytes.end() ? std::string() : most->first;
}

}  // namespace

std::string served_model_id(const std::string& path) {
  std::string name = path.substr(path.find_last_of('/') + 1);
  if (name.ends_with(kModelSuffix)) name.resize(name.size() - kModelSuffix.size());
  return name;
}

ServedModel describe_served_model(const Model& model, const ChatTemplate* chat_template,
                                  int64_t created) {
  const GgufModel& file = model.file();
  ServedModel served;
  served.id = served_model_id(file.path());
  served.created = created;
  for (const GgufTensor& tensor : file.tensors()) served.parameters += tensor.count();
  served.file_bytes = file.file_bytes();
  auto architecture = file.metadata().text("general.architecture");
  if (architecture) served.architecture = *architecture;
  served.quantization = quantization(file);
  served.trained_context = model.config().trained_context;
  if (chat_template == nullptr) return served;
  served.has_template = true;
  served.syntax = chat_template->answer_syntax();
  served.calls_tools = chat_template->answer_syntax().marks_calls();
  served.reasons = chat_template->answer_syntax().marks_reasoning();
  return served;
}

std::unique_ptr<CompletionEngine> make_engine(Runtime& runtime, const ChatTemplate* chat_template,
                                              EngineOptions options) {
  std::string id = std::move(options.served.id);
  options.served =
      describe_served_model(runtime.model(), chat_template, runtime.clock().unix_seconds());
  if (!id.empty()) options.served.id = std::move(id);
  options.kv_type = runtime.kv_type();
  options.context = runtime.context();
  options.kv_bytes = runtime.kv_bytes();
  options.prefill_chunk = runtime.prefill_chunk();
  if (!options.speculation) options.speculation = runtime.speculation();
  EngineParts parts{runtime.model(), runtime.forwards(), runtime.executor(), runtime.clock(),
                    chat_template};
  return std::make_unique<CompletionEngine>(parts, std::move(options));
}

Result<std::unique_ptr<PrefixStore>> open_prefix_store(const Runtime& runtime, Storage& storage,
                                                       const std::string& directory, uint64_t quota,
                                                       LogSink* log) {
  const ModelConfig& config = runtime.model().config();
  Result<Digest> fingerprint = runtime.fingerprint();
  if (!fingerprint) return fingerprint.error();
  KvPrice price(config, runtime.kv_type());
  PrefixStoreOptions options;
  options.directory = directory;
  options.quota = quota;
  options.block_bytes = price.of_blocks(1);
  options.checkpoint_bytes =
      RecurrentState::snapshot_bytes(KvMemory::recurrent_layers(config), config.recurrent_shape());
  ByteWriter writer;
  writer.write(std::as_bytes(std::span(fingerprint->bytes)));
  writer.write(static_cast<uint32_t>(runtime.kv_type()));
  writer.write(kArithmeticVersion);
  writer.write(kKvBlockPositions);
  writer.write(options.block_bytes);
  writer.write(options.checkpoint_bytes);
  // Keys that were turned for short contexts are of no use in long ones.
  if (config.rope.takes_long(runtime.context())) writer.write(uint8_t{1});
  options.binding = sha256(writer.bytes());
  return PrefixStore::open(storage, std::move(options), log);
}

}  // namespace potluck
