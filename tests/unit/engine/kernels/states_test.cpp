// What layers keep from token to token: every table against the scalar one, and the scalar one
// against what its name says.
#include <cmath>

#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "engine/kernels/exact_math.h"
#include "engine/kernels/state_kernels.h"
#include "tests/unit/engine/kernels/random_data.h"

namespace potluck {
namespace {

using Floats = std::vector<float>;

void expect_same_values(std::string_view table, const Floats& found, const Floats& expected) {
  ASSERT_EQ(found.size(), expected.size());
  EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0)
      << table << " with " << found.size();
}

// Calls make(table), which returns values, for every table.
template <class Make>
void expect_scalar_bits(const Make& make) {
  const Floats expected = make(state_kernels(*available_kernels().front()));
  for (const KernelTable* table : available_kernels()) {
    expect_same_values(table->name, make(state_kernels(*table)), expected);
  }
}

// One head's tokens, whose lengths fill no vector.
struct HeadCase {
  HeadCase(uint32_t key_dim, uint32_t value_dim, uint32_t count, bool corrects, bool by_key)
      : shape{key_dim, value_dim, corrects, by_key, {}},
        draws(key_dim + 100 * value_dim),
        keys(random_floats(count * key_dim, 1, draws)),
        queries(random_floats(count * key_dim, 1, draws)),
        values(random_floats(count * value_dim, 1, draws)),
        decays(random_floats(count * key_dim, 1, draws)),
        before(random_floats(key_dim * value_dim, 1, draws)),
        outs(count * value_dim) {
    for (uint32_t i = 0; i < count; ++i) {
      tokens.push_back({decays.data() + i * key_dim, 0.5F + 0.125F * static_cast<float>(i),
                        queries.data() + i * key_dim, keys.data() + i * key_dim,
                        values.data() + i * value_dim, outs.data() + i * value_dim});
    }
    shape.tokens = tokens;
  }

  // The outputs, then the state.
  Floats run(const StateKernels& table) {
    Floats after(before.size());
    std::ranges::fill(outs, 99);
    table.recur(shape, before.data(), after.data());
    Floats all = outs;
    all.insert(all.end(), after.begin(), after.end());
    return all;
  }

