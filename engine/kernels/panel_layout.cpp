// A layout is put together from three kinds of parts: numbers in front (halves or exponents),
// sub-scales, and planes of quants. put() and get() of a part stand side by side, and the table at
// the end says which format has which.
#include "engine/kernels/panel_layout.h"

#include <array>
#include <bit>

#include "engine/base/check.h"
#include "engine/kernels/block_readers.h"
#include "engine/kernels/coded_blocks.h"
#include "engine/kernels/row_transpose.h"

namespace potluck {
namespace {

using namespace block_fields;
using enum TensorType;

constexpr uint32_t kVector = 4 * kPanelRows;  // bytes of 8 rows x 4 columns

// --- Quants: planes of vectors of 8 rows x 4 columns --------------------------------------------

// Of a plane of 4 or 8 bits, 16 bytes of each row or twice as many. Rows that a matrix lacks stay
// zeros.
struct PlaneRows {
  Sixteen of[2][kPanelRows] = {};
};

// A plane holds kBits of each quant, taken from `shift` on. A vector has several groups of 4
// columns on top of each other: a shift and a mask turn it into vectors ready for a product. Groups
// of nibbles stand 16 columns apart, as in GGUF's blocks of 32; the others are neighbors.
template <uint32_t kBits>
struct Plane {
  static constexpr uint32_t kVectors = kBits;     // 256 quants in 32 bytes of kBits each
  static constexpr uint32_t kGroups = 8 / kBits;  // of 4 columns in a vector
  static constexpr uint64_t kMask = mask_of_eight(kBits);

  // The first column of group j in vector v.
  static constexpr uint32_t column(uint32_t v, uint32_t j) {
    return kBits == 4 ? 4 * v + 16 * j : 4 * (kGroups * v + j);
  }

  // What the row `lane` has of a plane, on its way to it: whole if it is written in words of 4
  // bytes, or 16 bytes in `rows`, which finish() puts down.
  static void put(const uint8_t q[kBlock], uint32_t shift, uint32_t lane, PlaneRows& rows,
                  std::byte* plane) {
    Sixteen low = load<Sixteen>(q) >> shift & kMask;
    Sixteen high = load<Sixteen>(q + 16) >> shift & kMask;
    std::byte* out = plane + 4 * lane;
    if constexpr (kBits == 8) {
      rows.of[0][lane] = low;
      rows.of[1][lane] = high;
    } else if constexpr (kBits == 4) {
      rows.of[0][lane] = low | high << 4;
    } else if constexpr (kBits == 2) {
      // Words 0 and 1 of each vector, with words 2 and 3 above them.
      Sixteen words =
          __builtin_shufflevector(low, high, 0, 2) | __builtin_shufflevector(low, high, 1, 3) << 4;
      words |= words >> 32 << 2;
      store(out, static_cast<uint32_t>(words[0]));
      store(out + kVector, static_cast<uint32_t>(words[1]));
    } else {
      Sixteen both = low | high << 4;
      uint64_t words = both[0] | both[1] << 2;
      store(out, static_cast<uint32_t>(words | words >> 32 << 1));
    }
  }

  static void finish(const PlaneRows& rows, std::byte* plane) {
    for (uint32_t i = 0; i < kBits / 4; ++i) {
      transpose_words(rows.of[i], sizeof(Sixteen), plane + 4 * kVector * i);
    }
  }

