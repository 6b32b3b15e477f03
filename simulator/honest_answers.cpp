#include "simulator/honest_answers.h"

#include "engine/base/check.h"
#include "protocol/codec.h"
#include "protocol/packed_sums.h"

namespace potluck::sim {

HonestAnswers::HonestAnswers(const SimModel& model)
    : model_(model), source_(model.model().cutter(), kMiB), compute_(model.kernels(), threads_) {}

Said HonestAnswers::answer(const Compute& request, ByteSpan tensor) {
  const ManifestLayer* layer = model_.manifest().layer(request.work.layer);
  CHECK(layer != nullptr);
  auto rows = static_cast<uint32_t>(request.rows.size());
  ActivationBuffer input;
  CHECK(unpack_activations(tensor, request.form, rows, request.columns, &input).ok());
  std::vector<int32_t> fraction_bits;
  std::vector<ExpertCall> calls;
  for (uint32_t row = 0; row < rows; ++row) {
    fraction_bits.push_back(request.rows[row].fraction_bits);
    for (const UnitCall& call : request.rows[row].calls) {
      GrainRange grains = slice_grains(layer->plan.grains, call.slice, request.slices);
      if (grains.count > 0) calls.push_back({row, call.expert, grains, call.weight});
    }
  }
  ExpertSums sums;
  sums.reset(rows, request.columns);
  CHECK(compute_.run(layer->layer, layer->shape, input.view(), fraction_bits, calls, source_, &sums)
            .ok());
  Partial partial;
  partial.work = request.work;
  partial.row_flags.assign(sums.flags.begin(), sums.flags.end());
  ByteVector packed;
  pack_sums(sums.sums, &packed);
  partial.checksum = checksum_of(partial.work, partial.row_flags, packed);
  return {std::move(partial), std::move(packed)};
}

}  // namespace potluck::sim
