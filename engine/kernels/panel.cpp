// Packing moves numbers and computes none: what a GGUF block says about a row is what the panel
// says. The rows of a panel are packed together: what stands side by side is written at once.
#include "engine/kernels/panel.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/kernels/panel_layout.h"
#include "engine/kernels/row_transpose.h"

namespace potluck {
namespace {

void check_shape(const PanelShape& shape, const PanelLayout& layout) {
  uint32_t phases = layout.head_bytes != 0 ? layout.group_columns : 1;
  CHECK(shape.phase < phases && shape.phase % layout.block_columns == 0);
}

// Float formats: element `column` of a row is element 8 * column + lane of its panel.
template <class Element>
void pack_elements(uint64_t first, uint64_t end, const std::byte* row, uint32_t lane,
                   std::byte* panel) {
  for (uint64_t column = first; column < end; ++column) {
    std::memcpy(panel + (column * kPanelRows + lane) * sizeof(Element),
                row + column * sizeof(Element), sizeof(Element));
  }
}

// Up to eight rows, one behind the other.
void pack_float_panel(const PanelShape& shape, const std::byte* rows, uint64_t row_bytes,
                      uint32_t count, std::byte* panel) {
  uint32_t bytes = block_format(shape.type).block_bytes;
  CHECK(bytes == sizeof(uint16_t) || bytes == sizeof(uint32_t));
  uint64_t done = 0;
  if (bytes == sizeof(uint16_t) && count == kPanelRows) {
    for (; done + kPanelRows <= shape.columns; done += kPanelRows) {
      transpose_halves(rows + done * bytes, row_bytes, panel + done * kPanelRows * bytes);
    }
  }
  for (uint32_t lane = 0; lane < count; ++lane) {
    const std::byte* row = rows + lane * row_bytes;
    if (bytes == sizeof(uint16_t)) {
      pack_elements<uint16_t>(done, shape.columns, row, lane, panel);
    } else {
      pack_elements<uint32_t>(done, shape.columns, row, lane, panel);
    }
  }
}

void unpack_float_row(const PanelShape& shape, const std::byte* panel, uint32_t lane, float* out) {
  const BlockFormat& format = block_format(shape.type);
  for (uint64_t column = 0; column < shape.columns; ++column) {
    format.decode(panel + (column * kPanelRows + lane) * format.block_bytes, 1, out + column);
  }
}

// Where the blocks of rows begin.
RowBlocks blocks_from(const PanelShape& shape, const PanelLayout& layout, const std::byte* rows,
                      uint64_t row_bytes, uint32_t column_begin) {
  const BlockFormat& format = block_format(shape.type);
  return {.source = rows + uint64_t{column_begin} / format.block_elements * format.block_bytes,
          .row_bytes = row_bytes,
          .rows = kPanelRows,
          .source_bytes = format.block_bytes,
          .parts = format.block_elements / layout.block_columns,
          .first = column_begin % format.block_elements / layout.block_columns,
          .count = panel_blocks(shape, layout)};
}

}  // namespace

uint64_t PanelShape::panel_bytes() const {
  const PanelLayout& layout = panel_layout(type);
  return uint64_t{panel_heads(*this, layout)} * layout.head_bytes +
         uint64_t{panel_blocks(*this, layout)} * layout.block_bytes;
}

void pack_panels(const PanelShape& shape, const std::byte* source, uint32_t source_columns,
                 uint32_t column_begin, std::byte* out) {
  const PanelLayout& layout = panel_layout(shape.type);
  const BlockFormat& format = block_format(shape.type);
  check_shape(shape, layout);
  CHECK(source_columns % format.block_elements == 0);
  CHECK(column_begin <= source_columns && shape.columns <= source_columns - column_begin);
  CHECK(column_begin % layout.block_columns == 0);
  CHECK(layout.head_bytes == 0 || shape.phase == column_begin % layout.group_columns);
  uint64_t row_bytes = uint64_t{source_columns} / format.block_elements * format.block_bytes;
  uint64_t panel_bytes = shape.panel_bytes();
  if (panel_bytes == 0 || shape.rows == 0) return;
  // The rows and columns that pad the last panel and block are zeros: the bytes are hashed, and
  // kernels compute them without asking. Whole panels are filled by their rows.
  if (shape.rows % kPanelRows != 0) {
    std::memset(out + (shape.panels() - 1) * panel_bytes, 0, panel_bytes);
  }
  RowBlocks blocks = blocks_from(shape, layout, source, row_bytes, column_begin);
  for (uint32_t row = 0; row < shape.rows; row += kPanelRows) {
    std::byte* panel = out + row / kPanelRows * panel_bytes;
    uint32_t count = std::min(kPanelRows, shape.rows - row);
    if (!format.quantized()) {
      const std::byte* rows =
          source + row * row_bytes + uint64_t{column_begin} * format.block_bytes;
      pack_float_panel(shape, rows, row_bytes, count, panel);
      continue;
    }
    blocks.rows = count;
    layout.pack(blocks, panel);
    blocks.source += count * row_bytes;
  }
}

namespace {

void unpack_values(const PanelMatrix& matrix, uint32_t row, float* out) {
  const PanelShape& shape = matrix.shape;
  CHECK(row < shape.rows);
  const PanelLayout& layout = panel_layout(shape.type);
  const BlockFormat& format = block_format(shape.type);
  const std::byte* panel = matrix.data + row / kPanelRows * shape.panel_bytes();
  if (!format.quantized()) return unpack_float_row(shape, panel, row % kPanelRows, out);
  for_each_block(shape, layout, [&](uint32_t block, uint64_t head, uint64_t at) {
    BlockPart part;
    layout.read_block(panel + head, panel + at, row % kPanelRows, part);
    float values[block_fields::kBlock];
    format.decode_part(part, values);
    uint32_t column = block * layout.block_columns;
    // A matrix that ends inside a block keeps the block's other quants.
    uint32_t count = std::min(layout.block_columns, shape.columns - column);
    std::copy_n(values, count, out + column);
  });
}

}  // namespace

void unpack_row(const PanelMatrix& matrix, uint32_t row, float* out) {
  unpack_values(matrix, row, out);
  if (matrix.scale == 1) return;
  for (uint32_t i = 0; i < matrix.shape.columns; ++i) out[i] *= matrix.scale;
}

}  // namespace potluck
