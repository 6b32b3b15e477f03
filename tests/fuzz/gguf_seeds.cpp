// Writes the seeds of gguf_fuzz.cpp into the folder it is given: small valid files and the heads of
// every family's, in the form that the fuzz target takes; and a dictionary for libFuzzer: the
// metadata keys and tensor names of all these families, and the numbers of all block formats.
#include <algorithm>
#include <cstdio>
#include <set>
#include <string>

#include <fmt/format.h>

#include "engine/base/storage.h"
#include "engine/gguf/gguf.h"
#include "engine/kernels/block_format.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

using test::Bytes;
using test::GgufBuilder;

Bytes as_single(const Bytes& file) {
  test::GgufBytes bytes;
  bytes.put<uint8_t>(0).raw(file);
  return bytes.bytes();
}

Bytes as_split(const Bytes& first, const Bytes& second) {
  test::GgufBytes bytes;
  bytes.put<uint8_t>(1).put(static_cast<uint16_t>(first.size())).raw(first).raw(second);
  return bytes.bytes();
}

Bytes every_kind() {
  GgufBuilder builder;
  builder.value<uint8_t>("a", 1).value<int8_t>("b", -1).value<uint16_t>("c", 2);
  builder.value<int16_t>("d", -2).value<uint32_t>("e", 3).value<int32_t>("f", -3);
  builder.value<uint64_t>("g", 4).value<int64_t>("h", -4).value<float>("i", 0.5F);
  builder.value<double>("j", 0.25).value<bool>("k", true).text("l", "text");
  builder.array<uint8_t>("m", {1, 2}).array<int32_t>("n", {-1}).array<float>("o", {0.5F});
  builder.array<bool>("p", {true, false}).array<std::string>("q", {"", "ab"});
  builder.array<int64_t>("r", {-5, 6}).array<double>("s", {1.5}).alignment(8);
  builder.floats("x", {2, 1, 2}, {1, 2, 3, 4});
  return builder.build();
}

Bytes every_format() {
  GgufBuilder builder;
  for (const BlockFormat& format : block_formats()) {
    builder.tensor({std::string(format.name),
                    static_cast<uint32_t>(format.type),
                    {format.block_elements, 2},
                    Bytes(2 * uint64_t{format.block_bytes}),
                    std::nullopt});
  }
  return builder.build();
}

// A whole model, so small that mutations find the scales beside its matrices.
Bytes with_scales() {
  constexpr uint32_t kNvfp4 = 40;
  constexpr uint64_t kSize = 64;
  GgufBuilder builder;
  builder.text("general.architecture", "qwen3moe");
  const std::pair<const char*, uint32_t> counts[] = {{"block_count", 1},
                                                     {"embedding_length", kSize},
                                                     {"context_length", 64},
                                                     {"attention.head_count", 1},
                                                     {"attention.head_count_kv", 1},
                                                     {"attention.key_length", kSize},
                                                     {"attention.value_length", kSize},
                                                     {"feed_forward_length", kSize},
                                                     {"expert_count", 2},
                                                     {"expert_used_count", 1},
                                                     {"expert_feed_forward_length", kSize}};
  for (const auto& [key, value] : counts) {
    builder.value<uint32_t>(std::string("qwen3moe.") + key, value);
  }
  builder.value<float>("qwen3moe.attention.layer_norm_rms_epsilon", 1e-6F);
  const uint64_t matrix_bytes = kSize * block_format(TensorType::kNVFP4).block_bytes;
  auto matrix = [&](const std::string& name, bool experts) {
    std::vector<uint64_t> dimensions = {kSize, kSize};
    if (experts) dimensions.push_back(2);
    const uint64_t count = experts ? 2 : 1;
    builder.tensor(
        {name + ".weight", kNvfp4, dimensions, Bytes(count * matrix_bytes), std::nullopt});
    builder.floats(name + ".scale", {count}, std::vector<float>(count, 0.5F));
    builder.floats(name + ".input_scale", {count}, std::vector<float>(count, 2));
  };
  auto vector = [&](const std::string& name) {
    builder.floats(name, {kSize}, std::vector<float>(kSize, 1));
  };
  for (const char* name : {"token_embd", "output", "blk.0.attn_q", "blk.0.attn_k", "blk.0.attn_v",
                           "blk.0.attn_output"}) {
    matrix(name, false);
  }
  for (const char* name : {"output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight",
                           "blk.0.attn_q_norm.weight", "blk.0.attn_k_norm.weight"}) {
    vector(name);
  }
  builder.floats("blk.0.ffn_gate_inp.weight", {kSize, 2}, std::vector<float>(2 * kSize, 1));
  for (const char* part : {"gate", "up", "down"}) {
    matrix(std::string("blk.0.ffn_") + part + "_exps", true);
  }
  return builder.build();
}

