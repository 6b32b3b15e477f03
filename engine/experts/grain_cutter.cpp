#include "engine/experts/grain_cutter.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/experts/expert_numbers.h"
#include "engine/experts/lay_out.h"

namespace potluck {
namespace {

// Reads rows of one expert and lays them out.
Status lay_out_from(const GgufModel& model, const GgufTensor& tensor, uint32_t expert,
                    const ShapeTables& tables, GrainRange grains, ExpertRows rows,
                    MutableByteSpan out) {
  uint64_t bytes = tensor.row_bytes();
  ByteVector memory(rows.count * bytes);
  uint64_t row = expert * tensor.rows() + rows.first;
  if (Status read = model.read(tensor, row * bytes, memory); !read) return read;
  rows.bytes = memory.data();
  lay_out_rows(tables, grains, rows, out);
  return {};
}

}  // namespace

GrainCutter::GrainCutter(const GgufModel& model, std::span<const ExpertBank> banks)
    : model_(model), banks_(banks) {
  for (const ExpertBank& bank : banks) {
    CHECK(bank.layer < limits::kLayers);
    tables_.emplace_back(bank.shape);
    if (bank.layer >= bank_of_layer_.size()) bank_of_layer_.resize(bank.layer + 1, -1);
    CHECK(bank_of_layer_[bank.layer] < 0);
    bank_of_layer_[bank.layer] = static_cast<int32_t>(tables_.size()) - 1;
  }
}

const ExpertBank* GrainCutter::bank(uint32_t layer) const {
  if (layer >= bank_of_layer_.size() || bank_of_layer_[layer] < 0) return nullptr;
  return &banks_[static_cast<size_t>(bank_of_layer_[layer])];
}

const ShapeTables& GrainCutter::tables(uint32_t layer) const {
  CHECK(bank(layer) != nullptr);
  return tables_[static_cast<size_t>(bank_of_layer_[layer])];
}

uint64_t GrainCutter::grain_bytes(GrainId id) const {
  return tables(id.layer).layouts[id.grain].bytes;
}

// The columns of a grain are strewn over all rows of down, so for a single grain as much of it is
// read as for the whole expert.
Status GrainCutter::lay_out(uint32_t layer, uint32_t expert, GrainRange grains,
                            MutableByteSpan out) const {
  const ExpertBank& from = *bank(layer);
  const ShapeTables& shape = tables(layer);
  const GrainLayout& last = shape.layouts[grains.first + grains.count - 1];
  uint32_t first = shape.layouts[grains.first].first_column;
  uint32_t columns = last.first_column + last.columns - first;
  CHECK(expert < from.experts);
  auto rows = [&](const GgufTensor& tensor, const ExpertRows& wanted) {
    return lay_out_from(model_, tensor, expert, shape, grains, wanted, out);
  };
  if (from.shape.gated()) {
    Status gate = rows(*from.gate, {ExpertMatrix::kGate, first, columns, nullptr});
    if (!gate) return gate;
  }
  Status up = rows(*from.up, {ExpertMatrix::kUp, first, columns, nullptr});
  if (!up) return up;
  Status down = rows(*from.down, {ExpertMatrix::kDown, 0, from.shape.hidden, nullptr});
  if (!down) return down;
  auto numbers = read_numbers(model_, from, expert, {first, columns});
  if (!numbers) return numbers.error();
  lay_out_numbers(shape, grains, *numbers, out);
  return {};
}

Status GrainCutter::cut(GrainId id, MutableByteSpan out) const {
  CHECK(id.grain < plan(id.layer).grains && out.size() == grain_bytes(id));
  return lay_out(id.layer, id.expert, {id.grain, 1}, out);
}

uint64_t GrainCutter::expert_bytes(uint32_t layer) const {
  return tables(layer).offsets.back();
}

uint64_t GrainCutter::total_bytes() const {
  uint64_t total = 0;
  for (const ExpertBank& bank : banks_) total += bank.experts * expert_bytes(bank.layer);
  return total;
}

Status GrainCutter::cut_expert(uint32_t layer, uint32_t expert, MutableByteSpan out) const {
  CHECK(out.size() == expert_bytes(layer));
  return lay_out(layer, expert, {0, plan(layer).grains}, out);
}

}  // namespace potluck
