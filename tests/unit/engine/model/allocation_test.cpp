// After the first steps, generating a token takes no memory from the heap in the layer loop. This
// file replaces operator new for the whole test program, in order to count; a sanitizer has a
// replacement of its own, so there is nothing to see in its builds.
#include <atomic>
#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

#include "engine/model/step_run.h"
#include "tests/support/sanitizers.h"
#include "tests/unit/engine/model/tiny_model.h"

namespace {

std::atomic<uint64_t> allocations{0};

}  // namespace

#if !POTLUCK_SANITIZED
// Not inlined: GCC would take each pair apart and find malloc() freed by delete.
[[gnu::noinline]] void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
#endif

namespace potluck {
namespace {

using test::TinyModel;

// Answers with zeros.
class EmptyExecutor final : public ExpertExecutor {
 public:
  Ticket submit(const ExpertBatch& batch, ExpertSums* out) override {
    out->reset(batch.tokens(), batch.input.columns);
    return 0;
  }
  std::optional<Status> take_completed(Ticket) override { return Status(); }
  void turn(Duration) override {}
  void cancel(Ticket) override {}
};

TEST(Allocation, NoneInAStepAfterTheFirst) {
  for (const char* architecture : {"qwen3", "qwen3moe"}) {
    auto model = TinyModel(architecture).load();
    ASSERT_TRUE(model.ok()) << model.error().message;
    ThreadPool pool(2);
    EmptyExecutor executor;
    Forward forward(**model, *available_kernels().front(), pool);
    KvCache cache((*model)->config(), KvType::kF16, 256);
    auto step = [&](uint32_t position) {
      const ForwardRow row{7, position, &cache, true};
      return run_step(forward, {&row, 1}, executor).ok();
    };
    ASSERT_TRUE(step(0));
    uint64_t before = allocations;
    bool ok = true;
    for (uint32_t position = 1; position < 100; ++position) ok = step(position) && ok;
    EXPECT_EQ(allocations - before, 0u) << architecture;
    EXPECT_TRUE(ok);
  }
}

}  // namespace
}  // namespace potluck
