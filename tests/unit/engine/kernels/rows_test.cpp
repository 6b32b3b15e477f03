#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "engine/kernels/exact_math.h"
#include "engine/kernels/kernels.h"
#include "tests/unit/engine/kernels/random_data.h"

namespace potluck {
namespace {

const KernelTable& scalar_rows() {
  return *available_kernels().front();
}

template <class T>
void expect_same_bytes(const std::vector<T>& found, const std::vector<T>& expected,
                       const std::string& what) {
  ASSERT_EQ(found.size(), expected.size());
  EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(T)), 0) << what;
}

struct Quantized {
  std::vector<int8_t> quants;
  std::vector<float> scales;
  std::vector<int16_t> sums;
};

Quantized quantize(const KernelTable& kernels, const std::vector<float>& x, uint32_t block) {
  auto count = static_cast<uint32_t>(x.size());
  uint32_t padded = round_up(count, block);
  Quantized q{std::vector<int8_t>(padded, 99), std::vector<float>(padded / block, 99),
              std::vector<int16_t>(padded / 16, 99)};
  kernels.quantize(x.data(), count, block, q.quants.data(), q.scales.data(), q.sums.data());
  return q;
}

void expect_same_quants(const std::vector<float>& x, uint32_t block) {
  Quantized expected = quantize(scalar_rows(), x, block);
  for (const KernelTable* table : available_kernels()) {
    Quantized found = quantize(*table, x, block);
    std::string what = std::string(table->name) + " count " + std::to_string(x.size());
    expect_same_bytes(found.quants, expected.quants, what);
    expect_same_bytes(found.scales, expected.scales, what);
    expect_same_bytes(found.sums, expected.sums, what);
  }
}

TEST(Quantize, EveryTableGivesTheScalarBits) {
  RandomDraws draws(1);
  for (int i = 0; i < 300; ++i) {
    uint32_t block = i % 2 == 0 ? 32 : 256;
    float range = std::exp2(draws.between(-110, 120));
    expect_same_quants(random_floats(1 + draws.below(900), range, draws), block);
  }
}

TEST(Quantize, TakesEveryKindOfNumber) {
  const std::vector<float> kinds = {0.0F,  -0.0F,    1e-45F, -1e-40F,  0x1p-100F, 0x0.fffp-100F,
                                    3e38F, -3.4e38F, NAN,    INFINITY, -INFINITY, 1.5F};
  for (float kind : kinds) {
    for (uint32_t block : {32u, 256u}) {
      std::vector<float> x(block, kind);
      expect_same_quants(x, block);
      x.assign(block, 0.25F);
      x[block - 3] = kind;
      expect_same_quants(x, block);
    }
  }
}

// The written rule, with its rounding, on values computed here by other means.
TEST(Quantize, FollowsTheWrittenRule) {
  RandomDraws draws(2);
  std::vector<float> x = random_floats(96, 5, draws);
  x[40] = NAN;
  for (uint32_t i = 64; i < 96; ++i) x[i] *= 0x1p-104F;
  Quantized q = quantize(scalar_rows(), x, 32);
  float amax = 0;
  for (uint32_t i = 0; i < 32; ++i) amax = std::max(amax, std::fabs(x[i]));
  EXPECT_EQ(q.scales[0], amax / 127);
  int sum = 0;
  for (uint32_t i = 0; i < 32; ++i) {
    EXPECT_NEAR(q.quants[i] * q.scales[0], x[i], q.scales[0] * 0.50001F);
    if (i < 16) sum += q.quants[i];
  }
  EXPECT_EQ(q.sums[0], sum);
  EXPECT_EQ(std::bit_cast<uint32_t>(q.scales[1]), 0x7fc00000u);
  EXPECT_EQ(q.quants[33], 0);
  EXPECT_EQ(q.scales[2], 0.0F);
  EXPECT_EQ(q.quants[70], 0);
}

