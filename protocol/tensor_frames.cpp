// Tensor frames of activations, and the checksum over a frame.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <xxhash.h>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "protocol/codec.h"

namespace potluck {
namespace {

constexpr int8_t kImpossibleQuant = -128;  // quantizers are symmetric: -127 to 127

void append(ByteVector& out, const void* from, size_t bytes, size_t& position) {
  if (bytes == 0) return;  // there may be no memory to copy from
  std::memcpy(out.data() + position, from, bytes);
  position += bytes;
}

bool any_impossible(std::span<const int8_t> quants) {
  int found = 0;  // no early exit: the loop then runs on whole vectors
  for (int8_t quant : quants) found |= quant == kImpossibleQuant ? 1 : 0;
  return found != 0;
}

void unpack_row(const std::byte* from, uint32_t row, ActivationBuffer* out) {
  ActivationView view = out->view();
  if (view.columns == 0) return;  // there is no memory to copy to
  if (view.form == ActivationForm::kF32) {
    std::memcpy(out->values().data() + uint64_t{row} * view.columns, from,
                view.columns * sizeof(float));
    return;
  }
  uint64_t quants = view.padded_columns();
  uint64_t scales = view.scales_per_token();
  std::memcpy(out->quants().data() + row * quants, from, quants);
  std::memcpy(out->scales().data() + row * scales, from + quants, scales * sizeof(float));
}

}  // namespace

uint64_t checksum_of(const WorkId& work, std::span<const uint8_t> row_flags, ByteSpan tensor) {
  ByteWriter name;
  name.write(work.epoch);
  name.write(work.request);
  name.write(work.layer);
  name.write(work.attempt);
  name.write(static_cast<uint64_t>(row_flags.size()));  // so that no flag can pass for a sum
  name.write(std::as_bytes(row_flags));
  // The digest of the small part seeds that of the large one.
  uint64_t seed = XXH3_64bits(name.bytes().data(), name.bytes().size());
  return XXH3_64bits_withSeed(tensor.data(), tensor.size(), seed);
}

ByteVector pack_activations(const ActivationView& view, std::span<const uint32_t> rows) {
  ByteVector frame(rows.size() * activation_wire_bytes(view.form, view.columns));
  size_t position = 0;
  for (uint32_t row : rows) {
    ActivationView one = view.token_range(row, 1);
    if (view.form == ActivationForm::kF32) {
      append(frame, one.values, view.columns * sizeof(float), position);
      continue;
    }
    append(frame, one.quants, one.padded_columns(), position);
    append(frame, one.scales, one.scales_per_token() * sizeof(float), position);
  }
  CHECK(position == frame.size());
  return frame;
}

// Lengths are compared before the buffer grows: tokens and columns are the peer's until then.
// Scales may be anything, also NaN: what they make of a row becomes flags by the rule on addends,
// the same on every device.
Status unpack_activations(ByteSpan frame, ActivationForm form, uint32_t tokens, uint32_t columns,
                          ActivationBuffer* out) {
  if (tokens > limits::kRowsPerMessage || columns > limits::kHidden) {
    return Error{ErrorCode::kLimit,
                 fmt::format("activations: {} rows of {} values are too many", tokens, columns)};
  }
  uint64_t row_bytes = activation_wire_bytes(form, columns);
  if (columns % (form == ActivationForm::kQ8Block256 ? activation_block(form) : 1) != 0) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("activations: expected a multiple of 256 columns, found {}", columns)};
  }
  if (frame.size() != tokens * row_bytes) {
    return Error{ErrorCode::kCorrupt, fmt::format("activations: expected {} bytes, found {}",
                                                  tokens * row_bytes, frame.size())};
  }
  out->reset(form, tokens, columns);
  for (uint32_t row = 0; row < tokens; ++row) {
    unpack_row(frame.data() + row * row_bytes, row, out);
  }
  if (form == ActivationForm::kF32) return {};
  if (any_impossible(out->quants())) {
    return Error{ErrorCode::kCorrupt, "activations: found a quant of -128"};
  }
  out->compute_sums();
  return {};
}

}  // namespace potluck
