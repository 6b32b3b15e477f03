// PartProducts: products of rows in parts (heads, groups of heads), each of which has a matrix of
// its own. One job for all parts. Owns scratch memory; one thread (and its pool).
#pragma once

#include <vector>

#include "engine/model/rows.h"

namespace potluck {

class PartProducts {
 public:
  explicit PartProducts(const ComputeContext& compute) : compute_(compute) {}

  // Row row * parts + part of x times matrix_of(part), a PanelMatrix, goes to
  // y[rows, parts, columns].
  template <class MatrixOf>
  void run(uint32_t parts, const MatrixOf& matrix_of, const ActivationView& x, uint32_t rows,
           float* y, uint32_t columns) {
    part_rows_.resize(uint64_t{rows} * parts);
    products_.clear();
    for (uint32_t part = 0; part < parts; ++part) {
      uint32_t* indices = part_rows_.data() + uint64_t{part} * rows;
      for (uint32_t row = 0; row < rows; ++row) indices[row] = row * parts + part;
      products_.push_back({matrix_of(part), x, y + uint64_t{part} * columns,
                           uint64_t{parts} * columns, std::span<const uint32_t>(indices, rows)});
    }
    run_products(compute_.threads, compute_.kernels, products_);
  }

 private:
  ComputeContext compute_;
  std::vector<uint32_t> part_rows_;  // [parts, rows]: row * parts + part
  std::vector<Product> products_;
};

}  // namespace potluck
