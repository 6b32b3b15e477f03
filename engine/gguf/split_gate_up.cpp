// Not a byte is moved or copied: the halves list where each expert's part lies.
#include "engine/gguf/split_gate_up.h"

#include <string_view>
#include <unordered_set>

#include <fmt/format.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr std::string_view kBegin = "blk.";
constexpr std::string_view kEnd = ".ffn_gate_up_exps.weight";

bool is_gate_up(const GgufTensor& tensor) {
  return tensor.name.starts_with(kBegin) && tensor.name.ends_with(kEnd);
}

std::string half_name(const GgufTensor& tensor, std::string_view part) {
  const std::string_view layer(tensor.name.data(), tensor.name.size() - kEnd.size());
  return fmt::format("{}.ffn_{}_exps.weight", layer, part);
}

Status check_gate_up(const GgufTensor& tensor) {
  const uint64_t experts = tensor.dimensions[2];
  const bool halves = tensor.rank == 3 && tensor.rows() % 2 == 0 && tensor.rows() > 0;
  if (halves && tensor.pieces.empty() && experts > 0 && experts <= limits::kExperts) return {};
  return Error{ErrorCode::kUnsupported,
               fmt::format("tensor {}: expected an even number of rows for each of at most {} "
                           "experts, found {}",
                           tensor.name, limits::kExperts, tensor.shape_text())};
}

// The first or the second half of every expert's rows.
GgufTensor half_of(const GgufTensor& tensor, std::string_view part, bool second) {
  GgufTensor half = tensor;
  half.name = half_name(tensor, part);
  half.dimensions[1] /= 2;
  half.bytes /= 2;
  const uint64_t piece_bytes = half.bytes / half.dimensions[2];
  for (uint64_t expert = 0; expert < half.dimensions[2]; ++expert) {
    const uint64_t begin = (2 * expert + (second ? 1 : 0)) * piece_bytes;
    half.pieces.push_back({tensor.file, tensor.offset + begin});
  }
  half.offset = half.pieces.front().offset;
  return half;
}

}  // namespace

Status split_gate_up(std::vector<GgufTensor>* tensors) {
  std::unordered_set<std::string_view> names;
  for (const GgufTensor& tensor : *tensors) names.insert(tensor.name);
  std::vector<GgufTensor> split;
  for (const GgufTensor& tensor : *tensors) {
    if (!is_gate_up(tensor)) {
      split.push_back(tensor);
      continue;
    }
    if (Status checked = check_gate_up(tensor); !checked) return checked.error();
    for (std::string_view part : {"gate", "up"}) {
      // Two sources for one bank: which is right cannot be told.
      if (names.contains(half_name(tensor, part))) {
        return Error{ErrorCode::kCorrupt,
                     fmt::format("tensor {} is there, and {} too: expected one of them",
                                 half_name(tensor, part), tensor.name)};
      }
      split.push_back(half_of(tensor, part, part == "up"));
    }
  }
  *tensors = std::move(split);
  return {};
}

}  // namespace potluck
