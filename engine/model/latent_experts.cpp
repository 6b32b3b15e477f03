#include "engine/model/latent_experts.h"

#include <algorithm>

#include "engine/model/fixed_scale.h"

namespace potluck {

ActivationView LatentExperts::shrink(const WeightMatrix& down, const ActivationRows& input,
                                     uint32_t rows, ActivationForm form) {
  const Product product[] = {project(down, input, rows, narrow_)};
  run_products(compute_.threads, compute_.kernels, product);
  uint32_t width = down.shape().rows;
  rows_.reset({&form, 1}, rows, width);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    std::copy_n(narrow_.data() + uint64_t{row} * width, width, rows_.row(row));
    rows_.quantize_row(compute_.kernels, row);
  });
  return rows_.view(form);
}

void LatentExperts::widen(const WeightMatrix& up, std::span<const int64_t> sums,
                          std::span<const int32_t> fraction_bits) {
  hidden_ = up.shape().rows;
  uint32_t width = up.shape().columns;
  auto rows = static_cast<uint32_t>(fraction_bits.size());
  const ActivationForm form[] = {up.form()};
  rows_.reset(form, rows, width);
  for_rows(compute_.threads, rows, [&](uint32_t row) {
    std::fill_n(rows_.row(row), width, 0.0F);
    add_fixed_point(sums.subspan(uint64_t{row} * width, width), fraction_bits[row], 1,
                    rows_.row(row));
    rows_.quantize_row(compute_.kernels, row);
  });
  const Product product[] = {project(up, rows_, rows, output_)};
  run_products(compute_.threads, compute_.kernels, product);
}

}  // namespace potluck
