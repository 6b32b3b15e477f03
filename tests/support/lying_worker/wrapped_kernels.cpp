// lying_worker: `potluck` with kernels that lie: what it computes as a worker has one bit of one
// sum flipped, in one of LIAR_ONE_IN rows (default 1), drawn from LIAR_SEED, after LIAR_HONEST_ROWS
// honest ones. Says "lying_worker: ROWS rows, LIES lies" at each lie, else ten times a second at
// most.
//
// potluck's own main() and everything else are linked in unchanged, so that potluck needs no flag
// and no seam by which a device could lie; the linker gives calls of select_kernels() to the one
// below
// (--wrap, in tests/CMakeLists.txt).
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "engine/base/clock.h"
#include "tests/support/lying_worker/lying_kernels.h"

namespace potluck::test {
namespace {

uint64_t number(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Diary {
 public:
  void note(uint64_t rows, bool lied) {
    lies_ += lied ? 1 : 0;
    TimePoint now = clock_.now();
    if (!lied && now < next_) return;
    next_ = now + std::chrono::milliseconds(100);
    std::fprintf(stderr, "lying_worker: %llu rows, %llu lies\n",
                 static_cast<unsigned long long>(rows), static_cast<unsigned long long>(lies_));
  }

 private:
  SystemClock clock_;
  TimePoint next_{};
  uint64_t lies_ = 0;
};

}  // namespace

// Of the function that is linked in, and of the one that stands in for it.
Result<const KernelTable*> honest_kernels(std::string_view name) __asm__("__real_" SELECT_KERNELS);
Result<const KernelTable*> wrapped_kernels(std::string_view name) __asm__("__wrap_" SELECT_KERNELS);

Result<const KernelTable*> wrapped_kernels(std::string_view name) {
  Result<const KernelTable*> honest = honest_kernels(name);
  if (!honest) return honest;
  auto diary = std::make_shared<Diary>();
  LieSettings settings{number("LIAR_ONE_IN", 1), number("LIAR_SEED", 1),
                       number("LIAR_HONEST_ROWS", 0)};
  return &lying_kernels(**honest, settings,
                        [diary](uint64_t rows, bool lied) { diary->note(rows, lied); });
}

}  // namespace potluck::test