Bytes part(uint16_t number, const std::string& tensor) {
  GgufBuilder builder;
  builder.version(2).value<uint16_t>("split.no", number).value<uint16_t>("split.count", 2);
  builder.value<int32_t>("split.tensors.count", 2).floats(tensor, {1}, {1});
  return builder.build();
}

// A family's metadata and list of tensors, after which zeros follow: the weights would only make
// mutations rare.
Result<Bytes> head_of(Storage& storage, const GgufModel& model) {
  uint64_t end = model.file_bytes();
  for (const GgufTensor& tensor : model.tensors()) end = std::min(end, tensor.offset);
  auto file = read_file(storage, model.path(), 16 * kMiB);
  if (!file) return file.error();
  test::GgufBytes bytes;
  bytes.put<uint8_t>(2).raw({file->begin(), file->begin() + static_cast<std::ptrdiff_t>(end)});
  return bytes.bytes();
}

// Without the architecture's name: any family may have the key.
void add_words(const GgufModel& model, std::set<std::string>* words) {
  const auto architecture = model.metadata().text("general.architecture");
  for (std::string key : model.metadata().keys()) {
    if (architecture && key.starts_with(*architecture + ".")) key.erase(0, architecture->size());
    words->insert(std::move(key));
  }
  if (architecture) words->insert(*architecture);
  for (const GgufTensor& tensor : model.tensors()) {
    const bool is_first = !tensor.name.starts_with("blk.") || tensor.name.starts_with("blk.0.");
    if (is_first) words->insert(tensor.name);
  }
}

// As libFuzzer reads it: quoted, bytes that are no letters as \xNN.
Status write_dictionary(Storage& storage, const std::set<std::string>& words,
                        const std::string& path) {
  std::string text;
  for (const std::string& word : words) text += fmt::format("\"{}\"\n", word);
  for (const BlockFormat& format : block_formats()) {
    const auto type = static_cast<uint32_t>(format.type);
    text +=
        fmt::format("{}=\"\\x{:02x}\\x{:02x}\\x00\\x00\"\n", format.name, type & 0xff, type >> 8);
  }
  return storage.write_atomic(path, std::as_bytes(std::span(text)));
}

Status write_seeds(Storage& storage, const std::string& folder, const std::string& dictionary) {
  const std::pair<const char*, Bytes> seeds[] = {
      {"empty", as_single(GgufBuilder().build())},     {"every-kind", as_single(every_kind())},
      {"every-format", as_single(every_format())},     {"with-scales", as_single(with_scales())},
      {"split", as_split(part(0, "a"), part(1, "b"))},
  };
  for (const auto& [name, bytes] : seeds) {
    Status written = storage.write_atomic(folder + "/" + name, bytes);
    if (!written) return written;
  }
  auto families = storage.list(test::data_path("arch"));
  if (!families) return families.error();
  std::set<std::string> words;
  for (const std::string& family : *families) {
    auto model = GgufModel::open(storage, test::data_path("arch/" + family + "/model.gguf"));
    if (!model) return model.error();
    add_words(*model, &words);
    Result<Bytes> head = head_of(storage, *model);
    if (!head) return head.error();
    Status written = storage.write_atomic(folder + "/head-of-" + family, *head);
    if (!written) return written;
  }
  return write_dictionary(storage, words, dictionary);
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: fuzz_gguf_seeds FOLDER DICTIONARY\n");
    return 2;
  }
  auto storage = potluck::make_system_storage();
  potluck::Status written = potluck::write_seeds(*storage, argv[1], argv[2]);
  if (!written) std::fprintf(stderr, "%s\n", written.error().message.c_str());
  return written.ok() ? 0 : 1;
}
