#include "engine/experts/expert_shape.h"

#include <algorithm>
#include <optional>

#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "engine/base/random.h"

namespace potluck {
namespace {

TensorType any_type(uint64_t number) {
  return block_formats()[number % block_formats().size()].type;
}

ExpertShape make_shape(uint32_t hidden, uint32_t width, TensorType type, bool biases = false) {
  return {hidden, width, type, type, type, biases, ExpertActivation::kSwiGlu};
}

struct PlanCase {
  uint32_t hidden;
  uint32_t width;
  TensorType type;
  ChunkPlan plan;
};

// Widths of published models and of small test models, worked out by hand from the rule.
const PlanCase kPlans[] = {
    {64, 31, TensorType::kF32, {32, 1, 1, 1}},
    {64, 32, TensorType::kF32, {32, 1, 1, 1}},
    {64, 40, TensorType::kF32, {32, 2, 1, 2}},
    {64, 64, TensorType::kF16, {32, 2, 1, 2}},
    {512, 256, TensorType::kQ4_K, {32, 8, 1, 8}},
    {2048, 512, TensorType::kQ4_K, {64, 8, 1, 8}},
    {2048, 768, TensorType::kQ4_K, {96, 8, 1, 8}},
    {2048, 1024, TensorType::kQ4_K, {128, 8, 1, 8}},
    {2048, 1408, TensorType::kQ8_0, {128, 11, 1, 11}},
    {4096, 1536, TensorType::kQ4_K, {128, 12, 1, 12}},
    // 16 chunks: two to a grain as long as that stays within 1 MiB.
    {2048, 2048, TensorType::kQ4_K, {128, 16, 2, 8}},
    {2048, 2048, TensorType::kF16, {128, 16, 1, 16}},
    // 30 chunks of 96: up to four to a grain leave eight grains, the last one short.
    {256, 2880, TensorType::kQ4_0, {96, 30, 4, 8}},
    {2880, 2880, TensorType::kQ8_0, {96, 30, 1, 30}},
    {512, 7168, TensorType::kQ4_K, {128, 56, 7, 8}},
    {4096, 14336, TensorType::kQ4_K, {128, 112, 1, 112}},
    {64, 14336, TensorType::kF16, {128, 112, 15, 8}},
};

TEST(ChunkPlan, FollowsTheRule) {
  for (const PlanCase& expected : kPlans) {
    ExpertShape shape = make_shape(expected.hidden, expected.width, expected.type);
    EXPECT_EQ(plan_chunks(shape), expected.plan)
        << expected.hidden << " x " << expected.width << " " << block_format(expected.type).name
        << ": " << plan_chunks(shape).chunk_width << ", " << plan_chunks(shape).chunks << ", "
        << plan_chunks(shape).chunks_per_grain << ", " << plan_chunks(shape).grains;
  }
}

// The rule again, in the words of the design, by trying everything.
ChunkPlan plan_by_search(const ExpertShape& shape) {
  ChunkPlan plan;
  plan.chunk_width = 32;
  for (uint32_t chunk = 32; chunk <= 128; chunk += 32) {
    if (shape.width % chunk == 0 && shape.width / chunk >= 8) plan.chunk_width = chunk;
  }
  plan.chunks = (shape.width + plan.chunk_width - 1) / plan.chunk_width;
  plan.chunks_per_grain = 1;
  plan.grains = plan.chunks;
  for (uint32_t run = 2; run <= plan.chunks; ++run) {
    ChunkPlan longer{plan.chunk_width, plan.chunks, run, (plan.chunks + run - 1) / run};
    bool fits = true;
    for (uint32_t grain = 0; grain < longer.grains; ++grain) {
      fits = fits && grain_layout(shape, longer, grain).bytes <= 1024 * 1024;
    }
    if (longer.grains >= 8 && fits) plan = longer;
  }
  return plan;
}

TEST(ChunkPlan, IsTheLongestRunThatFits) {
  CounterRandom random(41);
  for (uint32_t i = 0; i < 300; ++i) {
    TensorType type = any_type(random.bits(i, 0));
    uint32_t block = block_format(type).block_elements;
    auto hidden = static_cast<uint32_t>(block * (1 + random.bits(i, 1) % (2048 / block)));
    auto width = static_cast<uint32_t>(block * (1 + random.bits(i, 2) % (4096 / block)));
    ExpertShape shape = make_shape(hidden, width, type, random.bits(i, 3) % 2 == 1);
    EXPECT_EQ(plan_chunks(shape), plan_by_search(shape))
        << hidden << " x " << width << " " << block_format(type).name;
  }
}

TEST(Slices, CoverEveryGrainOnce) {
  for (uint32_t grains = 1; grains <= 130; ++grains) {
    for (uint32_t slices = 1; slices <= limits::kSlices; ++slices) {
      uint32_t next = 0;
      uint32_t least = grains;
      uint32_t most = 0;
      for (uint32_t slice = 0; slice < slices; ++slice) {
        GrainRange range = slice_grains(grains, slice, slices);
        ASSERT_EQ(range.first, next) << grains << " grains, slice " << slice << " of " << slices;
        next += range.count;
        least = std::min(least, range.count);
        most = std::max(most, range.count);
      }
      ASSERT_EQ(next, grains);
      ASSERT_LE(most - least, 1u);
    }
  }
}

TEST(Slices, LargeCountsDoNotOverflow) {
  GrainRange last = slice_grains(UINT32_MAX, 63, 64);
  EXPECT_EQ(uint64_t{last.first} + last.count, UINT32_MAX);
}

// Walks one grain in the order of the picture in expert_shape.h.
void check_layout(const ExpertShape& shape, const ChunkPlan& plan, uint32_t grain) {
  GrainLayout layout = grain_layout(shape, plan, grain);
  uint64_t end = layout.gate.bytes();
  auto part = [&](uint64_t offset, uint64_t bytes) {
    EXPECT_EQ(offset % 64, 0u);
    EXPECT_GE(offset, end);
    EXPECT_LT(offset, end + 64);  // nothing but padding in between
    end = offset + bytes;
  };
  part(layout.up_offset, layout.up.bytes());
  for (uint32_t i = 0; i < layout.chunks; ++i) {
    DownChunk down = down_chunk(shape, plan, layout, layout.first_chunk + i);
    EXPECT_EQ(down.first_column, (layout.first_chunk + i) * plan.chunk_width);
    EXPECT_EQ(down.shape.rows, shape.hidden);
    EXPECT_EQ(down.shape.columns, std::min(plan.chunk_width, shape.width - down.first_column));
    uint32_t block = block_format(shape.down).block_elements;
    bool has_head = block > 32 && shape.down != TensorType::kNVFP4;
    EXPECT_EQ(down.shape.phase, has_head ? down.first_column % block : 0);
    if (i == 0) {
      EXPECT_EQ(down.offset, layout.down_offset);
    }
    part(down.offset, down.shape.bytes());
  }
  if (shape.biases) {
    part(layout.gate_bias_offset, layout.columns * 4);
    part(layout.up_bias_offset, layout.columns * 4);
  } else {
    EXPECT_EQ(layout.gate_bias_offset, 0u);
    EXPECT_EQ(layout.up_bias_offset, 0u);
  }
  if (shape.biases && grain == 0) {
    part(layout.down_bias_offset, uint64_t{shape.hidden} * 4);
  } else {
    EXPECT_EQ(layout.down_bias_offset, 0u);
  }
  if (shape.scales) {
    part(layout.scales_offset, 12);
  } else {
    EXPECT_EQ(layout.scales_offset, 0u);
  }
  EXPECT_EQ(layout.bytes % 4096, 0u);
  EXPECT_GE(layout.bytes, end);
  EXPECT_LT(layout.bytes, end + 4096);
}

TEST(GrainLayout, PartsFollowEachOtherAndCoverTheWidth) {
  CounterRandom random(42);
  for (uint32_t i = 0; i < 200; ++i) {
    ExpertShape shape;
    shape.gate = any_type(random.bits(i, 0));
    shape.up = any_type(random.bits(i, 1));
    shape.down = any_type(random.bits(i, 2));
    uint32_t block = block_format(shape.down).block_elements;
    shape.hidden = static_cast<uint32_t>(256 * (1 + random.bits(i, 3) % 4));
    shape.width = static_cast<uint32_t>(block * (1 + random.bits(i, 4) % (3000 / block)));
    shape.biases = random.bits(i, 5) % 2 == 1;
    shape.scales = random.bits(i, 6) % 2 == 1;
    ASSERT_TRUE(check_expert_shape(shape));
    ChunkPlan plan = plan_chunks(shape);
    uint32_t columns = 0;
    uint64_t bytes = 0;
    for (uint32_t grain = 0; grain < plan.grains; ++grain) {
      check_layout(shape, plan, grain);
      GrainLayout layout = grain_layout(shape, plan, grain);
      EXPECT_EQ(layout.first_column, columns);
      columns += layout.columns;
      bytes += layout.bytes;
      EXPECT_LE(layout.bytes, largest_grain_bytes(shape, plan));
    }
    EXPECT_EQ(columns, shape.width);
    EXPECT_EQ(bytes, expert_bytes(shape, plan));
  }
}

using Form = ActivationForm;

TEST(ActivationForms, FollowTheFormats) {
  struct Case {
    TensorType gate;
    TensorType up;
    Form input;
    Form gate_reads;
    Form up_reads;
  };
  const Case cases[] = {
      {TensorType::kF16, TensorType::kF16, Form::kF32, Form::kF32, Form::kF32},
      {TensorType::kQ8_0, TensorType::kQ4_0, Form::kQ8Block32, Form::kQ8Block32, Form::kQ8Block32},
      {TensorType::kQ4_K, TensorType::kQ6_K, Form::kQ8Block256, Form::kQ8Block256,
       Form::kQ8Block256},
      {TensorType::kQ4_K, TensorType::kQ8_0, Form::kQ8Block32, Form::kQ8Block32, Form::kQ8Block32},
      {TensorType::kMXFP4, TensorType::kMXFP4, Form::kQ8Block32, Form::kQ8Block32,
       Form::kQ8Block32},
      {TensorType::kIQ2_XXS, TensorType::kIQ3_S, Form::kQ8Block256, Form::kQ8Block256,
       Form::kQ8Block256},
      {TensorType::kQ4_0, TensorType::kQ6_K, Form::kQ8Block32, Form::kQ8Block32, Form::kQ8Block32},
      {TensorType::kBF16, TensorType::kQ6_K, Form::kF32, Form::kF32, Form::kQ8Block32},
      {TensorType::kQ8_0, TensorType::kF32, Form::kF32, Form::kQ8Block32, Form::kF32},
  };
  for (const Case& expected : cases) {
    ExpertShape shape{256, 256, expected.gate, expected.up, TensorType::kF32, false, {}};
    EXPECT_EQ(shape.input_form(), expected.input);
    EXPECT_EQ(shape.product_form(shape.gate), expected.gate_reads);
    EXPECT_EQ(shape.product_form(shape.up), expected.up_reads);
  }
  for (const BlockFormat& format : block_formats()) {
    ExpertShape shape{256, 256, TensorType::kQ4_K, TensorType::kQ4_K, format.type, false, {}};
    EXPECT_EQ(shape.down_form(), format.quantized() ? Form::kQ8Block32 : Form::kF32);
  }
}

TEST(ExpertShape, NamesTheKernelsItIsComputedWith) {
  using Parts = std::vector<KernelPart>;
  ExpertShape shape{256, 256, TensorType::kQ4_K, TensorType::kQ4_K, TensorType::kQ6_K, false, {}};
  EXPECT_EQ(shape.kernel_parts(),
            (Parts{products_of(TensorType::kQ4_K), products_of(TensorType::kQ6_K),
                   KernelPart::kQuantize32, KernelPart::kSwiGlu, KernelPart::kAccumulate}));
  shape = {256, 256, TensorType::kF32, TensorType::kBF16, TensorType::kF16, true, {}};
  shape.activation = ExpertActivation::kSwiGluOai;
  EXPECT_EQ(
      shape.kernel_parts(),
      (Parts{products_of(TensorType::kF32), products_of(TensorType::kF16),
             products_of(TensorType::kBF16), KernelPart::kSwiGluOai, KernelPart::kAccumulate}));
  // The input arrives in floats, and gate reads blocks of 32.
  shape = {256, 256, TensorType::kQ8_0, TensorType::kF32, TensorType::kF32, false, {}};
  EXPECT_EQ(shape.kernel_parts(),
            (Parts{products_of(TensorType::kF32), products_of(TensorType::kQ8_0),
                   KernelPart::kQuantize32, KernelPart::kSwiGlu, KernelPart::kAccumulate}));
}

// Devices of before lack the kernel, and so are told by its name what they lack.
TEST(ExpertShape, NamesItsActivation) {
  for (auto [activation, part] :
       {std::pair{ExpertActivation::kGeGlu, KernelPart::kGeGlu},
        {ExpertActivation::kReGlu, KernelPart::kReGlu},
        {ExpertActivation::kReluSquared, KernelPart::kReluSquared},
        {ExpertActivation::kSwiGluClampBefore, KernelPart::kSwiGluClampBefore},
        {ExpertActivation::kSwiGluClampAfter, KernelPart::kSwiGluClampAfter}}) {
    ExpertShape shape = make_shape(256, 256, TensorType::kF32);
    shape.activation = activation;
    if (has_limit(activation)) shape.limit = 7;
    EXPECT_TRUE(check_expert_shape(shape));
    EXPECT_EQ(shape.kernel_parts(), (std::vector<KernelPart>{products_of(TensorType::kF32),
                                                             KernelPart::kAccumulate, part}));
  }
}

TEST(GrainLayout, WithoutAGateUpStandsFirst) {
  ExpertShape shape = make_shape(256, 512, TensorType::kQ4_K);
  ChunkPlan plan = plan_chunks(shape);
  shape.activation = ExpertActivation::kReluSquared;
  GrainLayout layout = grain_layout(shape, plan, 0);
  EXPECT_EQ(layout.gate.bytes(), 0u);
  EXPECT_EQ(layout.up_offset, 0u);
  EXPECT_EQ(layout.down_offset, layout.up.bytes());
  EXPECT_EQ(layout.gate_bias_offset + layout.up_bias_offset + layout.down_bias_offset, 0u);
}

TEST(CheckExpertShape, RefusesWhatCannotBe) {
  const ExpertShape good = make_shape(256, 512, TensorType::kQ4_K);
  EXPECT_TRUE(check_expert_shape(good));
  auto code = [&](auto change) {
    ExpertShape shape = good;
    change(shape);
    Status status = check_expert_shape(shape);
    return status ? std::nullopt : std::optional(status.error().code);
  };
  EXPECT_EQ(code([](auto& s) { s.hidden = 0; }), ErrorCode::kLimit);
  EXPECT_EQ(code([](auto& s) { s.hidden = limits::kHidden + 256; }), ErrorCode::kLimit);
  EXPECT_EQ(code([](auto& s) { s.width = 0; }), ErrorCode::kLimit);
  EXPECT_EQ(code([](auto& s) { s.width = limits::kExpertWidth + 256; }), ErrorCode::kLimit);
  EXPECT_EQ(code([](auto& s) { s.width = UINT32_MAX; }), ErrorCode::kLimit);
  EXPECT_EQ(code([](auto& s) { s.hidden = 255; }), ErrorCode::kCorrupt);
  EXPECT_EQ(code([](auto& s) { s.hidden = 288; }), ErrorCode::kCorrupt);
  EXPECT_EQ(code([](auto& s) { s.width = 320; }), ErrorCode::kCorrupt);
  EXPECT_EQ(code([](auto& s) { s.gate = TensorType{4}; }), ErrorCode::kUnsupported);
  EXPECT_EQ(code([](auto& s) { s.activation = ExpertActivation{7}; }), ErrorCode::kUnsupported);
  for (auto kind : {ExpertActivation::kSwiGluClampBefore, ExpertActivation::kSwiGluClampAfter}) {
    auto limited = [&](float limit) {
      return code([&](auto& s) { s.activation = kind, s.limit = limit; });
    };
    EXPECT_EQ(limited(7), std::nullopt);
    for (float limit : {0.0F, -1.0F, INFINITY, NAN}) EXPECT_EQ(limited(limit), ErrorCode::kCorrupt);
  }
  EXPECT_EQ(code([](auto& s) { s.limit = 7; }), ErrorCode::kCorrupt);
  auto ungated = [](auto& s) { s.activation = ExpertActivation::kReluSquared; };
  EXPECT_EQ(code(ungated), std::nullopt);
  EXPECT_EQ(code([&](auto& s) { ungated(s), s.gate = TensorType::kQ8_0; }),
            ErrorCode::kUnsupported);
  EXPECT_EQ(code([&](auto& s) { ungated(s), s.biases = true; }), ErrorCode::kUnsupported);
  EXPECT_EQ(code([](auto& s) { s.up = TensorType{0xffffffff}; }), ErrorCode::kUnsupported);
  EXPECT_EQ(code([](auto& s) { s.activation = ExpertActivation{9}; }), ErrorCode::kUnsupported);
  // 128 columns of 64 Ki values, three times in f32: 96 MiB to a chunk.
  ExpertShape huge = make_shape(limits::kHidden, limits::kExpertWidth, TensorType::kF32);
  Status status = check_expert_shape(huge);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kLimit);
}

}  // namespace
}  // namespace potluck
