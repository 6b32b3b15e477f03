// The panel layouts by format, as a table: sizes, and how one row of a GGUF block is put into a
// panel and read back. panel.h has the picture. Adding a format is one row in panel_layout.cpp.
// Internal to engine/kernels; constants and pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/block_fields.h"
#include "engine/kernels/panel.h"

namespace potluck {

// Neighboring blocks of 32 columns of up to eight rows, as they stand in the file.
struct RowBlocks {
  const std::byte* source;  // the first row's block of GGUF that the first one is part of
  uint64_t row_bytes;       // from one row to the next
  uint32_t rows;            // 1 to 8
  uint32_t source_bytes;    // of a block of GGUF,
  uint32_t parts;           // and how many of ours it has
  uint32_t first;           // which of them the first one is
  uint32_t count;           // of ours
};

// A panel is a run of super-blocks (group_columns > 32), each a head followed by its blocks, or
// just a run of blocks. A block is 32 columns of 8 rows; 1 column for float formats.
struct PanelLayout {
  TensorType type;
  uint32_t group_columns;  // columns that share a head, and the source's block
  uint32_t head_bytes;     // 0: no heads
  uint32_t block_columns;  // 1 or 32
  uint32_t block_bytes;
  uint32_t version;  // panel_version()

  // Null for float formats: their panels are the transposed rows.
  //
  // Fills a panel, heads included. Rows that the source does not have are not written.
  void (*pack)(const RowBlocks& from, std::byte* panel);
  // Reads the row `lane` of a block: what the reader of the format finds in the source's.
  void (*read_block)(const std::byte* head, const std::byte* block, uint32_t lane, BlockPart& out);
};

const PanelLayout& panel_layout(TensorType type);  // the type must be in the table

// Blocks, and heads, of one panel.
uint32_t panel_blocks(const PanelShape& shape, const PanelLayout& layout);
uint32_t panel_heads(const PanelShape& shape, const PanelLayout& layout);

// Calls body(block, head, bytes) for the blocks of a panel in sequence: `block` counts from 0,
// `head` is the offset of the head it belongs to and `bytes` its own offset in the panel.
template <class Body>
void for_each_block(const PanelShape& shape, const PanelLayout& layout, const Body& body) {
  uint64_t head = 0;
  uint64_t at = 0;
  uint32_t blocks = panel_blocks(shape, layout);
  for (uint32_t block = 0; block < blocks; ++block) {
    uint64_t column = shape.phase + uint64_t{block} * layout.block_columns;
    if (layout.head_bytes != 0 && (block == 0 || column % layout.group_columns == 0)) {
      head = at;
      at += layout.head_bytes;
    }
    body(block, head, at);
    at += layout.block_bytes;
  }
}

}  // namespace potluck
