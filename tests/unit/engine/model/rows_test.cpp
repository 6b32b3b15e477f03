// Rows spread over threads, shared activations, and products cut at panels.
#include "engine/model/rows.h"

#include <atomic>

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

const KernelTable& scalar() {
  return *available_kernels().front();
}

std::vector<float> random_values(uint64_t seed, uint64_t count) {
  CounterRandom random(seed);
  std::vector<float> values(count);
  for (uint64_t i = 0; i < count; ++i) values[i] = static_cast<float>(2 * random.uniform(i) - 1);
  return values;
}

TEST(ForRows, VisitsEveryRowOnce) {
  for (int threads : {1, 3}) {
    ThreadPool pool(threads);
    for (uint32_t rows : {0u, 1u, 2u, 11u, 12u, 13u, 500u}) {
      std::vector<std::atomic<int>> visits(rows);
      for_rows(pool, rows, [&](uint32_t row) { ++visits[row]; });
      for (uint32_t row = 0; row < rows; ++row) ASSERT_EQ(visits[row], 1);
    }
  }
}

TEST(ActivationRows, HoldTheFormsThatWereAskedFor) {
  constexpr uint32_t kRows = 3;
  constexpr uint32_t kColumns = 512;
  ActivationRows rows;
  for (ActivationForm form : {ActivationForm::kQ8Block32, ActivationForm::kQ8Block256}) {
    const ActivationForm forms[] = {form, ActivationForm::kF32, form};
    rows.reset(forms, kRows, kColumns);
    std::vector<float> values = random_values(1, kRows * kColumns);
    for (uint32_t r = 0; r < kRows; ++r) {
      std::copy_n(values.begin() + r * kColumns, kColumns, rows.row(r));
      rows.quantize_row(scalar(), r);
    }
    EXPECT_EQ(rows.view(ActivationForm::kF32).values, rows.row(0));
    ActivationView view = rows.view(form);
    EXPECT_EQ(view.form, form);
    EXPECT_EQ(view.tokens, kRows);
    EXPECT_EQ(view.columns, kColumns);
    uint32_t block = activation_block(form);
    for (uint32_t r = 0; r < kRows; ++r) {
      std::vector<int8_t> quants(kColumns);
      std::vector<float> scales(kColumns / block);
      std::vector<int16_t> sums(kColumns / 16);
      scalar().quantize(values.data() + r * kColumns, kColumns, block, quants.data(), scales.data(),
                        sums.data());
      EXPECT_TRUE(std::equal(quants.begin(), quants.end(), view.quants + r * kColumns));
      EXPECT_TRUE(std::equal(scales.begin(), scales.end(), view.scales + r * scales.size()));
      EXPECT_TRUE(std::equal(sums.begin(), sums.end(), view.sums + r * sums.size()));
    }
  }
}

TEST(ActivationRowsDeathTest, RefuseFormsThatWereNot) {
  ActivationRows rows;
  rows.reset({}, 1, 256);
  EXPECT_DEATH((void)rows.view(ActivationForm::kQ8Block32), "has_block32_");
  EXPECT_DEATH((void)rows.view(ActivationForm::kQ8Block256), "has_block256_");
}

struct FloatMatrix {
  PanelShape shape;
  std::vector<float> values;  // [rows, columns]
  std::vector<std::byte> panels;

  FloatMatrix(uint32_t rows, uint32_t columns, uint64_t seed)
      : shape{TensorType::kF32, rows, columns, 0},
        values(random_values(seed, uint64_t{rows} * columns)),
        panels(shape.bytes()) {
    auto* source = reinterpret_cast<const std::byte*>(values.data());
    pack_panels(shape, source, columns, 0, panels.data());
  }
  float times(uint32_t row, const float* x) const {
    float sum = 0;
    for (uint32_t c = 0; c < shape.columns; ++c) sum += values[row * shape.columns + c] * x[c];
    return sum;
  }
};

// Three products of different heights as one job, however many threads share it.
TEST(RunProducts, ComputesEveryRowOfEveryProduct) {
  constexpr uint32_t kRows = 5;
  constexpr uint32_t kColumns = 128;
  const FloatMatrix matrices[] = {{61, kColumns, 1}, {8, kColumns, 2}, {300, kColumns, 3}};
  ActivationRows x;
  x.reset({}, kRows, kColumns);
  std::vector<float> values = random_values(9, kRows * kColumns);
  for (uint32_t r = 0; r < kRows; ++r) {
    std::copy_n(values.begin() + r * kColumns, kColumns, x.row(r));
  }
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    std::vector<std::vector<float>> results;
    std::vector<Product> products;
    for (const FloatMatrix& matrix : matrices) {
      results.emplace_back(kRows * (matrix.shape.rows + 1), -7.0F);
    }
    for (size_t i = 0; i < 3; ++i) {
      products.push_back({{matrices[i].shape, matrices[i].panels.data()},
                          x.view(ActivationForm::kF32),
                          results[i].data(),
                          matrices[i].shape.rows + 1});
    }
    run_products(pool, scalar(), products);
    for (size_t i = 0; i < 3; ++i) {
      uint32_t stride = matrices[i].shape.rows + 1;
      for (uint32_t row = 0; row < kRows; ++row) {
        for (uint32_t r = 0; r + 1 < stride; ++r) {
          ASSERT_EQ(results[i][row * stride + r], matrices[i].times(r, x.row(row)));
        }
        ASSERT_EQ(results[i][row * stride + stride - 1], -7.0F);  // beyond the matrix
      }
    }
  }
}

}  // namespace
}  // namespace potluck
