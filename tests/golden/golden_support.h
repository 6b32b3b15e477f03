// What the golden tests of the model share: reference files, and one run that gives the logits
// after a prompt and the greedy tokens that follow. One thread.
#pragma once

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/hash.h"
#include "tests/golden/digests.h"
#include "tests/support/solo_engine.h"
#include "tests/support/test_files.h"

namespace potluck::test {

// The fixtures of digests.h: folders of tests/data/arch.
inline constexpr auto kFixtures = [] {
  std::array<const char*, std::size(digests::kFixtureDigests)> names{};
  std::ranges::transform(digests::kFixtureDigests, names.begin(), &digests::FixtureDigest::fixture);
  return names;
}();

inline nlohmann::json load_json(const std::string& path) {
  auto bytes = read_file(*make_system_storage(), path, 16 * kMiB);
  CHECK(bytes.ok());
  return nlohmann::json::parse(as_text(*bytes));
}

// GoogleTest takes letters, digits and underscores.
inline std::string test_name(std::string name) {
  std::ranges::replace(name, '-', '_');
  return name;
}

struct GoldenRun {
  std::vector<float> logits;    // after the prompt
  std::vector<TokenId> tokens;  // that follow, greedily
  double mean_nll = 0;

  bool operator==(const GoldenRun&) const = default;

  // SHA-256 over the bytes of logits and tokens.
  std::string digest() const {
    Sha256Stream hash;
    hash.update(std::as_bytes(std::span(logits)));
    hash.update(std::as_bytes(std::span(tokens)));
    return hash.finish().hex();
  }
};

inline GoldenRun run_golden(SoloEngine& engine, std::span<const TokenId> prompt, uint32_t count,
                            uint32_t prefill_chunk, KvType type = KvType::kF32) {
  KvCache cache(engine.config(), type, static_cast<uint32_t>(prompt.size()) + count);
  ScoringRun run = engine.scoring(cache, prefill_chunk);
  Result<TokenScore> score = score_tokens(run, prompt);
  CHECK(score.ok());
  auto tokens = continue_greedily(run, score->last_logits, count);
  CHECK(tokens.ok());
  return {std::move(score->last_logits), std::move(*tokens), score->mean_nll};
}

// |a - b| / |b|.
inline double relative_difference(std::span<const float> a, std::span<const double> b) {
  CHECK(a.size() == b.size());
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

}  // namespace potluck::test
