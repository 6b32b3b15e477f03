// Tensors whose names say "expert e of part p in layer l" are grouped by (l, p). Each group becomes
// one tensor that lists where its experts lie; not a byte is moved or copied.
#include "engine/gguf/joined_experts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr std::array<std::string_view, 3> kParts{"gate", "up", "down"};

// Which bank and which expert a tensor belongs to.
struct PieceName {
  uint32_t layer;
  std::string_view part;
  uint32_t expert;
};

struct NumberedTensor {
  uint32_t expert;
  size_t index;  // into the list of tensors
};

using BankKey = std::pair<uint32_t, std::string_view>;  // layer, part
using Banks = std::map<BankKey, std::vector<NumberedTensor>>;

// The number at the beginning of `rest`, written as a printer would; it is taken away. "03" is no
// number here: with "3" it would be a second name of one expert.
std::optional<uint32_t> take_number(std::string_view* rest) {
  uint32_t number = 0;
  const char* begin = rest->data();
  const auto [end, failure] = std::from_chars(begin, begin + rest->size(), number);
  if (failure != std::errc() || (*begin == '0' && end != begin + 1)) return std::nullopt;
  rest->remove_prefix(static_cast<size_t>(end - begin));
  return number;
}

bool take(std::string_view* rest, std::string_view what) {
  if (!rest->starts_with(what)) return false;
  rest->remove_prefix(what.size());
  return true;
}

std::optional<PieceName> parse_piece_name(std::string_view rest) {
  if (!take(&rest, "blk.")) return std::nullopt;
  const auto layer = take_number(&rest);
  if (!layer || !take(&rest, ".ffn_")) return std::nullopt;
  const auto part = std::find_if(kParts.begin(), kParts.end(),
                                 [&](std::string_view name) { return take(&rest, name); });
  if (part == kParts.end() || !take(&rest, ".")) return std::nullopt;
  const auto expert = take_number(&rest);
  if (!expert || rest != ".weight") return std::nullopt;
  return PieceName{*layer, *part, *expert};
}

std::string joined_name(const BankKey& key) {
  return fmt::format("blk.{}.ffn_{}_exps.weight", key.first, key.second);
}

std::string describe(const GgufTensor& tensor) {
  return fmt::format("{} in {}", tensor.shape_text(), block_format(tensor.type).name);
}

// One piece per expert, without gaps, all alike.
Status check_pieces(const BankKey& key, const std::vector<NumberedTensor>& pieces,
                    const std::vector<GgufTensor>& tensors) {
  // The pieces are sorted, so the last one has the highest number.
  if (pieces.back().expert >= limits::kExperts) {
    return Error{ErrorCode::kLimit,
                 fmt::format("tensor {}: expected experts below {}",
                             tensors[pieces.back().index].name, limits::kExperts)};
  }
  const GgufTensor& first = tensors[pieces.front().index];
  for (uint32_t expert = 0; expert < pieces.size(); ++expert) {
    if (pieces[expert].expert != expert) {
      return Error{
          ErrorCode::kCorrupt,
          fmt::format("tensor {} is missing, but there are tensors of other experts, up "
                      "to {}",
                      expert_tensor_name(key.first, key.second, expert), pieces.back().expert)};
    }
    const GgufTensor& tensor = tensors[pieces[expert].index];
    // Equal pieces only: a reader finds the piece of a byte by division.
    const bool alike =
        tensor.rank == 2 && tensor.type == first.type && tensor.dimensions == first.dimensions;
    if (alike) continue;
    return Error{ErrorCode::kUnsupported,
                 fmt::format("tensor {}: expected a matrix like that of expert 0, {}, found {}",
                             tensor.name, describe(first), describe(tensor))};
  }
  return {};
}

Result<GgufTensor> join(const BankKey& key, const std::vector<NumberedTensor>& pieces,
                        const std::vector<GgufTensor>& tensors) {
  GgufTensor joined = tensors[pieces.front().index];
  joined.name = joined_name(key);
  joined.rank = 3;
  joined.dimensions[2] = pieces.size();
  if (!checked_multiply(joined.bytes, pieces.size(), &joined.bytes) || joined.bytes > INT64_MAX) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("tensor {}: its size does not fit 63 bits", joined.name)};
  }
  for (const NumberedTensor& piece : pieces) {
    joined.pieces.push_back({tensors[piece.index].file, tensors[piece.index].offset});
  }
  return joined;
}

Banks find_banks(const std::vector<GgufTensor>& tensors) {
  Banks banks;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto name = parse_piece_name(tensors[i].name);
    if (name) banks[{name->layer, name->part}].push_back({name->expert, i});
  }
  return banks;
}

}  // namespace

std::string expert_tensor_name(uint32_t layer, std::string_view part, uint32_t expert) {
  return fmt::format("blk.{}.ffn_{}.{}.weight", layer, part, expert);
}

Status join_experts(std::vector<GgufTensor>* tensors) {
  Banks banks = find_banks(*tensors);
  if (banks.empty()) return {};
  std::unordered_set<std::string_view> names;
  for (const GgufTensor& tensor : *tensors) names.insert(tensor.name);
  std::vector<GgufTensor> joined;
  std::vector<bool> joins(tensors->size(), false);
  for (auto& [key, pieces] : banks) {
    // Two sources for one bank: which is right cannot be told, and by_name_ would keep either.
    if (names.contains(joined_name(key))) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("tensor {} is there, and {} too: expected one of them",
                               joined_name(key), (*tensors)[pieces.front().index].name)};
    }
    std::sort(pieces.begin(), pieces.end(),
              [](const auto& a, const auto& b) { return a.expert < b.expert; });
    if (Status alike = check_pieces(key, pieces, *tensors); !alike) return alike;
    auto bank = join(key, pieces, *tensors);
    if (!bank) return bank.error();
    joined.push_back(std::move(*bank));
    for (const NumberedTensor& piece : pieces) joins[piece.index] = true;
  }
  std::vector<GgufTensor> kept;
  for (size_t i = 0; i < tensors->size(); ++i) {
    if (!joins[i]) kept.push_back(std::move((*tensors)[i]));
  }
  std::move(joined.begin(), joined.end(), std::back_inserter(kept));
  *tensors = std::move(kept);
  return {};
}

}  // namespace potluck
