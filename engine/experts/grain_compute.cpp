// One grain, up to 64 rows at a time: gate and up for all columns of the grain, then chunk by chunk
// activation, quantizing and the down-projection, whose outputs become integers at once. Nothing
// larger than a tile is kept in floats.
#include "engine/experts/grain_compute.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/scratch.h"

namespace potluck {
namespace {

// Token rows per pass over a grain: enough to pay for reading it, few enough that the intermediate
// values stay in a core's own cache.
constexpr uint32_t kTokenTile = 64;
// Outputs held at once, [tokens of the tile, rows of down]: 64 KiB of float32.
constexpr uint32_t kOutputTile = 16 * 1024;
constexpr uint32_t kBlock = 32;

// The scale of gate (0), up (1) or down (2).
float scale_of(const GrainLayout& layout, const std::byte* grain, uint32_t index) {
  if (layout.scales_offset == 0) return 1;
  return load<float>(grain + layout.scales_offset + index * sizeof(float));
}

void multiply_by(float scale, uint32_t count, float* y) {
  if (scale == 1) return;
  for (uint32_t i = 0; i < count; ++i) y[i] *= scale;
}

void add_bias(const std::byte* bias, uint32_t count, float* y) {
  for (uint32_t i = 0; i < count; ++i) y[i] += load<float>(bias + i * sizeof(float));
}

}  // namespace

void PartialSums::begin(uint32_t tokens, uint32_t hidden) {
  hidden_ = hidden;
  grow(own_sums_, uint64_t{tokens} * hidden);
  own_flags_.assign(tokens, 0);
  touched_.assign(tokens, 0);
  sums_ = own_sums_.data();
  flags_ = own_flags_.data();
}

void PartialSums::begin_in(ExpertSums* out, uint32_t hidden) {
  hidden_ = hidden;
  touched_.clear();
  sums_ = out->sums.data();
  flags_ = out->flags.data();
}

int64_t* PartialSums::row(uint32_t row) {
  int64_t* values = sums_ + uint64_t{row} * hidden_;
  if (!touched_.empty() && touched_[row] == 0) {
    touched_[row] = 1;
    std::fill_n(values, hidden_, 0);
  }
  return values;
}

void PartialSums::add_row_to(uint32_t row, ExpertSums* out) const {
  if (touched_.empty() || touched_[row] == 0) return;
  const int64_t* from = sums_ + uint64_t{row} * hidden_;
  int64_t* to = out->sums.data() + uint64_t{row} * hidden_;
  for (uint32_t i = 0; i < hidden_; ++i) to[i] += from[i];
  out->flags[row] |= flags_[row];
}

struct GrainCompute::Tile {
  const ShapeTables& tables;
  const GrainLayout& layout;
  const std::byte* grain;
  const GrainInput& input;
  WeightedRows rows;
};

void GrainCompute::run(const ShapeTables& tables, uint32_t index, ByteSpan grain,
                       const GrainInput& input, const WeightedRows& rows, PartialSums& sums) {
  const GrainLayout& layout = tables.layouts[index];
  CHECK(grain.size() >= layout.used_bytes);
  for (uint32_t begin = 0; begin < rows.count; begin += kTokenTile) {
    uint32_t count = std::min(kTokenTile, rows.count - begin);
    Tile tile{
        tables, layout, grain.data(), input, {rows.rows + begin, rows.weights + begin, count}};
    if (tables.shape.gated()) {
      project(tile, {layout.gate, tile.grain, scale_of(layout, tile.grain, 0)},
              layout.gate_bias_offset, input.gate, &gate_);
    }
    project(tile, {layout.up, tile.grain + layout.up_offset, scale_of(layout, tile.grain, 1)},
            layout.up_bias_offset, input.up, &up_);
    for (uint32_t i = 0; i < layout.chunks; ++i) {
      const DownChunk& chunk = tables.down_chunks[layout.first_chunk + i];
      activate(tile, chunk);
      // The bias of down counts once, wherever the expert is cut: with chunk 0.
      add_down(tile, chunk, layout.first_chunk + i == 0 ? layout.down_bias_offset : 0, sums);
    }
  }
}

// y = W x + bias for the columns of the grain: [tile, columns]. Offset 0 means no bias: the gate
// panels stand there.
void GrainCompute::project(const Tile& tile, const PanelMatrix& matrix, uint64_t bias_offset,
                           const ActivationView& x, std::vector<float>* y) {
  const PanelShape& shape = matrix.shape;
  grow(*y, uint64_t{kTokenTile} * shape.rows);
  kernels_->matmul(matrix, x, tile.rows.rows, tile.rows.count, 0, shape.panels(), y->data(),
                   shape.rows);
  multiply_by(matrix.scale, tile.rows.count * shape.rows, y->data());
  if (bias_offset == 0) return;
  for (uint32_t t = 0; t < tile.rows.count; ++t) {
    add_bias(tile.grain + bias_offset, shape.rows, y->data() + uint64_t{t} * shape.rows);
  }
}

// h = activation(gate, up) for the columns of one chunk, as down reads it: [tile, chunk columns].
void GrainCompute::activate(const Tile& tile, const DownChunk& chunk) {
  ActivationForm form = tile.tables.shape.down_form();
  uint32_t columns = chunk.shape.columns;
  activated_.reset(form, tile.rows.count, columns);
  grow(row_, columns);
  uint32_t blocks = ceil_div(columns, kBlock);
  const Activation activation{tile.tables.shape.activation, tile.tables.shape.limit};
  bool gated = has_gate(activation.kind);
  for (uint32_t t = 0; t < tile.rows.count; ++t) {
    uint64_t from =
        uint64_t{t} * tile.layout.columns + chunk.first_column - tile.layout.first_column;
    const float* gate = gated ? gate_.data() + from : nullptr;
    bool floats = form == ActivationForm::kF32;
    float* h = floats ? activated_.values().data() + uint64_t{t} * columns : row_.data();
    potluck::activate(*kernels_, activation, gate, up_.data() + from, columns, h);
    if (floats) continue;
    kernels_->quantize(row_.data(), columns, kBlock,
                       activated_.quants().data() + uint64_t{t} * blocks * kBlock,
                       activated_.scales().data() + uint64_t{t} * blocks,
                       activated_.sums().data() + uint64_t{t} * blocks * 2);
  }
}

// sums += llrint((scale * down h + bias) * weight * 2^F), some rows of down at a time.
void GrainCompute::add_down(const Tile& tile, const DownChunk& chunk, uint64_t bias_offset,
                            PartialSums& sums) {
  uint32_t hidden = chunk.shape.rows;
  // Whole panels: a panel has 8 rows of down.
  uint32_t step = kOutputTile / tile.rows.count / kPanelRows * kPanelRows;
  grow(output_, kOutputTile);
  ActivationView h = activated_.view();
  for (uint32_t first = 0; first < hidden; first += step) {
    PanelMatrix part{chunk.shape, tile.grain + chunk.offset, scale_of(tile.layout, tile.grain, 2)};
    part.shape.rows = std::min(step, hidden - first);
    part.data += first / kPanelRows * chunk.shape.panel_bytes();
    kernels_->matmul(part, h, nullptr, h.tokens, 0, part.shape.panels(), output_.data(), step);
    for (uint32_t t = 0; t < tile.rows.count; ++t) {
      float* y = output_.data() + uint64_t{t} * step;
      multiply_by(part.scale, part.shape.rows, y);
      if (bias_offset != 0) {
        add_bias(tile.grain + bias_offset + uint64_t{first} * sizeof(float), part.shape.rows, y);
      }
      uint32_t row = tile.rows.rows[t];
      // Per chunk, not per grain: the addend of a chunk is what the contract rounds, so any split
      // of an expert gives the same sum.
      bool bad = kernels_->accumulate(y, part.shape.rows, tile.rows.weights[t],
                                      tile.input.fraction_bits[row], sums.row(row) + first);
      if (bad) sums.set_flag(row);
    }
  }
}

}  // namespace potluck
