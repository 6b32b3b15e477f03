#include "coordinator/dispatch/call_builder.h"

#include "protocol/codec.h"

namespace potluck {
namespace {

ComputeRow build_row(const ExpertBatch& batch, std::span<const RowCall> calls) {
  ComputeRow row;
  row.fraction_bits = batch.fraction_bits[calls.front().row];
  row.calls.reserve(calls.size());
  for (const RowCall& call : calls) row.calls.push_back({call.expert, call.slice, call.weight});
  return row;
}

}  // namespace

OutgoingMessage build_call(const CallTerms& terms, const ExpertBatch& batch,
                           std::span<const RowCall> calls, uint32_t rows,
                           std::span<const PrefetchUnit> prefetch) {
  Compute compute;
  compute.work = terms.work;
  compute.slices = terms.slices;
  compute.form = batch.input.form;
  compute.columns = batch.input.columns;
  for (const PrefetchUnit& likely : prefetch) {
    if (likely.worker == terms.worker) compute.prefetch.push_back(likely.unit);
  }
  compute.rows.reserve(rows);
  std::vector<uint32_t> batch_rows;
  batch_rows.reserve(rows);
  for (size_t begin = 0; begin < calls.size();) {
    // The activations of a row are sent once, with all its calls to this worker behind it.
    size_t end = end_of_row(calls, begin);
    compute.rows.push_back(build_row(batch, calls.subspan(begin, end - begin)));
    batch_rows.push_back(calls[begin].row);
    begin = end;
  }
  ByteVector tensor = pack_activations(batch.input, batch_rows);
  return {terms.worker, Channel::kCompute, std::move(compute), std::move(tensor)};
}

}  // namespace potluck
