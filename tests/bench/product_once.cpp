// Products of one format with one instruction set, as often as said, for counting instructions
// (scripts/count-instructions): product_once ISA FORMAT TOKENS TIMES. With no argument it lists the
// formats.
#include <cstdlib>

#include <fmt/format.h>

#include "engine/base/buffer.h"
#include "engine/kernels/kernels.h"

namespace potluck {
namespace {

constexpr uint32_t kRows = 16;
constexpr uint32_t kColumns = 1024;

// Zeros take as many instructions as other numbers.
int multiply(const KernelTable& kernels, const BlockFormat& format, uint32_t tokens, int times) {
  PanelShape shape{format.type, kRows, kColumns, 0};
  Buffer weights(shape.bytes());
  ActivationBuffer x;
  x.reset(format.activations, tokens, kColumns);
  std::ranges::fill(x.values(), 0.0F);
  std::ranges::fill(x.quants(), int8_t{0});
  std::ranges::fill(x.scales(), 0.0F);
  std::ranges::fill(x.sums(), int16_t{0});
  std::vector<float> y(uint64_t{tokens} * kRows);
  for (int i = 0; i < times; ++i) {
    kernels.matmul({shape, weights.data()}, x.view(), nullptr, tokens, 0, shape.panels(), y.data(),
                   kRows);
  }
  fmt::print("{} weights\n", kRows * kColumns);
  return 0;
}

int run(int count, char** arguments) {
  if (count == 1) {
    for (const BlockFormat& format : block_formats()) fmt::print("{}\n", format.name);
    return 0;
  }
  if (count != 5) return 2;
  Result<const KernelTable*> kernels = select_kernels(arguments[1]);
  if (!kernels) {
    fmt::print(stderr, "{}\n", kernels.error().message);
    return 1;
  }
  for (const BlockFormat& format : block_formats()) {
    if (format.name != std::string_view(arguments[2])) continue;
    return multiply(**kernels, format, static_cast<uint32_t>(std::atoi(arguments[3])),
                    std::atoi(arguments[4]));
  }
  return 2;
}

}  // namespace
}  // namespace potluck

int main(int count, char** arguments) {
  return potluck::run(count, arguments);
}