  RecurrentTokens shape;
  RandomDraws draws;
  Floats keys, queries, values, decays, before, outs;
  std::vector<RecurrentToken> tokens;
};

TEST(Recur, EveryTableGivesTheScalarBits) {
  for (uint32_t value_dim : {1u, 8u, 13u, 16u, 40u, 64u, 100u, 128u, 131u}) {
    for (bool corrects : {false, true}) {
      for (bool by_key : {false, true}) {
        HeadCase head(24, value_dim, 3, corrects, by_key);
        expect_scalar_bits([&](const StateKernels& table) { return head.run(table); });
      }
    }
  }
}

// Token by token, in place, it is the same as all at once.
TEST(Recur, TokensFollowEachOther) {
  HeadCase head(16, 40, 4, true, true);
  for (const KernelTable* table : available_kernels()) {
    const StateKernels& kernels = state_kernels(*table);
    const Floats together = head.run(kernels);
    Floats state = head.before;
    for (const RecurrentToken& token : head.tokens) {
      RecurrentTokens one = head.shape;
      one.tokens = {&token, 1};
      kernels.recur(one, state.data(), state.data());
    }
    Floats all = head.outs;
    all.insert(all.end(), state.begin(), state.end());
    expect_same_values(table->name, all, together);
  }
}

// The formulas, column by column in float64.
TEST(Recur, IsWhatTheFormulaSays) {
  for (bool corrects : {false, true}) {
    HeadCase head(16, 5, 1, corrects, true);
    const Floats found = head.run(state_kernels(*available_kernels().front()));
    const RecurrentToken& token = head.tokens.front();
    for (uint32_t v = 0; v < 5; ++v) {
      double held = 0;
      double out = 0;
      for (uint32_t k = 0; k < 16; ++k) {
        held += double{head.before[k * 5 + v]} * token.decays[k] * token.key[k];
      }
      const double added = (token.value[v] - (corrects ? held : 0)) * token.beta;
      for (uint32_t k = 0; k < 16; ++k) {
        const double state =
            double{head.before[k * 5 + v]} * token.decays[k] + token.key[k] * added;
        EXPECT_NEAR(found[5 + k * 5 + v], state, 1e-5);
        out += state * token.query[k];
      }
      EXPECT_NEAR(found[v], out, 1e-5);
    }
  }
}

TEST(MixStreams, EveryTableGivesTheScalarBits) {
  RandomDraws draws(3);
  for (uint32_t streams : {2u, 3u, 4u, limits::kStreams}) {
    for (uint32_t count : {1u, 8u, 16u, 37u, 64u}) {
      const Floats weights = random_floats(streams, 2, draws);
      const Floats mixing = random_floats(streams * streams, 1, draws);
      const Floats y = random_floats(count, 1, draws);
      const Floats before = random_floats(streams * count, 1, draws);
      expect_scalar_bits([&](const StateKernels& table) {
        Floats values = before;
        table.mix_streams({streams, count, weights.data(), mixing.data()}, y.data(), values.data());
        return values;
      });
    }
  }
}

TEST(MixStreams, ARowOfTheMatrixSaysWhereAStreamGoes) {
  const Floats weights = {0, 10};
  const Floats mixing = {0, 2, 3, 0};  // stream 0 to stream 1, twice; stream 1 to stream 0
  Floats streams = {1, 100};
  const float y = 7;
  for (const KernelTable* table : available_kernels()) {
    Floats mixed = streams;
    state_kernels(*table).mix_streams({2, 1, weights.data(), mixing.data()}, &y, mixed.data());
    EXPECT_EQ(mixed, (Floats{300, 72})) << table->name;
  }
}

// The state after some tokens: largest gates, sums, totals.
Floats run_softmaxes(const StateKernels& table, const std::vector<Floats>& gates,
                     const std::vector<Floats>& values, const Floats& offsets) {
  const auto count = static_cast<uint32_t>(offsets.size());
  Floats state(3 * count);
  const RunningSoftmaxes softmaxes{state.data(), state.data() + count, state.data() + 2 * count};
  for (size_t i = 0; i < gates.size(); ++i) {
    table.add_to_softmaxes(gates[i].data(), offsets.data(), values[i].data(), count, softmaxes);
  }
  return state;
}

TEST(AddToSoftmaxes, EveryTableGivesTheScalarBits) {
  RandomDraws draws(4);
  for (uint32_t count : {1u, 8u, 29u, 64u}) {
    const Floats offsets = random_floats(count, 1, draws);
    std::vector<Floats> gates;
    std::vector<Floats> values;
    for (int i = 0; i < 9; ++i) {
      gates.push_back(random_floats(count, 20, draws));
      values.push_back(random_floats(count, 1, draws));
    }
    // What is no number, or too far away, in a lane of its own each.
    for (uint32_t lane = 0; lane + 4 <= count && lane < 4; ++lane) {
      gates[lane][lane] = std::array{NAN, INFINITY, -INFINITY, 1e30F}[lane];
    }
    expect_scalar_bits([&](const StateKernels& table) {
      Floats state = run_softmaxes(table, gates, values, offsets);
      // Which NaN it is, the contract does not say.
      for (float& value : state) value = std::isnan(value) ? 12345 : value;
      return state;
    });
  }
}

TEST(AddToSoftmaxes, GivesASoftmaxOfAllTokens) {
  const std::vector<Floats> gates = {{1}, {4}, {-2}, {3}};
  const std::vector<Floats> values = {{10}, {20}, {30}, {40}};
  double sum = 0;
  double total = 0;
  for (size_t i = 0; i < gates.size(); ++i) {
    const double weight = std::exp(gates[i][0] + 0.5 - 4.5);
    sum += weight;
    total += weight * values[i][0];
  }
  const Floats state =
      run_softmaxes(state_kernels(*available_kernels().front()), gates, values, {0.5F});
  EXPECT_EQ(state[0], 4.5F);
  EXPECT_NEAR(state[1], sum, 1e-6);
  EXPECT_NEAR(state[2], total, 1e-5);
}

TEST(Columns, EveryTableGivesTheScalarBits) {
  RandomDraws draws(5);
  for (uint32_t count = 1; count < 70; ++count) {
    const Floats x = random_floats(count, 20, draws);
    const Floats y = random_floats(count, 2, draws);
    expect_scalar_bits([&](const StateKernels& table) {
      Floats sum = y;
      table.add_scaled(0.3F, x.data(), count, sum.data());
      table.sigmoid_gate(x.data(), count, sum.data());
      table.silu(sum.data(), count);
      return sum;
    });
  }
}

TEST(Columns, AreWhatTheirNamesSay) {
  const StateKernels& scalar = state_kernels(*available_kernels().front());
  Floats y = {1, 2};
  const Floats x = {3, -4};
  scalar.add_scaled(2, x.data(), 2, y.data());
  EXPECT_EQ(y, (Floats{7, -6}));
  scalar.sigmoid_gate(x.data(), 2, y.data());
  EXPECT_EQ(y, (Floats{7 * exact_sigmoid(3), -6 * exact_sigmoid(-4)}));
  Floats z = x;
  scalar.silu(z.data(), 2);
  EXPECT_EQ(z, (Floats{exact_silu(3), exact_silu(-4)}));
}

}  // namespace
}  // namespace potluck
