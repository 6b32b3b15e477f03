// A grain is made of rows of gate and up, which lie together in the file, and of columns of down,
// which do not. All are repacked from GGUF's blocks into panels; no number changes.
#include "engine/experts/grain_cutter.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

// Rows [first, first + rows) of one expert's matrices, as they stand in the file, its biases and
// scales.
struct ExpertSource {
  uint32_t first_column = 0;  // of gate, up and their biases
  ByteVector gate;
  ByteVector up;
  ByteVector down;  // always all rows
  std::vector<float> gate_bias;
  std::vector<float> up_bias;
  std::vector<float> down_bias;
  float scales[3] = {1, 1, 1};  // of gate, up, down
};

Result<ByteVector> read_rows(const GgufModel& model, const GgufTensor& tensor, uint64_t first,
                             uint64_t rows) {
  uint64_t bytes = tensor.row_bytes();
  ByteVector out(rows * bytes);
  if (Status read = model.read(tensor, first * bytes, out); !read) return read.error();
  return out;
}

// Values [first, first + count) of the expert's bias, as float32.
Status read_bias(const GgufModel& model, const GgufTensor* tensor, uint32_t expert, uint32_t first,
                 uint32_t count, std::vector<float>* out) {
  if (tensor == nullptr) return {};
  const BlockFormat& format = block_format(tensor->type);
  ByteVector raw(uint64_t{count} * format.block_bytes);
  uint64_t begin = expert * tensor->row_bytes() + uint64_t{first} * format.block_bytes;
  if (Status read = model.read(*tensor, begin, raw); !read) return read;
  out->resize(count);
  format.decode(raw.data(), count, out->data());
  return {};
}

// The expert's scale, as float32; left as it is where there is none.
Status read_scale(const GgufModel& model, const GgufTensor* tensor, uint32_t expert, float* out) {
  if (tensor == nullptr) return {};
  const BlockFormat& format = block_format(tensor->type);
  ByteVector raw(format.block_bytes);
  Status read = model.read(*tensor, uint64_t{expert} * format.block_bytes, raw);
  if (read) format.decode(raw.data(), 1, out);
  return read;
}

// Reads what grains with the columns [first, first + columns) of one expert are made of.
Result<ExpertSource> read_expert(const GgufModel& model, const ExpertBank& bank, uint32_t expert,
                                 uint32_t first, uint32_t columns) {
  const ExpertShape& shape = bank.shape;
  uint64_t row = uint64_t{expert} * shape.width + first;
  ExpertSource source;
  source.first_column = first;
  if (shape.gated()) {
    auto gate = read_rows(model, *bank.gate, row, columns);
    if (!gate) return gate.error();
    source.gate = std::move(*gate);
  }
  auto up = read_rows(model, *bank.up, row, columns);
  if (!up) return up.error();
  source.up = std::move(*up);
  // The columns of a grain are strewn over all rows of down, so for a single grain as much is read
  // as for the whole expert.
  auto down = read_rows(model, *bank.down, uint64_t{expert} * shape.hidden, shape.hidden);
  if (!down) return down.error();
  source.down = std::move(*down);
  Status numbers[] = {
      read_bias(model, bank.gate_bias, expert, first, columns, &source.gate_bias),
      read_bias(model, bank.up_bias, expert, first, columns, &source.up_bias),
      read_bias(model, bank.down_bias, expert, 0, shape.hidden, &source.down_bias),
      read_scale(model, bank.gate_scale, expert, &source.scales[0]),
      read_scale(model, bank.up_scale, expert, &source.scales[1]),
      read_scale(model, bank.down_scale, expert, &source.scales[2]),
  };
  for (const Status& status : numbers) {
    if (!status) return status.error();
  }
  return source;
}

void lay_out_biases(const ExpertShape& shape, const GrainLayout& layout, const ExpertSource& source,
                    std::byte* out) {
  // The source may hold a whole expert, of which the grain is a part.
  uint32_t skipped = layout.first_column - source.first_column;
  uint64_t column_bytes = uint64_t{layout.columns} * sizeof(float);
  std::memcpy(out + layout.gate_bias_offset, source.gate_bias.data() + skipped, column_bytes);
  std::memcpy(out + layout.up_bias_offset, source.up_bias.data() + skipped, column_bytes);
  if (layout.down_bias_offset == 0) return;
  std::memcpy(out + layout.down_bias_offset, source.down_bias.data(),
              uint64_t{shape.hidden} * sizeof(float));
}