  static void add(const std::byte* plane, uint32_t shift, uint32_t lane, uint8_t q[kBlock]) {
    for (uint32_t v = 0; v < kVectors; ++v) {
      auto word = load<uint32_t>(plane + kVector * v + 4 * lane);
      for (uint32_t j = 0; j < kGroups; ++j) {
        uint8_t* four = q + column(v, j);
        store(four, load<uint32_t>(four) | (word >> kBits * j & static_cast<uint32_t>(kMask))
                                               << shift);
      }
    }
  }
};

// Calls body(plane, shift, offset) for the planes of quants of kBits bits. 3, 5 and 6 bits are two
// planes each: no quant crosses a byte.
template <uint32_t kBits, class Body>
void for_planes(const Body& body) {
  constexpr uint32_t kLow = std::bit_floor(kBits);
  body(Plane<kLow>{}, 0, 0);
  if constexpr (kBits != kLow) body(Plane<kBits - kLow>{}, kLow, kVector * kLow);
}

template <uint32_t kBits>
void put_quants(const uint8_t q[kBlock], uint32_t lane, PlaneRows& rows, std::byte* quants) {
  for_planes<kBits>([&](auto plane, uint32_t shift, uint32_t offset) {
    plane.put(q, shift, lane, rows, quants + offset);
  });
}

template <uint32_t kBits>
void finish_quants(const PlaneRows& rows, std::byte* quants) {
  for_planes<kBits>(
      [&](auto plane, uint32_t, uint32_t offset) { plane.finish(rows, quants + offset); });
}

template <uint32_t kBits>
void get_quants(const std::byte* quants, uint32_t lane, uint8_t q[kBlock]) {
  std::memset(q, 0, kBlock);
  for_planes<kBits>([&](auto plane, uint32_t shift, uint32_t offset) {
    plane.add(quants + offset, shift, lane, q);
  });
}

// --- Numbers beside the quants ------------------------------------------------------------------

void put_half(uint16_t value, uint32_t lane, std::byte* halves) {
  store(halves + 2 * lane, value);
}

uint16_t get_half(const std::byte* halves, uint32_t lane) {
  return load<uint16_t>(halves + 2 * lane);
}

constexpr uint32_t kHalves = 2 * kPanelRows;  // bytes of 8 f16 values, one per row

// Finds the quants of a part of a block of GGUF.
using ReadQuants = void (*)(const std::byte* block, uint32_t part, uint8_t q[kBlock]);
// Finds the sub-scales of a whole block, a byte each.
using ReadScales = Sixteen (*)(const std::byte* block);

// Each kind has kBytes, read() and get(): one byte per row and number, numbers one after the other.
struct NoScales {
  static constexpr uint32_t kBytes = 0;
  static void get(const std::byte*, uint32_t, BlockPart& part) {
    part.scale[0] = part.scale[1] = 1;
    part.minimum[0] = part.minimum[1] = 1;
  }
};

// One signed scale of 32 columns.
template <ReadScales kRead>
struct OneScale {
  static constexpr uint32_t kBytes = kPanelRows;
  static constexpr ReadScales read = kRead;
  static void get(const std::byte* from, uint32_t lane, BlockPart& part) {
    part.scale[0] = part.scale[1] = static_cast<int8_t>(byte_at(from, lane));
    part.minimum[0] = part.minimum[1] = 1;
  }
};

// Signed scales of columns 0-15 and 16-31.
template <ReadScales kRead>
struct TwoScales {
  static constexpr uint32_t kBytes = 2 * kPanelRows;
  static constexpr ReadScales read = kRead;
  static void get(const std::byte* from, uint32_t lane, BlockPart& part) {
    for (uint32_t i = 0; i < 2; ++i) {
      part.scale[i] = static_cast<int8_t>(byte_at(from, kPanelRows * i + lane));
      part.minimum[i] = 1;
    }
  }
};

// A scale and a minimum of 32 columns.
struct ScaleAndMinimum {
  static constexpr uint32_t kBytes = 2 * kPanelRows;
  static constexpr ReadScales read = scales_q4_k;
  static void get(const std::byte* from, uint32_t lane, BlockPart& part) {
    part.scale[0] = part.scale[1] = byte_at(from, lane);
    part.minimum[0] = part.minimum[1] = byte_at(from, kPanelRows + lane);
  }
};

// Of columns 0-15 and of 16-31 a byte with a scale in the low nibble and a minimum in the high one.
struct NibbleScales {
  static constexpr uint32_t kBytes = 2 * kPanelRows;
  static constexpr ReadScales read = scales_q2_k;
  static void get(const std::byte* from, uint32_t lane, BlockPart& part) {
    for (uint32_t i = 0; i < 2; ++i) {
      uint8_t both = byte_at(from, kPanelRows * i + lane);
      part.scale[i] = both & 15;
      part.minimum[i] = both >> 4;
    }
  }
};

// --- Layouts ------------------------------------------------------------------------------------

// Halves (d, or d and dmin), in front of a super-block or of a block of 32; MXFP4 has 8 bytes of
// exponents instead.
struct OneHalf {
  static constexpr uint32_t kBytes = kHalves;
  static void put(const BlockPart& part, uint32_t lane, std::byte* to) {
    put_half(part.d, lane, to);
  }
  static void get(const std::byte* from, uint32_t lane, BlockPart& part) {
    part.d = get_half(from, lane);
    part.dmin = 0;
  }
};

struct NoNumbers {
  static constexpr uint32_t kBytes = 0;
  static void put(const BlockPart&, uint32_t, std::byte*) {}
  static void get(const std::byte*, uint32_t, BlockPart& part) { part.d = part.dmin = 0; }
};

struct TwoHalves {
  static constexpr uint32_t kBytes = 2 * kHalves;
  static void put(const BlockPart& part, uint32_t lane, std::byte* to) {
    put_half(part.d, lane, to);
    put_half(part.dmin, lane, to + kHalves);
  }
  static void get(const std::byte* from, uint32_t lane, BlockPart& part) {
    part.d = get_half(from, lane);
    part.dmin = get_half(from + kHalves, lane);
  }
};

struct Exponent {
  static constexpr uint32_t kBytes = kPanelRows;
  static void put(const BlockPart& part, uint32_t lane, std::byte* to) {
    to[lane] = static_cast<std::byte>(part.d);
  }
  static void get(const std::byte* from, uint32_t lane, BlockPart& part) {
    part.d = byte_at(from, lane);
    part.dmin = 0;
  }
};

// The pack of a layout, whose heads have kHead bytes (0: it has none). A head begins with each
// super-block, which is a block of the source then, and with the row. A Layout::Packer begins with
// each block of the source, and puts a part of it into a block.
template <class Layout>
void pack_panel(const RowBlocks& from, std::byte* panel) {
  RowBlocks source = from;
  typename Layout::Packer packer;
  uint32_t part = from.first;
  for (uint32_t i = 0; i < from.count; ++i) {
    if (i == 0 || part == 0) {
      packer.begin(source, panel);
      panel += Layout::kHead;
    }
    packer.pack(source, part, panel);
    panel += Layout::kBytes;
    if (++part == from.parts) {
      part = 0;
      source.source += from.source_bytes;
    }
  }
}

// A block of 32 columns: numbers, then quants.
template <ReadPart kRead, class Numbers, uint32_t kBits>
struct Small {
  static constexpr uint32_t kHead = 0, kBytes = Numbers::kBytes + kVector * kBits;

