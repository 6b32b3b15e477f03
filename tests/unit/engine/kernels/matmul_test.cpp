#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "engine/kernels/kernels.h"
#include "engine/kernels/vector_kernels.h"
#include "tests/support/block_scales.h"
#include "tests/unit/engine/kernels/random_data.h"

namespace potluck {
namespace {

const KernelTable& scalar_kernels() {
  return *available_kernels().front();
}

struct Weights {
  PanelShape shape;
  ByteVector packed;  // one byte in front, so that the panels are not aligned
  PanelMatrix matrix() const { return {shape, packed.data() + 1}; }
};

// Columns [begin, begin + columns) of random rows.
Weights make_weights(TensorType type, uint32_t rows, uint32_t begin, uint32_t columns,
                     RandomDraws& draws) {
  uint32_t source_columns = round_up(begin + columns, 256u);
  ByteVector source = random_blocks(type, rows, source_columns, draws);
  Weights weights{{type, rows, columns, panel_phase(type, begin)}, {}};
  weights.packed.resize(weights.shape.bytes() + 1);
  pack_panels(weights.shape, source.data(), source_columns, begin, weights.packed.data() + 1);
  return weights;
}

void quantize_rows(const KernelTable& kernels, const std::vector<float>& values,
                   ActivationBuffer& x) {
  ActivationView view = x.view();
  for (uint32_t t = 0; t < x.tokens(); ++t) {
    kernels.quantize(values.data() + uint64_t{t} * x.columns(), x.columns(),
                     activation_block(x.form()),
                     x.quants().data() + uint64_t{t} * view.padded_columns(),
                     x.scales().data() + uint64_t{t} * view.scales_per_token(),
                     x.sums().data() + uint64_t{t} * (view.padded_columns() / 16));
  }
}

ActivationBuffer make_activations(ActivationForm form, uint32_t columns,
                                  const std::vector<float>& values) {
  ActivationBuffer x;
  x.reset(form, static_cast<uint32_t>(values.size() / columns), columns);
  if (form == ActivationForm::kF32) {
    std::copy(values.begin(), values.end(), x.values().begin());
  } else {
    quantize_rows(scalar_kernels(), values, x);
  }
  return x;
}

std::vector<ActivationForm> forms_of(const BlockFormat& format) {
  if (!format.quantized()) return {ActivationForm::kF32};
  if (format.activations == ActivationForm::kQ8Block32) return {ActivationForm::kQ8Block32};
  return {ActivationForm::kQ8Block256, ActivationForm::kQ8Block32};
}

// Runs the product with every table and expects the scalar one's bytes, and no others written.
void expect_same_everywhere(const Weights& weights, const ActivationView& x, const uint32_t* rows,
                            uint32_t tokens, uint32_t panel_begin, uint32_t panel_end,
                            const std::string& what) {
  uint64_t stride = weights.shape.rows + 3;
  std::vector<float> expected(tokens * stride, -7.0F);
  scalar_kernels().matmul(weights.matrix(), x, rows, tokens, panel_begin, panel_end,
                          expected.data(), stride);
  for (const KernelTable* table : available_kernels()) {
    std::vector<float> y(tokens * stride, -7.0F);
    table->matmul(weights.matrix(), x, rows, tokens, panel_begin, panel_end, y.data(), stride);
    ASSERT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0)
        << table->name << " " << what;
  }
}

std::string describe(const Weights& weights, ActivationForm form, uint32_t tokens) {
  return std::string(block_format(weights.shape.type).name) + " form " +
         std::to_string(static_cast<int>(form)) + " rows " + std::to_string(weights.shape.rows) +
         " columns " + std::to_string(weights.shape.columns) + " phase " +
         std::to_string(weights.shape.phase) + " tokens " + std::to_string(tokens);
}

TEST(Matmul, EveryTableGivesTheScalarBits) {
  RandomDraws draws(1);
  for (const BlockFormat& format : block_formats()) {
    for (ActivationForm form : forms_of(format)) {
      for (uint32_t rows : {1u, 8u, 13u, 80u, 133u}) {
        uint32_t columns = form == ActivationForm::kQ8Block256 ? 768 : 416;
        Weights weights = make_weights(format.type, rows, 0, columns, draws);
        for (uint32_t tokens = 1; tokens <= 9; ++tokens) {
          auto values = random_floats(uint64_t{tokens} * columns, 3, draws);
          ActivationBuffer x = make_activations(form, columns, values);
          expect_same_everywhere(weights, x.view(), nullptr, tokens, 0, weights.shape.panels(),
                                 describe(weights, form, tokens));
        }
      }
    }
  }
}

TEST(Matmul, CutsInsideSuperBlocks) {
  RandomDraws draws(2);
  for (const BlockFormat& format : block_formats()) {
    ActivationForm form = format.quantized() ? ActivationForm::kQ8Block32 : ActivationForm::kF32;
    for (int i = 0; i < 60; ++i) {
      uint32_t begin = 32 * draws.below(8);
      uint32_t columns = 1 + draws.below(600);  // not a multiple of 32: a padded tail
      uint32_t tokens = 1 + draws.below(5);
      Weights weights = make_weights(format.type, 1 + draws.below(40), begin, columns, draws);
      auto values = random_floats(uint64_t{tokens} * columns, 3, draws);
      ActivationBuffer x = make_activations(form, columns, values);
      expect_same_everywhere(weights, x.view(), nullptr, tokens, 0, weights.shape.panels(),
                             describe(weights, form, tokens));
    }
  }
}

TEST(Matmul, PanelRangesAndRowListsAreSlices) {
  RandomDraws draws(3);
  constexpr uint32_t kColumns = 256;
  constexpr uint32_t kRows = 75;
  for (const BlockFormat& format : block_formats()) {
    Weights weights = make_weights(format.type, kRows, 0, kColumns, draws);
    auto values = random_floats(20 * kColumns, 3, draws);
    ActivationBuffer x = make_activations(format.activations, kColumns, values);
    std::vector<uint32_t> list = {19, 0, 7, 7, 3, 11};
    expect_same_everywhere(weights, x.view(), list.data(), 6, 2, 5, "list");
    expect_same_everywhere(weights, x.view(), list.data(), 1, 9, 10, "last panel");
    expect_same_everywhere(weights, x.view(), nullptr, 4, 3, 3, "no panel");
    // A slice of the outputs equals the whole product's.
    std::vector<float> all(20 * kRows);
    std::vector<float> some(list.size() * kRows);
    for (const KernelTable* table : available_kernels()) {
      table->matmul(weights.matrix(), x.view(), nullptr, 20, 0, 10, all.data(), kRows);
      for (uint32_t panel = 0; panel < 10; ++panel) {
        table->matmul(weights.matrix(), x.view(), list.data(), 6, panel, panel + 1, some.data(),
                      kRows);
      }
      for (size_t t = 0; t < list.size(); ++t) {
        EXPECT_EQ(std::memcmp(&some[t * kRows], &all[list[t] * kRows], kRows * sizeof(float)), 0)
            << table->name << " " << format.name;
      }
    }
  }
}

// Weights at the ends of their range times activations at theirs: no intermediate may overflow.
TEST(Matmul, ExtremeQuantsDoNotOverflow) {
  constexpr uint32_t kColumns = 512;
  for (const BlockFormat& format : block_formats()) {
    if (!format.quantized()) continue;
    for (int fill : {0x00, 0x7f, 0x80, 0xff}) {
      uint64_t row_bytes = kColumns / format.block_elements * format.block_bytes;
      ByteVector source(9 * row_bytes, std::byte(fill));
      for (uint64_t block = 0; block < source.size(); block += format.block_bytes) {
        test::set_block_scales(format.type, 65504, source.data() + block);
      }
      Weights weights{{format.type, 9, kColumns, 0}, {}};
      weights.packed.resize(weights.shape.bytes() + 1);
      pack_panels(weights.shape, source.data(), kColumns, 0, weights.packed.data() + 1);
      for (float value : {-1e30F, 1e30F}) {
        std::vector<float> values(2 * kColumns, value);
        for (ActivationForm form : forms_of(format)) {
          ActivationBuffer x = make_activations(form, kColumns, values);
          ASSERT_EQ(std::abs(x.quants()[0]), 127);
          expect_same_everywhere(weights, x.view(), nullptr, 2, 0, 2,
                                 describe(weights, form, 2) + " fill " + std::to_string(fill));
        }
      }
    }
  }
}

// Activations that are not finite give outputs that are not finite, in every table.
TEST(Matmul, NotFiniteStaysNotFinite) {
  RandomDraws draws(4);
  constexpr uint32_t kColumns = 256;
  for (const BlockFormat& format : block_formats()) {
    Weights weights = make_weights(format.type, 8, 0, kColumns, draws);
    for (float bad : {NAN, INFINITY, -INFINITY}) {
      auto values = random_floats(kColumns, 3, draws);
      values[100] = bad;
      for (ActivationForm form : forms_of(format)) {
        ActivationBuffer x = make_activations(form, kColumns, values);
        for (const KernelTable* table : available_kernels()) {
          float y[8];
          table->matmul(weights.matrix(), x.view(), nullptr, 1, 0, 1, y, 8);
          for (float value : y) EXPECT_FALSE(std::isfinite(value)) << format.name;
        }
      }
    }
  }
}

// The product that the format defines, in float64: decoded weights times the true activations.
struct Exact {
  double product = 0;
  double absolute = 0;  // sum of |w| * the quantizer's largest error at that column
};

Exact exact_product(const std::vector<float>& weights, const float* x, ActivationForm form) {
  uint32_t block = activation_block(form);
  Exact exact;
  for (size_t begin = 0; begin < weights.size(); begin += block) {
    size_t end = std::min(begin + block, weights.size());
    double amax = 0;
    for (size_t c = begin; c < end; ++c) amax = std::max(amax, std::fabs(double{x[c]}));
    for (size_t c = begin; c < end; ++c) {
      double w = weights[c];
      exact.product += w * x[c];
      // Half a step of amax / 127; for float weights only rounding is left.
      double step = form == ActivationForm::kF32 ? std::fabs(x[c]) * 1e-5 : amax / 127 * 0.5001;
      exact.absolute += std::fabs(w) * step + std::fabs(w * x[c]) * 1e-6;
    }
  }
  return exact;
}

// Every format and form: the error of an output is at most what rounding the activations to 8 bits
// (half a step of amax / 127 in each block, 32 or 256 wide) explains, plus float32 rounding. The
// typical error is far below that bound: with independent errors of a uniform step it is
// step / sqrt(12) per column, added in quadrature; the test allows twice that for the mean square.
TEST(Matmul, ErrorIsWhatEightBitActivationsExplain) {
  RandomDraws draws(5);
  constexpr uint32_t kColumns = 768;
  constexpr uint32_t kRows = 64;
  for (const BlockFormat& format : block_formats()) {
    Weights weights = make_weights(format.type, kRows, 0, kColumns, draws);
    auto values = random_floats(kColumns, 3, draws);
    for (ActivationForm form : forms_of(format)) {
      ActivationBuffer x = make_activations(form, kColumns, values);
      std::vector<float> y(kRows);
      scalar_kernels().matmul(weights.matrix(), x.view(), nullptr, 1, 0, kRows / 8, y.data(),
                              kRows);
      double square_error = 0;
      double square_weight = 0;
      for (uint32_t r = 0; r < kRows; ++r) {
        std::vector<float> row(kColumns);
        unpack_row(weights.matrix(), r, row.data());
        Exact exact = exact_product(row, values.data(), form);
        EXPECT_NEAR(y[r], exact.product, exact.absolute) << format.name << " row " << r;
        square_error += (y[r] - exact.product) * (y[r] - exact.product);
        for (float w : row) square_weight += double{w} * w;
      }
      double step = 3.0 / 127;  // the values are uniform below 3
      if (form != ActivationForm::kF32) {
        EXPECT_LT(square_error, 4 * square_weight * step * step / 12) << format.name;
        EXPECT_GT(square_error, 0) << format.name;
      }
    }
  }
}

// Every format has vector tiles; one that had none would be computed all the same.
TEST(Matmul, FormatsWithoutTilesFallBackToTheScalarKernel) {
  RandomDraws draws(7);
  for (const VectorKernels* isa : available_vector_kernels()) {
    for (const BlockFormat& format : block_formats()) {
      std::vector<tiles::FormatTiles> others;
      for (std::span<const tiles::FormatTiles> family : isa->tiles) {
        std::copy_if(family.begin(), family.end(), std::back_inserter(others),
                     [&](const tiles::FormatTiles& known) { return known.type != format.type; });
      }
      tiles::TileFamilies without = {others};
      for (ActivationForm form : forms_of(format)) {
        EXPECT_NE(tiles::find_tiles(isa->tiles, format.type, form), nullptr)
            << isa->table.name << " " << format.name;
        EXPECT_EQ(tiles::find_tiles(without, format.type, form), nullptr);
        Weights weights = make_weights(format.type, 21, 0, 256, draws);
        ActivationBuffer x = make_activations(form, 256, random_floats(3 * 256, 3, draws));
        std::vector<float> expected(3 * 21);
        scalar_kernels().matmul(weights.matrix(), x.view(), nullptr, 3, 0, 3, expected.data(), 21);
        std::vector<float> y(3 * 21);
        tiles::multiply(without, weights.matrix(), x.view(), nullptr, 3, 0, 3, y.data(), 21);
        EXPECT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0)
            << isa->table.name << " " << format.name;
      }
    }
  }
}

// Threads split panels, batches split tokens: neither may show.
TEST(Matmul, TokensDoNotDependOnTheirBatch) {
  RandomDraws draws(6);
  constexpr uint32_t kColumns = 512;
  constexpr uint32_t kRows = 40;
  constexpr uint32_t kTokens = 23;
  for (const BlockFormat& format : block_formats()) {
    Weights weights = make_weights(format.type, kRows, 0, kColumns, draws);
    auto values = random_floats(kTokens * kColumns, 3, draws);
    ActivationBuffer x = make_activations(format.activations, kColumns, values);
    for (const KernelTable* table : available_kernels()) {
      std::vector<float> all(kTokens * kRows);
      table->matmul(weights.matrix(), x.view(), nullptr, kTokens, 0, 5, all.data(), kRows);
      std::vector<float> single(kTokens * kRows);
      for (uint32_t t = 0; t < kTokens; ++t) {
        table->matmul(weights.matrix(), x.view().token_range(t, 1), nullptr, 1, 0, 5,
                      single.data() + t * kRows, kRows);
      }
      EXPECT_EQ(all, single) << table->name << " " << format.name;
    }
  }
}

}  // namespace
}  // namespace potluck