// Values next to the middle between two quants, where every rounding of the rule shows.
TEST(Quantize, RoundsTheWrittenProduct) {
  RandomDraws draws(9);
  for (int i = 0; i < 2000; ++i) {
    float amax = draws.between(0.5F, 2);
    float inverse = 127.0F / amax;
    std::vector<float> x(32, 0.0F);
    x[0] = amax;
    for (uint32_t k = 1; k < 32; ++k) {
      float middle = (static_cast<float>(4 * k) + 0.5F) * (amax / 127.0F);
      x[k] = draws.below(2) == 0 ? middle : -middle;
    }
    for (const KernelTable* table : available_kernels()) {
      Quantized q = quantize(*table, x, 32);
      for (uint32_t k = 0; k < 32; ++k) {
        ASSERT_EQ(q.quants[k], std::lrint(x[k] * inverse)) << table->name << " " << x[k];
      }
    }
  }
}

TEST(Quantize, HalvesGoToTheEvenNeighbor) {
  std::vector<float> x(32, 0.0F);
  x[0] = 127;  // inverse is 1
  x[1] = 2.5F;
  x[2] = 3.5F;
  x[3] = -0.5F;
  x[4] = -1.5F;
  for (const KernelTable* table : available_kernels()) {
    Quantized q = quantize(*table, x, 32);
    EXPECT_EQ(q.quants[1], 2);
    EXPECT_EQ(q.quants[2], 4);
    EXPECT_EQ(q.quants[3], 0);
    EXPECT_EQ(q.quants[4], -2);
  }
}

TEST(RmsNorm, EveryTableGivesTheScalarBits) {
  RandomDraws draws(3);
  for (uint32_t count = 1; count < 100; ++count) {
    auto x = random_floats(count, 9, draws);
    auto weight = random_floats(count, 2, draws);
    for (bool weighted : {false, true}) {
      const float* w = weighted ? weight.data() : nullptr;
      std::vector<float> expected(count);
      scalar_rows().rms_norm(x.data(), w, count, 1e-5F, expected.data());
      for (const KernelTable* table : available_kernels()) {
        std::vector<float> y = x;
        table->rms_norm(y.data(), w, count, 1e-5F, y.data());
        expect_same_bytes(y, expected, std::string(table->name));
      }
    }
  }
}

TEST(RmsNorm, IsAccurate) {
  RandomDraws draws(4);
  auto x = random_floats(1001, 3, draws);
  auto weight = random_floats(1001, 2, draws);
  double squares = 0;
  for (float value : x) squares += double{value} * value;
  double scale = 1 / std::sqrt(squares / 1001 + 1e-6);
  std::vector<float> y(1001);
  scalar_rows().rms_norm(x.data(), weight.data(), 1001, 1e-6F, y.data());
  for (size_t i = 0; i < y.size(); ++i) {
    double expected = x[i] * scale * weight[i];
    EXPECT_NEAR(y[i], expected, std::fabs(expected) * 1e-6);
  }
}

TEST(Swiglu, EveryTableGivesTheScalarBits) {
  RandomDraws draws(5);
  for (uint32_t count : {1u, 7u, 8u, 31u, 1000u}) {
    auto gate = random_floats(count, 100, draws);
    auto up = random_floats(count, 4, draws);
    if (count == 31) gate = std::vector<float>(31, -88.7F);
    if (count == 1000) gate[3] = 89, gate[4] = -89, gate[5] = 1e30F, gate[6] = -1e30F, gate[7] = 0;
    std::vector<float> expected(count);
    scalar_rows().swiglu(gate.data(), up.data(), count, expected.data());
    for (uint32_t i = 0; i < count; ++i) EXPECT_EQ(expected[i], exact_silu(gate[i]) * up[i]);
    for (const KernelTable* table : available_kernels()) {
      std::vector<float> y = gate;
      table->swiglu(y.data(), up.data(), count, y.data());
      expect_same_bytes(y, expected, std::string(table->name));
    }
  }
}

