#include "engine/kernels/activations.h"

#include "engine/base/check.h"

namespace potluck {
namespace {

// Offsets and minimums of weights meet the activations as sums: sum((q - o) * x) = sum(q * x) - o *
// sum(x). Blocks of 16, since Q2_K has a minimum for each.
constexpr uint32_t kSumBlock = 16;

}  // namespace

ActivationView ActivationView::token_range(uint32_t first, uint32_t count) const {
  CHECK(first + count <= tokens);
  ActivationView part = *this;
  part.tokens = count;
  if (form == ActivationForm::kF32) {
    part.values += uint64_t{first} * columns;
    return part;
  }
  part.quants += uint64_t{first} * padded_columns();
  part.scales += uint64_t{first} * scales_per_token();
  part.sums += uint64_t{first} * (padded_columns() / kSumBlock);
  return part;
}

void ActivationBuffer::reset(ActivationForm form, uint32_t tokens, uint32_t columns) {
  form_ = form;
  tokens_ = tokens;
  columns_ = columns;
  if (form == ActivationForm::kF32) {
    values_.resize(uint64_t{tokens} * columns);
    return;
  }
  uint64_t padded = round_up(columns, activation_block(form));
  // Whole blocks, also of the last one: kernels read them without asking where the columns end.
  quants_.resize(tokens * padded);
  scales_.resize(tokens * padded / activation_block(form));
  sums_.resize(tokens * padded / kSumBlock);
}

ActivationView ActivationBuffer::view() const {
  // Memory of the other form may remain from an earlier use; the view must not expose it.
  if (form_ == ActivationForm::kF32) {
    return {form_, tokens_, columns_, values_.data(), nullptr, nullptr, nullptr};
  }
  return {form_, tokens_, columns_, nullptr, quants_.data(), scales_.data(), sums_.data()};
}

void ActivationBuffer::compute_sums() {
  for (size_t i = 0; i < sums_.size(); ++i) {
    // At most 16 * 127, which fits an int16.
    int32_t sum = 0;
    for (size_t j = 0; j < kSumBlock; ++j) sum += quants_[kSumBlock * i + j];
    sums_[i] = static_cast<int16_t>(sum);
  }
}

uint64_t activation_wire_bytes(ActivationForm form, uint32_t columns) {
  if (form == ActivationForm::kF32) return uint64_t{columns} * sizeof(float);
  uint64_t padded = round_up(columns, activation_block(form));
  return padded + padded / activation_block(form) * sizeof(float);
}

}  // namespace potluck
