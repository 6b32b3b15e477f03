// How an expert is cut. Chunks are the unit of arithmetic (a chunk's down-projection becomes one
// fixed-point addend per output), grains the unit of hashing, storage and delivery, slices the unit
// of placement. All of it is a function of the expert's shape alone, so every device cuts alike.
// Plain values; any thread.
//
//   intermediate dimension   |c0|c1|c2|c3|c4|c5|c6|c7|c8|c9|..   chunks of <= 128 columns
//   grains                   |  g0 |  g1 |  g2 |  g3 |  g4 |..   a fixed run of chunks each
//   slices, S = 2            |      slice 0      |   slice 1     a contiguous range of grains each
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/result.h"
#include "engine/kernels/panel.h"
#include "engine/kernels/self_test.h"

namespace potluck {

// What joins gate and up; see the functions of KernelTable. The numbers stand in the manifest: a
// device of an earlier version refuses a number that it does not know, and lacks the kernel.
enum class ExpertActivation : uint8_t {
  kSwiGlu = 0,
  kSwiGluOai = 1,          // of gpt-oss
  kGeGlu = 2,              // GELU in its tanh form
  kReGlu = 3,              // ReLU
  kReluSquared = 4,        // of up alone: there is no gate
  kSwiGluClampBefore = 5,  // with a limit: the gate is clamped before SiLU (DeepSeek V4)
  kSwiGluClampAfter = 6,   // with a limit: what SiLU gives is clamped (Step 3.5)
};

constexpr bool has_gate(ExpertActivation activation) {
  return activation != ExpertActivation::kReluSquared;
}
constexpr bool has_limit(ExpertActivation activation) {
  return activation == ExpertActivation::kSwiGluClampBefore ||
         activation == ExpertActivation::kSwiGluClampAfter;
}

// An activation with its number, as single layers have it.
struct Activation {
  ExpertActivation kind = ExpertActivation::kSwiGlu;
  float limit = 0;  // finite and above 0 where the kind has one, else 0

  bool operator==(const Activation&) const = default;
};

// h = activation(gate, up), `count` values each; gate is not read where there is none.
void activate(const KernelTable& kernels, const Activation& activation, const float* gate,
              const float* up, uint32_t count, float* h);
KernelPart kernel_part_of(ExpertActivation activation);

// The shape every expert of one layer has.
struct ExpertShape {
  uint32_t hidden = 0;  // values in and out
  uint32_t width = 0;   // intermediate dimension: rows of gate and up, columns of down
  TensorType gate = TensorType::kF32;  // that of up where there is no gate
  TensorType up = TensorType::kF32;
  TensorType down = TensorType::kF32;
  bool biases = false;  // gate, up and down carry one f32 bias per row
  ExpertActivation activation = ExpertActivation::kSwiGlu;
  float limit = 0;      // of the activation; see there
  bool scales = false;  // what gate, up and down give is multiplied by an f32 each, before biases

  bool operator==(const ExpertShape&) const = default;

  bool gated() const { return has_gate(activation); }

  // The form in which the hidden vector reaches gate and up, and crosses the wire: the weights' own
  // blocks; blocks of 32 if the two formats ask for different ones; f32 as soon as one of them is a
  // float format (a quantized partner then quantizes in blocks of 32, where it computes).
  ActivationForm input_form() const;
  // What gate (or up) reads, given that the hidden vector comes in input_form().
  ActivationForm product_form(TensorType matrix) const;
  // What down reads: blocks of 32, or f32 for a float format.
  ActivationForm down_form() const;
  // What an expert of this shape is computed with, by number: devices that share its work must
  // agree on these.
  std::vector<KernelPart> kernel_parts() const;
  // The newest of the orders in which panels of its formats stand; devices that keep grains of such
  // experts must agree on it.
  uint32_t panels() const;
};

// Compares a shape with limits.h and with its formats: known types, whole blocks in every row, a
// grain that fits limits::kGrainBytes. Shapes from files and manifests pass here before anything
// else looks at them; the functions below rely on it.
Status check_expert_shape(const ExpertShape& shape);

struct ChunkPlan {
  uint32_t chunk_width = 0;  // columns per chunk; the last chunk may be shorter
  uint32_t chunks = 0;
  uint32_t chunks_per_grain = 0;  // the last grain may have fewer
  uint32_t grains = 0;

  bool operator==(const ChunkPlan&) const = default;
};

// Chunks: the largest multiple of 32, at most 128, that divides the width into at least 8 equal
// chunks; failing that 32, the last may be short. Grains: the longest run of chunks that leaves at
// least 8 grains (fewer only if there are fewer chunks) and keeps every grain within 1 MiB; a
// single chunk where that is not enough.
ChunkPlan plan_chunks(const ExpertShape& shape);

// Grains [first, first + count).
struct GrainRange {
  uint32_t first = 0;
  uint32_t count = 0;

  bool operator==(const GrainRange&) const = default;
};

// Slice `slice` of `slices`: grains [slice * G / S, (slice + 1) * G / S). Empty when S > G.
GrainRange slice_grains(uint32_t grains, uint32_t slice, uint32_t slices);

// Where things stand inside one grain, and its size. Layout:
//   gate panels | up panels | down panels of chunk 0 | of chunk 1 .. | gate, up, down biases |
//   scales of gate, up, down | zeros
// Without a gate, up stands first and the gate's parts are empty. Every part starts at a multiple
// of 64 bytes; the whole is padded to 4096. Down biases enter with chunk 0 of the expert, so only
// grain 0 carries them.
struct GrainLayout {
  uint32_t first_chunk = 0;
  uint32_t chunks = 0;
  uint32_t first_column = 0;  // of the intermediate dimension
  uint32_t columns = 0;
  PanelShape gate;         // [columns, hidden]
  PanelShape up;           // [columns, hidden]
  uint64_t up_offset = 0;  // gate starts at 0
  uint64_t down_offset = 0;
  uint64_t gate_bias_offset = 0;  // 0 where the shape has no biases
  uint64_t up_bias_offset = 0;
  uint64_t down_bias_offset = 0;  // 0 in every grain but the first
  uint64_t scales_offset = 0;     // three f32; 0 where the shape has none
  uint64_t used_bytes = 0;        // a multiple of 64; what follows is padding
  uint64_t bytes = 0;             // padded
};

GrainLayout grain_layout(const ExpertShape& shape, const ChunkPlan& plan, uint32_t grain);

uint64_t largest_grain_bytes(const ExpertShape& shape, const ChunkPlan& plan);
// All grains of one expert.
uint64_t expert_bytes(const ExpertShape& shape, const ChunkPlan& plan);

// The part of the down-projection that belongs to chunk `chunk` (of the expert, inside the grain):
// its shape [hidden, chunk columns] and its offset in the grain.
struct DownChunk {
  PanelShape shape;
  uint64_t offset = 0;
  uint32_t first_column = 0;  // of the intermediate dimension
};
DownChunk down_chunk(const ExpertShape& shape, const ChunkPlan& plan, const GrainLayout& layout,
                     uint32_t chunk);

// What follows from a shape and is needed for every grain: worked out once.
struct ShapeTables {
  explicit ShapeTables(const ExpertShape& of);

  ExpertShape shape;
  ChunkPlan plan;
  std::vector<GrainLayout> layouts;    // [plan.grains]
  std::vector<uint64_t> offsets;       // of the grains in an expert, and the end
  std::vector<DownChunk> down_chunks;  // [plan.chunks]
};

}  // namespace potluck