  struct Packer {
    PlaneRows rows;

    void begin(const RowBlocks&, std::byte*) {}
    void pack(const RowBlocks& from, uint32_t index, std::byte* block) {
      for (uint32_t lane = 0; lane < from.rows; ++lane) {
        BlockPart part;
        kRead(from.source + lane * from.row_bytes, index, part);
        Numbers::put(part, lane, block);
        put_quants<kBits>(part.q, lane, rows, block + Numbers::kBytes);
      }
      finish_quants<kBits>(rows, block + Numbers::kBytes);
    }
  };
  static void read(const std::byte*, const std::byte* block, uint32_t lane, BlockPart& part) {
    Numbers::get(block, lane, part);
    NoScales::get(nullptr, lane, part);
    get_quants<kBits>(block + Numbers::kBytes, lane, part.q);
  }
  static constexpr PanelLayout layout(TensorType type) {
    return {type, kBlock, kHead, kBlock, kBytes, 1, pack_panel<Small>, read};
  }
};

// A super-block: numbers in its head; per block of 32 columns scales, then quants. Without numbers
// there is no head, and blocks of 32 are all.
template <ReadPart kRead, ReadQuants kQuants, class Numbers, class Scales, uint32_t kBits,
          uint32_t kColumns = kSuperBlock>
struct Super {
  static constexpr uint32_t kHead = Numbers::kBytes, kBytes = Scales::kBytes + kVector * kBits;

  struct Packer {
    PlaneRows rows;
    std::byte scales[kPanelRows * sizeof(Sixteen)];  // of all parts, as they stand in their blocks

