// Linux's futex(2). A waiter counts itself before the kernel compares the value, and a waker
// changes the value before it looks at the count; both in the one order that all threads agree on.
// So either the waker sees the waiter, or the kernel sees the new value.
#include "engine/base/wait_word.h"

#include <climits>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace potluck {
namespace {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));

// About 20 microseconds of polling before a thread sleeps: longer than the gap between two matrices
// of a token, far shorter than a scheduler slice that a busy neighbor would miss. Sleeping at last
// is what keeps a shared machine usable: an engine that only spins fell from 141 to 6.7 tokens/s
// beside one busy neighbor.
constexpr int kSpins = 2000;

inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

long futex(std::atomic<uint32_t>* word, int operation, uint32_t argument) {
  return syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), operation | FUTEX_PRIVATE_FLAG,
                 argument, nullptr, nullptr, 0);
}

}  // namespace

void WaitWord::wait_while(uint32_t old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause_briefly();
  }
  sleepers_.fetch_add(1);
  // Wakes for nothing are allowed: who waits looks again.
  if (value.load() == old) futex(&value, FUTEX_WAIT, old);
  sleepers_.fetch_sub(1);
  value.load(std::memory_order_acquire);
}

void WaitWord::wake_all() {
  if (sleepers_.load() > 0) futex(&value, FUTEX_WAKE, INT_MAX);
}

}  // namespace potluck
