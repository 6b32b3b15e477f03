#include "tests/unit/coordinator/dispatch/sample_work.h"

#include <algorithm>

#include "protocol/codec.h"
#include "protocol/packed_sums.h"

namespace potluck::test {
namespace {

// Small numbers, all different enough that a wrong, missing or doubled one shows.
int64_t contribution(uint32_t expert, uint32_t grain, uint32_t column, float value,
                     int32_t fraction_bits, float weight) {
  uint64_t name = uint64_t{expert} << 40 | uint64_t{grain} << 20 | column;
  auto noise = static_cast<int64_t>(mix64(name) & 0xffff);
  return noise * fraction_bits + static_cast<int64_t>(value * 4) * 1000 +
         static_cast<int64_t>(weight * 64);
}

void add_range(GrainRange grains, uint32_t expert, const float* values, uint32_t hidden,
               int32_t fraction_bits, float weight, int64_t* sums) {
  for (uint32_t i = 0; i < grains.count; ++i) {
    for (uint32_t column = 0; column < hidden; ++column) {
      sums[column] +=
          contribution(expert, grains.first + i, column, values[column], fraction_bits, weight);
    }
  }
}

}  // namespace

NumberedBatch::NumberedBatch(const Manifest& manifest, uint32_t layer, uint32_t tokens,
                             uint32_t top_k, uint64_t seed)
    : manifest_(manifest) {
  const ManifestLayer& entry = *manifest.layer(layer);
  CounterRandom random(seed);
  uint32_t hidden = entry.shape.hidden;
  for (uint32_t row = 0; row < tokens; ++row) {
    for (uint32_t column = 0; column < hidden; ++column) {
      values_.push_back(static_cast<float>(row + 1) + 0.25F * static_cast<float>(column));
    }
    fraction_bits_.push_back(static_cast<int32_t>(10 + row % 30));
    auto first = static_cast<uint32_t>(random.bits(row) % entry.experts);
    for (uint32_t k = 0; k < top_k; ++k) {
      experts_.push_back((first + 3 * k) % entry.experts);
      weights_.push_back(static_cast<float>(k + 1) / 64.0F);
    }
  }
  batch_.layer = layer;
  batch_.top_k = top_k;
  batch_.input.tokens = tokens;
  batch_.input.columns = hidden;
  batch_.input.values = values_.data();
  batch_.fraction_bits = fraction_bits_;
  batch_.experts = experts_;
  batch_.weights = weights_;
}

std::vector<int64_t> NumberedBatch::expected() const {
  const ManifestLayer& layer = *manifest_.layer(batch_.layer);
  uint32_t hidden = layer.shape.hidden;
  std::vector<int64_t> answer(size_t{batch_.tokens()} * hidden, 0);
  for (uint32_t row = 0; row < batch_.tokens(); ++row) {
    for (uint32_t k = 0; k < batch_.top_k; ++k) {
      size_t i = size_t{row} * batch_.top_k + k;
      add_range({0, layer.plan.grains}, experts_[i], &values_[size_t{row} * hidden], hidden,
                fraction_bits_[row], weights_[i], &answer[size_t{row} * hidden]);
    }
  }
  return answer;
}

uint64_t NumberedBatch::unit_calls(uint32_t slices) const {
  uint32_t grains = manifest_.layer(batch_.layer)->plan.grains;
  return uint64_t{batch_.tokens()} * batch_.top_k * std::min(slices, grains);
}

const Compute& compute_of(const OutgoingMessage& outgoing) {
  return std::get<Compute>(outgoing.message);
}

Answer answer_to(const Manifest& manifest, const OutgoingMessage& outgoing) {
  const Compute& compute = compute_of(outgoing);
  const ManifestLayer& layer = *manifest.layer(compute.work.layer);
  std::vector<float> values(outgoing.tensor.size() / sizeof(float));
  std::memcpy(values.data(), outgoing.tensor.data(), outgoing.tensor.size());
  std::vector<int64_t> sums(compute.rows.size() * compute.columns, 0);
  for (size_t row = 0; row < compute.rows.size(); ++row) {
    for (const UnitCall& call : compute.rows[row].calls) {
      add_range(slice_grains(layer.plan.grains, call.slice, compute.slices), call.expert,
                &values[row * compute.columns], compute.columns, compute.rows[row].fraction_bits,
                call.weight, &sums[row * compute.columns]);
    }
  }
  Answer answer;
  answer.partial.work = compute.work;
  answer.partial.row_flags.assign(compute.rows.size(), 0);
  answer.partial.timings = {100, 10, 1000, 1, 2};
  replace_sums(&answer, sums);
  return answer;
}

void replace_sums(Answer* answer, std::span<const int64_t> sums) {
  answer->tensor.clear();
  pack_sums(sums, &answer->tensor);
  fix_checksum(answer);
}

void fix_checksum(Answer* answer) {
  answer->partial.checksum =
      checksum_of(answer->partial.work, answer->partial.row_flags, answer->tensor);
}

void compute_locally(const Manifest& manifest, const LocalWork& work) {
  uint32_t hidden = manifest.layer(work.batch->layer)->shape.hidden;
  for (const ExpertCall& call : work.calls) {
    add_range(call.grains, call.expert, work.batch->input.values + size_t{call.row} * hidden,
              hidden, work.batch->fraction_bits[call.row], call.weight,
              &work.out->sums[size_t{call.row} * hidden]);
  }
}

}  // namespace potluck::test