    void begin(const RowBlocks& from, std::byte* head) {
      // Only the missing rows are zeroed: zeroing all of them took longer than the rest (rep stos).
      Sixteen of_rows[kPanelRows];
      for (uint32_t lane = from.rows; lane < kPanelRows; ++lane) of_rows[lane] = Sixteen{};
      for (uint32_t lane = 0; lane < from.rows; ++lane) {
        const std::byte* source = from.source + lane * from.row_bytes;
        BlockPart part;
        kRead(source, 0, part);
        Numbers::put(part, lane, head);
        if constexpr (Scales::kBytes != 0) of_rows[lane] = Scales::read(source);
      }
      if constexpr (Scales::kBytes != 0) transpose_bytes(of_rows, sizeof(Sixteen), scales);
    }
    void pack(const RowBlocks& from, uint32_t index, std::byte* block) {
      std::memcpy(block, scales + Scales::kBytes * index, Scales::kBytes);
      for (uint32_t lane = 0; lane < from.rows; ++lane) {
        uint8_t q[kBlock];
        kQuants(from.source + lane * from.row_bytes, index, q);
        put_quants<kBits>(q, lane, rows, block + Scales::kBytes);
      }
      finish_quants<kBits>(rows, block + Scales::kBytes);
    }
  };
  static void read(const std::byte* head, const std::byte* block, uint32_t lane, BlockPart& part) {
    Numbers::get(head, lane, part);
    Scales::get(block, lane, part);
    get_quants<kBits>(block + Scales::kBytes, lane, part.q);
  }
  static constexpr PanelLayout layout(TensorType type) {
    return {type, kColumns, kHead, kBlock, kBytes, 1, pack_panel<Super>, read};
  }
};

// A super-block of codes: d in its head; per block of 32 columns words, then bytes: each of all
// rows, or all of each row.
template <class Format>
struct Coded {
  static constexpr uint32_t kHead = kHalves, kBytes = kCodedBytes<Format>;
  static constexpr bool kGathersRows = requires { &Format::gather_rows; };

  static constexpr uint32_t byte_offset(uint32_t index, uint32_t lane) {
    uint32_t place =
        kBytesByRow<Format> ? Format::kBytes * lane + index : kPanelRows * index + lane;
    return kVector * Format::kWords + place;
  }