TEST(SwigluOai, EveryTableGivesTheScalarBits) {
  RandomDraws draws(8);
  for (uint32_t count : {1u, 7u, 8u, 31u, 1000u}) {
    auto gate = random_floats(count, 20, draws);
    auto up = random_floats(count, 12, draws);
    if (count == 1000) gate[3] = 7, gate[4] = -89, up[5] = -7, up[6] = 1e30F, gate[7] = -1e30F;
    std::vector<float> expected(count);
    scalar_rows().swiglu_oai(gate.data(), up.data(), count, expected.data());
    for (uint32_t i = 0; i < count; ++i) {
      double g = std::min(double{gate[i]}, 7.0);
      double u = std::clamp(double{up[i]}, -7.0, 7.0);
      double wide = g / (1 + std::exp(-1.702 * g)) * (u + 1);
      EXPECT_NEAR(expected[i], wide, std::fabs(wide) * 1e-5 + 1e-30) << gate[i] << " " << up[i];
    }
    for (const KernelTable* table : available_kernels()) {
      std::vector<float> y = up;
      table->swiglu_oai(gate.data(), y.data(), count, y.data());
      expect_same_bytes(y, expected, std::string(table->name));
    }
  }
}

// Limits keep a NaN in every table, and infinities become the limits.
TEST(SwigluOai, NotANumberStays) {
  std::vector<float> gate(16, NAN);
  std::vector<float> up(16, 1.0F);
  for (uint32_t i = 8; i < 16; ++i) std::swap(gate[i], up[i]);
  for (const KernelTable* table : available_kernels()) {
    std::vector<float> y(16);
    table->swiglu_oai(gate.data(), up.data(), 16, y.data());
    for (float value : y) EXPECT_TRUE(std::isnan(value)) << table->name;
  }
}

double tanh_gelu(double x) {
  return x / 2 * (1 + std::tanh(std::sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x)));
}

TEST(Activations, EveryTableGivesTheScalarBits) {
  RandomDraws draws(9);
  for (uint32_t count : {1u, 7u, 8u, 31u, 1000u}) {
    auto gate = random_floats(count, 8, draws);
    auto up = random_floats(count, 4, draws);
    if (count == 1000) {
      gate[3] = 89, gate[4] = -89, gate[5] = 1e30F, gate[6] = -1e30F, gate[7] = 0, gate[8] = -0.0F;
      gate[9] = NAN;
    }
    std::vector<float> gelu(count);
    std::vector<float> relu(count);
    std::vector<float> squared(count);
    scalar_rows().geglu(gate.data(), up.data(), count, gelu.data());
    scalar_rows().reglu(gate.data(), up.data(), count, relu.data());
    scalar_rows().relu_squared(gate.data(), count, squared.data());
    for (const KernelTable* table : available_kernels()) {
      std::vector<float> y = gate;
      table->geglu(y.data(), up.data(), count, y.data());
      expect_same_bytes(y, gelu, std::string(table->name));
      y = up;
      table->reglu(gate.data(), y.data(), count, y.data());
      expect_same_bytes(y, relu, std::string(table->name));
      y = gate;
      table->relu_squared(y.data(), count, y.data());
      expect_same_bytes(y, squared, std::string(table->name));
    }
  }
}