void lay_out(const ExpertBank& bank, const ChunkPlan& plan, const GrainLayout& layout,
             const ExpertSource& source, MutableByteSpan out) {
  const ExpertShape& shape = bank.shape;
  CHECK(out.size() == layout.bytes);
  // The padding is hashed with the rest: it has to be the same on every machine.
  std::memset(out.data(), 0, out.size());
  uint64_t skipped = layout.first_column - source.first_column;
  const std::byte* up = source.up.data() + skipped * bank.up->row_bytes();
  if (shape.gated()) {
    const std::byte* gate = source.gate.data() + skipped * bank.gate->row_bytes();
    pack_panels(layout.gate, gate, shape.hidden, 0, out.data());
  }
  pack_panels(layout.up, up, shape.hidden, 0, out.data() + layout.up_offset);
  for (uint32_t i = 0; i < layout.chunks; ++i) {
    DownChunk down = down_chunk(shape, plan, layout, layout.first_chunk + i);
    pack_panels(down.shape, source.down.data(), shape.width, down.first_column,
                out.data() + down.offset);
  }
  if (shape.biases) lay_out_biases(shape, layout, source, out.data());
  if (shape.scales) std::memcpy(&out[layout.scales_offset], source.scales, sizeof source.scales);
}

}  // namespace

GrainCutter::GrainCutter(const GgufModel& model, std::span<const ExpertBank> banks)
    : model_(model), banks_(banks) {
  for (const ExpertBank& bank : banks) {
    CHECK(bank.layer < limits::kLayers);
    plans_.push_back(plan_chunks(bank.shape));
    if (bank.layer >= bank_of_layer_.size()) bank_of_layer_.resize(bank.layer + 1, -1);
    CHECK(bank_of_layer_[bank.layer] < 0);
    bank_of_layer_[bank.layer] = static_cast<int32_t>(plans_.size()) - 1;
  }
}

const ExpertBank* GrainCutter::bank(uint32_t layer) const {
  if (layer >= bank_of_layer_.size() || bank_of_layer_[layer] < 0) return nullptr;
  return &banks_[static_cast<size_t>(bank_of_layer_[layer])];
}

const ChunkPlan& GrainCutter::plan(uint32_t layer) const {
  CHECK(bank(layer) != nullptr);
  return plans_[static_cast<size_t>(bank_of_layer_[layer])];
}

uint64_t GrainCutter::grain_bytes(GrainId id) const {
  const ChunkPlan& chunks = plan(id.layer);
  return grain_layout(bank(id.layer)->shape, chunks, id.grain).bytes;
}

Status GrainCutter::cut(GrainId id, MutableByteSpan out) const {
  const ChunkPlan& chunks = plan(id.layer);
  const ExpertBank& from = *bank(id.layer);
  CHECK(id.expert < from.experts);
  GrainLayout layout = grain_layout(from.shape, chunks, id.grain);
  auto source = read_expert(model_, from, id.expert, layout.first_column, layout.columns);
  if (!source) return source.error();
  lay_out(from, chunks, layout, *source, out);
  return {};
}

uint64_t GrainCutter::expert_bytes(uint32_t layer) const {
  const ChunkPlan& chunks = plan(layer);
  return potluck::expert_bytes(bank(layer)->shape, chunks);
}

uint64_t GrainCutter::total_bytes() const {
  uint64_t total = 0;
  for (const ExpertBank& bank : banks_) total += bank.experts * expert_bytes(bank.layer);
  return total;
}

Status GrainCutter::cut_expert(uint32_t layer, uint32_t expert, MutableByteSpan out) const {
  const ChunkPlan& chunks = plan(layer);
  const ExpertBank& from = *bank(layer);
  CHECK(expert < from.experts && out.size() == expert_bytes(layer));
  auto source = read_expert(model_, from, expert, 0, from.shape.width);
  if (!source) return source.error();
  for (uint32_t grain = 0; grain < chunks.grains; ++grain) {
    GrainLayout layout = grain_layout(from.shape, chunks, grain);
    lay_out(from, chunks, layout, *source, out.first(layout.bytes));
    out = out.subspan(layout.bytes);
  }
  return {};
}

}  // namespace potluck
