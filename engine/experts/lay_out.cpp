// A grain is made of rows of gate and up, which lie together in the file, and of columns of down,
// which do not: every row of down has a part in each grain.
#include "engine/experts/lay_out.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck {
namespace {

// Rows of down are read once for every chunk. As many go together as a first-level cache holds.
constexpr uint64_t kDownBytes = 16 * kKiB;

uint64_t row_bytes(TensorType type, uint32_t columns) {
  const BlockFormat& format = block_format(type);
  return uint64_t{columns} / format.block_elements * format.block_bytes;
}

// The rows of gate or up that belong to one grain.
void lay_out_part(const PanelShape& whole, const GrainLayout& layout, const ExpertRows& rows,
                  std::byte* panels) {
  uint32_t first = std::max(rows.first, layout.first_column);
  uint32_t end = std::min(rows.first + rows.count, layout.first_column + layout.columns);
  if (first >= end) return;
  uint32_t row = first - layout.first_column;
  CHECK(row % kPanelRows == 0);
  PanelShape part = whole;
  part.rows = end - first;
  const std::byte* from = rows.bytes + (first - rows.first) * row_bytes(whole.type, whole.columns);
  pack_panels(part, from, whole.columns, 0, panels + row / kPanelRows * part.panel_bytes());
}

void lay_out_down(const ShapeTables& tables, GrainRange grains, const ExpertRows& rows,
                  std::byte* out) {
  const ExpertShape& shape = tables.shape;
  CHECK(rows.first % kPanelRows == 0);
  uint64_t bytes = row_bytes(shape.down, shape.width);
  auto fitting = static_cast<uint32_t>(std::min<uint64_t>(kDownBytes / bytes, rows.count));
  uint32_t step = std::max(fitting / kPanelRows, 1U) * kPanelRows;
  for (uint32_t done = 0; done < rows.count; done += step) {
    uint32_t row = rows.first + done;
    for (uint32_t grain = grains.first; grain < grains.first + grains.count; ++grain) {
      const GrainLayout& layout = tables.layouts[grain];
      std::byte* begin = out + (tables.offsets[grain] - tables.offsets[grains.first]);
      for (uint32_t i = 0; i < layout.chunks; ++i) {
        const DownChunk& chunk = tables.down_chunks[layout.first_chunk + i];
        PanelShape part = chunk.shape;
        part.rows = std::min(step, rows.count - done);
        pack_panels(part, rows.bytes + done * bytes, shape.width, chunk.first_column,
                    begin + chunk.offset + row / kPanelRows * part.panel_bytes());
      }
    }
  }
}

void fill_zeros(std::byte* grain, uint64_t begin, uint64_t end) {
  std::memset(grain + begin, 0, end - begin);
}

void put_floats(const float* from, uint32_t count, std::byte* to) {
  std::memcpy(to, from, uint64_t{count} * sizeof(float));
}

}  // namespace

void lay_out_rows(const ShapeTables& tables, GrainRange grains, const ExpertRows& rows,
                  MutableByteSpan out) {
  CHECK(out.size() == tables.offsets[grains.first + grains.count] - tables.offsets[grains.first]);
  if (rows.matrix == ExpertMatrix::kDown) return lay_out_down(tables, grains, rows, out.data());
  bool gate = rows.matrix == ExpertMatrix::kGate;
  for (uint32_t grain = grains.first; grain < grains.first + grains.count; ++grain) {
    const GrainLayout& layout = tables.layouts[grain];
    std::byte* begin = out.data() + (tables.offsets[grain] - tables.offsets[grains.first]);
    lay_out_part(gate ? layout.gate : layout.up, layout, rows,
                 begin + (gate ? 0 : layout.up_offset));
  }
}

void lay_out_numbers(const ShapeTables& tables, GrainRange grains, const ExpertNumbers& numbers,
                     MutableByteSpan out) {
  const ExpertShape& shape = tables.shape;
  for (uint32_t index = grains.first; index < grains.first + grains.count; ++index) {
    const GrainLayout& layout = tables.layouts[index];
    std::byte* grain = out.data() + (tables.offsets[index] - tables.offsets[grains.first]);
    fill_zeros(grain, layout.gate.bytes(), layout.up_offset);
    uint64_t end = layout.up_offset + layout.up.bytes();
    for (uint32_t i = 0; i < layout.chunks; ++i) {
      const DownChunk& chunk = tables.down_chunks[layout.first_chunk + i];
      fill_zeros(grain, end, chunk.offset);
      end = chunk.offset + chunk.shape.bytes();
    }
    fill_zeros(grain, end, layout.bytes);
    if (shape.biases) {
      uint32_t skipped = layout.first_column - numbers.first_column;
      put_floats(numbers.gate_bias.data() + skipped, layout.columns,
                 grain + layout.gate_bias_offset);
      put_floats(numbers.up_bias.data() + skipped, layout.columns, grain + layout.up_bias_offset);
      if (layout.down_bias_offset != 0) {
        put_floats(numbers.down_bias.data(), shape.hidden, grain + layout.down_bias_offset);
      }
    }
    if (shape.scales) put_floats(numbers.scales, 3, grain + layout.scales_offset);
  }
}

}  // namespace potluck
