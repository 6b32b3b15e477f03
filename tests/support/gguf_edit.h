// Files made from other files: changed at a few bytes, or with the experts of each layer as tensors
// of their own, as files from before April 2024 have them. Test code, one thread.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/gguf/gguf.h"
#include "tests/support/gguf_builder.h"

namespace potluck::test {

inline Bytes file_bytes(const std::string& path) {
  auto bytes = read_file(*make_system_storage(), path, 64 * kMiB);
  CHECK(bytes.ok());
  return {bytes->begin(), bytes->end()};
}

// Where a text stands in the file as GGUF writes texts; its end if it is not there.
inline Bytes::const_iterator find_text(const Bytes& file, const std::string& text) {
  const Bytes written = GgufBytes().put(text).bytes();
  return std::search(file.begin(), file.end(), written.begin(), written.end());
}

// Puts another number of the same type, of 4 bytes, in the place of the one under a key; false if
// there is none.
template <class T>
bool change_number(Bytes* file, const std::string& key, uint32_t of_type, T value) {
  static_assert(sizeof(T) == 4);
  const auto at = find_text(*file, key);
  if (at == file->end()) return false;
  const auto begin = (at - file->begin()) + 8 + static_cast<std::ptrdiff_t>(key.size());
  uint32_t type = 0;
  std::memcpy(&type, file->data() + begin, sizeof type);
  if (type != of_type) return false;
  std::memcpy(file->data() + begin + 4, &value, sizeof value);
  return true;
}
inline bool change_float(Bytes* file, const std::string& key, float value) {
  return change_number(file, key, gguf_type::kFloat32, value);
}
inline bool change_count(Bytes* file, const std::string& key, uint32_t value) {
  return change_number(file, key, gguf_type::kUint32, value);
}

// Says of a tensor that it is of another type; the numbers of both must take the same room.
inline void change_type(Bytes* file, const std::string& tensor, uint32_t type) {
  const auto at = find_text(*file, tensor);
  CHECK(at != file->end());
  const auto begin = (at - file->begin()) + 8 + static_cast<std::ptrdiff_t>(tensor.size());
  uint32_t rank = 0;
  std::memcpy(&rank, file->data() + begin, sizeof rank);
  std::memcpy(file->data() + begin + 4 + 8 * std::ptrdiff_t{rank}, &type, sizeof type);
}

// All metadata of a file, to begin another one with.
inline GgufBuilder with_metadata_of(const Bytes& file, const GgufModel& model) {
  constexpr size_t kPreamble = 24;
  const auto end = find_text(file, model.tensors().front().name);
  CHECK(end != file.end());
  GgufBuilder builder;
  builder.raw_pair(Bytes(file.begin() + kPreamble, end));
  builder.claim_pairs(model.metadata().keys().size());
  return builder;
}

// The tensors of a model; those of experts one by one, the last expert first.
inline std::vector<GgufBuilder::Tensor> tensors_with_experts_apart(const GgufModel& model) {
  std::vector<GgufBuilder::Tensor> made;
  for (const GgufTensor& tensor : model.tensors()) {
    auto bytes = model.read_all(tensor);
    CHECK(bytes.ok());
    const auto type = static_cast<uint32_t>(tensor.type);
    const size_t mark = tensor.name.find("_exps.weight");
    if (mark == std::string::npos) {
      std::vector<uint64_t> shape(tensor.dimensions.begin(),
                                  tensor.dimensions.begin() + tensor.rank);
      made.push_back({tensor.name, type, shape, {bytes->begin(), bytes->end()}, std::nullopt});
      continue;
    }
    const auto size = static_cast<std::ptrdiff_t>(bytes->size() / tensor.dimensions[2]);
    for (auto expert = static_cast<std::ptrdiff_t>(tensor.dimensions[2]) - 1; expert >= 0;
         --expert) {
      const auto begin = bytes->begin() + expert * size;
      made.push_back({tensor.name.substr(0, mark) + "." + std::to_string(expert) + ".weight",
                      type,
                      {tensor.dimensions[0], tensor.dimensions[1]},
                      {begin, begin + size},
                      std::nullopt});
    }
  }
  return made;
}

}  // namespace potluck::test
