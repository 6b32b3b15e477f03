// Writes the seeds of gguf_fuzz.cpp into the folder it is given: small valid files and the head of
// a real one, in the form that the fuzz target takes.
#include <cstdio>
#include <string>

#include "engine/base/storage.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

using test::Bytes;
using test::GgufBuilder;

constexpr size_t kHeadBytes = 16 * 1024;  // of the real file: its metadata and its tensor list

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
  builder.tensor({"f16", 1, {3}, Bytes(6), std::nullopt});
  builder.tensor({"bf16", 30, {3}, Bytes(6), std::nullopt});
  builder.tensor({"q4_0", 2, {32, 2}, Bytes(36), std::nullopt});
  builder.tensor({"q8_0", 8, {64}, Bytes(68), std::nullopt});
  builder.tensor({"q4_k", 12, {256}, Bytes(144), std::nullopt});
  builder.tensor({"q6_k", 14, {256}, Bytes(210), std::nullopt});
  builder.tensor({"mxfp4", 39, {32, 3}, Bytes(51), std::nullopt});
  builder.tensor({"iq1_m", 29, {256}, Bytes(56), std::nullopt});
  return builder.build();
}

Bytes part(uint16_t number, const std::string& tensor) {
  GgufBuilder builder;
  builder.version(2).value<uint16_t>("split.no", number).value<uint16_t>("split.count", 2);
  builder.value<int32_t>("split.tensors.count", 2).floats(tensor, {1}, {1});
  return builder.build();
}

// What a family's files say of their model; the tensors would only make mutations rare.
Result<Bytes> head_of(Storage& storage, const std::string& family) {
  auto model = read_file(storage, test::data_path("arch/" + family + "/model.gguf"), 16 * kMiB);
  if (!model) return model.error();
  model->resize(std::min(model->size(), kHeadBytes));
  return as_single(*model);
}

// Families with options that others do not have.
constexpr const char* kFamilies[] = {
    "qwen3moe",         "ernie4_5-moe", "afmoe",          "mimo2",
    "cohere2moe",       "mistral4",     "phimoe",         "lfm2moe",
    "granitehybrid",    "kimi-linear",  "nemotron_h_moe", "gemma4",
    "gemma4-shared-kv", "smallthinker", "step35",         "llama4",
    "deepseek4"};

Status write_seeds(Storage& storage, const std::string& folder) {
  const std::pair<const char*, Bytes> seeds[] = {
      {"empty", as_single(GgufBuilder().build())},
      {"every-kind", as_single(every_kind())},
      {"every-format", as_single(every_format())},
      {"split", as_split(part(0, "a"), part(1, "b"))},
  };
  for (const auto& [name, bytes] : seeds) {
    Status written = storage.write_atomic(folder + "/" + name, bytes);
    if (!written) return written;
  }
  for (const char* family : kFamilies) {
    Result<Bytes> head = head_of(storage, family);
    if (!head) return head.error();
    Status written = storage.write_atomic(folder + "/head-of-" + family, *head);
    if (!written) return written;
  }
  return {};
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_gguf_seeds FOLDER\n");
    return 2;
  }
  auto storage = potluck::make_system_storage();
  potluck::Status written = potluck::write_seeds(*storage, argv[1]);
  if (!written) std::fprintf(stderr, "%s\n", written.error().message.c_str());
  return written.ok() ? 0 : 1;
}