TEST(Activations, AreWhatTheirNamesSay) {
  RandomDraws draws(10);
  auto gate = random_floats(1000, 8, draws);
  auto up = random_floats(1000, 4, draws);
  std::vector<float> y(1000);
  scalar_rows().geglu(gate.data(), up.data(), 1000, y.data());
  for (uint32_t i = 0; i < 1000; ++i) {
    double expected = tanh_gelu(gate[i]) * up[i];
    EXPECT_NEAR(y[i], expected, std::fabs(up[i]) * 1e-6 + std::fabs(expected) * 1e-6) << gate[i];
  }
  scalar_rows().reglu(gate.data(), up.data(), 1000, y.data());
  for (uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(y[i], std::max(gate[i], 0.0F) * up[i]);
  scalar_rows().relu_squared(gate.data(), 1000, y.data());
  for (uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(y[i], gate[i] > 0 ? gate[i] * gate[i] : 0);
}

TEST(SwigluClamped, EveryTableGivesTheScalarBits) {
  RandomDraws draws(12);
  for (uint32_t count : {1u, 7u, 8u, 31u, 1000u}) {
    auto gate = random_floats(count, 8, draws);
    auto up = random_floats(count, 4, draws);
    if (count == 1000) {
      gate[3] = 89, gate[4] = -89, gate[5] = 1e30F, gate[6] = -1e30F, gate[7] = 0, gate[8] = -0.0F;
      gate[9] = NAN, up[10] = NAN, up[11] = INFINITY, up[12] = -INFINITY;
    }
    std::vector<float> before(count);
    std::vector<float> after(count);
    scalar_rows().swiglu_clamp_before(gate.data(), up.data(), 2.5F, count, before.data());
    scalar_rows().swiglu_clamp_after(gate.data(), up.data(), 2.5F, count, after.data());
    for (const KernelTable* table : available_kernels()) {
      std::vector<float> y = gate;
      table->swiglu_clamp_before(y.data(), up.data(), 2.5F, count, y.data());
      expect_same_bytes(y, before, std::string(table->name));
      y = up;
      table->swiglu_clamp_after(gate.data(), y.data(), 2.5F, count, y.data());
      expect_same_bytes(y, after, std::string(table->name));
    }
    if (count < 1000) continue;
    for (const auto& y : {before, after}) {
      EXPECT_TRUE(std::isnan(y[9]) && std::isnan(y[10]));
      EXPECT_TRUE(std::isfinite(y[11]) && std::isfinite(y[12]));
    }
  }
}

TEST(SwigluClamped, AreWhatTheirNamesSay) {
  const std::vector<float> gate = {1, 2, 100, -100, 1, 1};
  const std::vector<float> up = {1, -1, 1, 1, 9, -9};
  std::vector<float> y(6);
  auto silu = [](double x) { return x / (1 + std::exp(-x)); };
  scalar_rows().swiglu_clamp_before(gate.data(), up.data(), 1.5F, 6, y.data());
  for (auto [i, expected] : {std::pair{0, silu(1)},
                             {1, -silu(1.5)},
                             {2, silu(1.5)},
                             {3, 0.0},
                             {4, 1.5 * silu(1)},
                             {5, -1.5 * silu(1)}}) {
    EXPECT_NEAR(y[static_cast<size_t>(i)], expected, 1e-6) << i;
  }
  scalar_rows().swiglu_clamp_after(gate.data(), up.data(), 1.5F, 6, y.data());
  for (auto [i, expected] : {std::pair{0, silu(1)},
                             {1, -1.5},
                             {2, 1.5},
                             {3, 0.0},
                             {4, 1.5 * silu(1)},
                             {5, -1.5 * silu(1)}}) {
    EXPECT_NEAR(y[static_cast<size_t>(i)], expected, 1e-6) << i;
  }
}

// A broken value must fail its row, not vanish.
TEST(Activations, NotANumberStays) {
  std::vector<float> broken(13, NAN);
  std::vector<float> ones(13, 1);
  for (const KernelTable* table : available_kernels()) {
    std::vector<float> gelu(13);
    std::vector<float> relu(13);
    std::vector<float> squared(13);
    table->geglu(broken.data(), ones.data(), 13, gelu.data());
    table->reglu(broken.data(), ones.data(), 13, relu.data());
    table->relu_squared(broken.data(), 13, squared.data());
    for (uint32_t i = 0; i < 13; ++i) {
      EXPECT_TRUE(std::isnan(gelu[i]) && std::isnan(relu[i]) && std::isnan(squared[i]))
          << table->name;
    }
  }
}

TEST(ExpSum, EveryTableGivesTheScalarBits) {
  RandomDraws draws(6);
  for (uint32_t count = 1; count < 300; count += 7) {
    auto x = random_floats(count, 100, draws);
    std::vector<float> expected = x;
    float expected_sum = scalar_rows().exp_sum(expected.data(), count, 12);
    for (const KernelTable* table : available_kernels()) {
      std::vector<float> y = x;
      EXPECT_EQ(table->exp_sum(y.data(), count, 12), expected_sum);
      expect_same_bytes(y, expected, std::string(table->name));
    }
  }
}

// Every exponent and many mantissas of the exponential, in every lane.
TEST(ExpSum, VectorsComputeTheDefinedExp) {
  for (uint64_t start = 0; start < 0x100000000; start += 8 * 65521) {
    std::vector<float> x(8);
    for (uint32_t i = 0; i < 8; ++i) {
      x[i] = std::bit_cast<float>(static_cast<uint32_t>(start + i * 65521));
    }
    for (const KernelTable* table : available_kernels()) {
      std::vector<float> y = x;
      table->exp_sum(y.data(), 8, 0);
      for (uint32_t i = 0; i < 8; ++i) {
        float expected = exact_exp(x[i]);
        if (std::isnan(expected)) {
          EXPECT_TRUE(std::isnan(y[i]));
        } else {
          EXPECT_EQ(std::bit_cast<uint32_t>(y[i]), std::bit_cast<uint32_t>(expected)) << x[i];
        }
      }
    }
  }
}

// The addend by its definition, with a wide type for the scaled value.
bool expected_addend(float y, float weight, int bits, int64_t* addend) {
  float product = y * weight;
  *addend = 0;
  if (!std::isfinite(product)) return false;
  long double scaled = std::ldexp(static_cast<long double>(product), bits);
  if (std::fabs(scaled) > static_cast<long double>(kAddendLimit)) return false;
  long double floor = std::floor(scaled);
  auto integer = static_cast<int64_t>(floor);
  long double rest = scaled - floor;
  if (rest > 0.5L || (rest == 0.5L && integer % 2 != 0)) ++integer;
  *addend = integer;
  return true;
}

void expect_accumulate(const std::vector<float>& y, float weight, int32_t bits) {
  std::vector<int64_t> expected(y.size(), 1000);
  bool flag = false;
  for (size_t i = 0; i < y.size(); ++i) {
    int64_t addend = 0;
    flag |= !expected_addend(y[i], weight, bits, &addend);
    expected[i] += addend;
  }
  for (const KernelTable* table : available_kernels()) {
    std::vector<int64_t> sums(y.size(), 1000);
    bool found =
        table->accumulate(y.data(), static_cast<uint32_t>(y.size()), weight, bits, sums.data());
    EXPECT_EQ(found, flag) << table->name << " bits " << bits;
    EXPECT_EQ(sums, expected) << table->name << " bits " << bits;
  }
}

TEST(Accumulate, AgreesWithTheDefinition) {
  RandomDraws draws(7);
  for (int i = 0; i < 400; ++i) {
    auto y = random_floats(1 + draws.below(50), std::exp2(draws.between(-30, 30)), draws);
    expect_accumulate(y, draws.between(-1, 1), static_cast<int32_t>(draws.below(60)) - 10);
  }
}

TEST(Accumulate, EdgesOfTheRange) {
  std::vector<float> limits = {0x1p46F, -0x1p46F, std::nextafter(0x1p46F, 0.0F),
                               std::nextafter(0x1p46F, 1e30F), -std::nextafter(0x1p46F, 1e30F)};
  expect_accumulate({0x1p46F, -0x1p46F}, 1, 0);
  expect_accumulate(limits, 1, 0);
  expect_accumulate({0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -2.5F, 0x1.8p22F, -0.0F}, 1, 0);
  for (float bad : {NAN, INFINITY, -INFINITY, 3e38F}) {
    for (size_t place = 0; place < 11; ++place) {
      std::vector<float> y(11, 0.75F);
      y[place] = bad;
      expect_accumulate(y, 1, 10);
    }
  }
  for (int32_t bits : {kMinFractionBits, -150, -126, 0, 149, 195, 400, kMaxFractionBits}) {
    expect_accumulate({1e-45F, -1e-45F, 3e38F, 1, 0, -0.0F, 0x1p-126F, 7, 9}, 1, bits);
  }
  expect_accumulate({1e30F, -1e30F, 0, 1, 2}, 1e20F, -100);  // the product overflows
}

TEST(Accumulate, ClampsTheExponent) {
  for (const KernelTable* table : available_kernels()) {
    float y = 1;
    int64_t sum = 0;
    EXPECT_FALSE(table->accumulate(&y, 1, 1, std::numeric_limits<int32_t>::min(), &sum));
    EXPECT_EQ(sum, 0);
    EXPECT_TRUE(table->accumulate(&y, 1, 1, std::numeric_limits<int32_t>::max(), &sum));
    EXPECT_EQ(sum, 0);
  }
}

}  // namespace
}  // namespace potluck