  struct Packer {
    void begin(const RowBlocks& from, std::byte* head) {
      for (uint32_t lane = 0; lane < from.rows; ++lane) {
        const std::byte* source = from.source + lane * from.row_bytes;
        if constexpr (kGathersRows) {
          put_half(Format::scale(source), lane, head);
        } else {
          CodedPart codes;  // all but the scale is optimized away
          Format::gather(source, 0, codes);
          put_half(codes.d, lane, head);
        }
      }
    }
    void pack(const RowBlocks& from, uint32_t index, std::byte* block) {
      if constexpr (kGathersRows) {
        CodedRows rows;
        Format::gather_rows(from.source, from.row_bytes, from.rows, index, rows);
        for (uint32_t lane = 0; lane < from.rows; ++lane) put(rows.part(lane), lane, block);
      } else {
        for (uint32_t lane = 0; lane < from.rows; ++lane) {
          CodedPart codes;
          Format::gather(from.source + lane * from.row_bytes, index, codes);
          put(codes, lane, block);
        }
      }
    }
    static void put(const CodedPart& codes, uint32_t lane, std::byte* block) {
      for (uint32_t i = 0; i < Format::kWords; ++i) {
        store(block + kVector * i + 4 * lane, codes.words[i]);
      }
      for (uint32_t i = 0; i < Format::kBytes; ++i) {
        block[byte_offset(i, lane)] = std::byte(codes.bytes[i]);
      }
    }
  };
  static void read(const std::byte* head, const std::byte* block, uint32_t lane, BlockPart& part) {
    CodedPart codes;
    codes.d = get_half(head, lane);
    for (uint32_t i = 0; i < Format::kWords; ++i) {
      codes.words[i] = load<uint32_t>(block + kVector * i + 4 * lane);
    }
    for (uint32_t i = 0; i < Format::kBytes; ++i) {
      codes.bytes[i] = byte_at(block, byte_offset(i, lane));
    }
    Format::expand(codes, part);
  }
  static constexpr PanelLayout layout(TensorType type) {
    // The first version had signs and digits in the file's order.
    return {type, kSuperBlock, kHead, kBlock, kBytes, 2, pack_panel<Coded>, read};
  }
};

constexpr PanelLayout floats(TensorType type, uint32_t bytes) {
  return {type, 1, 0, 1, bytes * kPanelRows, 1, nullptr, nullptr};
}

constexpr std::array kLayouts = {
    floats(kF32, 4),
    floats(kF16, 2),
    floats(kBF16, 2),
    Small<read_q4_0, OneHalf, 4>::layout(kQ4_0),
    Small<read_q4_1, TwoHalves, 4>::layout(kQ4_1),
    Small<read_q5_0, OneHalf, 5>::layout(kQ5_0),
    Small<read_q5_1, TwoHalves, 5>::layout(kQ5_1),
    Small<read_q8_0, OneHalf, 8>::layout(kQ8_0),
    Small<read_q4_0, OneHalf, 4>::layout(kIQ4_NL),
    Small<read_mxfp4, Exponent, 4>::layout(kMXFP4),
    Super<read_nvfp4, quants_nvfp4, NoNumbers, TwoScales<scales_nvfp4>, 4, kBlock>::layout(kNVFP4),
    Super<read_q1_0, quants_q1_0, OneHalf, NoScales, 1, 128>::layout(kQ1_0),
    Super<read_q2_0, quants_q2_0, OneHalf, NoScales, 2, 64>::layout(kQ2_0),
    Super<read_q2_k, quants_q2_k, TwoHalves, NibbleScales, 2>::layout(kQ2_K),
    Super<read_q3_k, quants_q3_k, OneHalf, TwoScales<scales_q3_k>, 3>::layout(kQ3_K),
    Super<read_q4_k, quants_q4_k, TwoHalves, ScaleAndMinimum, 4>::layout(kQ4_K),
    Super<read_q5_k, quants_q5_k, TwoHalves, ScaleAndMinimum, 5>::layout(kQ5_K),
    Super<read_q6_k, quants_q6_k, OneHalf, TwoScales<scales_q6_k>, 6>::layout(kQ6_K),
    Super<read_iq4_xs, quants_iq4_xs, OneHalf, OneScale<scales_iq4_xs>, 4>::layout(kIQ4_XS),
    Super<read_tq2_0, quants_tq2_0, OneHalf, NoScales, 2>::layout(kTQ2_0),
    Coded<Iq1S>::layout(kIQ1_S),
    Coded<Iq1M>::layout(kIQ1_M),
    Coded<Iq2Xxs>::layout(kIQ2_XXS),
    Coded<Iq2Xs>::layout(kIQ2_XS),
    Coded<Iq2S>::layout(kIQ2_S),
    Coded<Iq3Xxs>::layout(kIQ3_XXS),
    Coded<Iq3S>::layout(kIQ3_S),
    Coded<Tq1>::layout(kTQ1_0),
};

}  // namespace

const PanelLayout& panel_layout(TensorType type) {
  for (const PanelLayout& layout : kLayouts) {
    if (layout.type == type) return layout;
  }
  CHECK(false && "no panel layout for this type");
}

uint32_t panel_version(TensorType type) {
  return panel_layout(type).version;
}

uint32_t panel_phase(TensorType type, uint32_t first_column) {
  const PanelLayout& layout = panel_layout(type);
  return layout.head_bytes != 0 ? first_column % layout.group_columns : 0;
}

uint32_t panel_blocks(const PanelShape& shape, const PanelLayout& layout) {
  return ceil_div(shape.columns, layout.block_columns);
}

uint32_t panel_heads(const PanelShape& shape, const PanelLayout& layout) {
  if (layout.head_bytes == 0 || shape.columns == 0) return 0;
  // A matrix that begins inside a super-block has the head of that one, too.
  uint64_t end = shape.phase + uint64_t{panel_blocks(shape, layout)} * layout.block_columns;
  return static_cast<uint32_t>(ceil_div(end, uint64_t{layout.group_columns}));
}

}  // namespace potluck
