// Panels: the one layout in which weights are multiplied, on disk, on the wire and in memory.
//
// Eight rows of a matrix stand side by side, so that each SIMD lane is an output row. That makes
// the arithmetic contract (docs/ARITHMETIC.md, 4: float sums in sequence, one accumulator per
// output) the fast order, and the bytes are the same for every processor:
//
//   float formats   per column: 8 values, one per row                        (f32, f16 or bf16)
//   blocks of 32    per block of 32 columns: 8 f16 d, then quants. Q4_1, Q5_1: 8 f16 of -m after d;
//                   MXFP4: 8 bytes of exponents for d; NVFP4: 16 bytes, E4M3 scales of columns 0-15
//                   and of columns 16-31
//   super-blocks    per super-block of 256 columns that the matrix touches: 8 f16 d (Q2_K, Q4_K,
//                   Q5_K: then 8 f16 dmin); then per block of 32 columns inside the matrix:
//                   sub-scales, then quants. Sub-scales are unpacked to a byte each, 8 by 8:
//                     Q4_K, Q5_K          scales, minimums
//                     Q3_K, Q6_K          signed scales of columns 0-15, of columns 16-31
//                     Q2_K                the same columns: scales + 16 * minimums
//                     IQ4_XS              signed scales
//                     TQ2_0               none
//                   Q1_0 and Q2_0 are like TQ2_0 with super-blocks of 128 and of 64 columns
//   quants          in vectors of 32 bytes = 8 rows x 4 columns (byte 4*row + column), in planes:
//     8-bit           vector v holds columns 4v..4v+3                        v = 0..7
//     4-bit           vector v: low nibbles columns 4v.., high nibbles columns 16+4v..   v = 0..3
//     2-bit           vector v holds columns 16v..16v+15: bits 2j,2j+1 are columns 16v+4j..
//                                                                            v = 0..1
//     1-bit           one vector: bit j is columns 4j..
//                   quants of 3 bits are a 2-bit plane and a 1-bit one with the high bits; of 5
//                   bits 4 and 1; of 6 bits 4 and 2
//   IQ1, IQ2, IQ3,  super-blocks too; their codes and sub-scales take as many bits as in the file,
//   in TQ1_0           words of 8 rows and then in bytes of 8 rows: see coded_blocks.h
//
// Rows are padded with zeros to a multiple of 8. Columns of a quantized matrix end at a multiple of
// 32: a matrix that ends inside a block keeps the block's other quants (activations are zero
// there). A matrix may start inside a super-block (`phase`): that is how the columns of a
// down-projection are cut into chunks without touching a number. A product over whole rows reads
// activations in the format's own form; one over a cut of super-blocks reads blocks of 32.
//
// All values here are plain views or numbers; any thread.
#pragma once

#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/kernels/block_format.h"

namespace potluck {

inline constexpr uint32_t kPanelRows = 8;

struct PanelShape {
  TensorType type = TensorType::kF32;
  uint32_t rows = 0;
  uint32_t columns = 0;
  uint32_t phase = 0;  // first column's place in its super-block, a multiple of 32: panel_phase()

  uint32_t panels() const { return ceil_div(rows, kPanelRows); }
  uint64_t panel_bytes() const;  // a multiple of 8
  uint64_t bytes() const { return panel_bytes() * panels(); }
  bool operator==(const PanelShape&) const = default;
};

// Which order of a format's panels this is, from 1 on: raised when it changes. What keeps
// panels, or sends them, says so beside them.
uint32_t panel_version(TensorType type);

// The phase of a matrix that begins at this column; 0 for formats without super-blocks.
uint32_t panel_phase(TensorType type, uint32_t first_column);

// A matrix in panel layout; does not own its bytes (64-byte aligned memory is fastest, any works).
struct PanelMatrix {
  PanelShape shape;
  const std::byte* data = nullptr;
  // Of all values. Kernels do not know it: who asks for a product multiplies what comes out.
  float scale = 1;
};

// Lays out columns [column_begin, column_begin + shape.columns) of `shape.rows` consecutive rows.
// `source` holds whole rows of `source_columns` values in the GGUF's own blocks. column_begin is a
// multiple of 32 (of 1 for float formats), shape.phase is panel_phase(column_begin). `out` holds
// shape.bytes().
void pack_panels(const PanelShape& shape, const std::byte* source, uint32_t source_columns,
                 uint32_t column_begin, std::byte* out);

// Decodes one row of a panel matrix to float32: the values of the format's decode(), then scaled.
void unpack_row(const PanelMatrix& matrix, uint32_t row, float* out);

}  // namespace potluck
