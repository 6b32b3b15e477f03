// How fast this machine reads its memory: what bounds decode when nothing else does.
//
//   memory_bench THREADS [MIB]    -> bytes per second, the best of ten passes over MIB (default
//   512)
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/base/buffer.h"
#include "engine/base/clock.h"
#include "engine/base/thread_pool.h"

namespace potluck {
namespace {

constexpr size_t kTaskBytes = 4 * kMiB;

// Eight independent sums, so that the additions do not wait for each other.
uint64_t sum_words(ByteSpan bytes) {
  uint64_t sums[8] = {};
  for (size_t at = 0; at + sizeof sums <= bytes.size(); at += sizeof sums) {
    uint64_t words[8];
    std::memcpy(words, bytes.data() + at, sizeof words);
    for (size_t i = 0; i < 8; ++i) sums[i] += words[i];
  }
  uint64_t total = 0;
  for (uint64_t sum : sums) total += sum;
  return total;
}

double best_rate(int threads, size_t bytes) {
  Buffer buffer(bytes);
  std::memset(buffer.data(), 1, bytes);
  ThreadPool pool(threads);
  SystemClock clock;
  size_t tasks = bytes / kTaskBytes;
  std::vector<uint64_t> sums(tasks);
  double best = 0;
  for (int pass = 0; pass < 10; ++pass) {
    TimePoint start = clock.now();
    pool.run(tasks, [&](size_t task, int) {
      sums[task] = sum_words(buffer.span().subspan(task * kTaskBytes, kTaskBytes));
    });
    double seconds = std::chrono::duration<double>(clock.now() - start).count();
    best = std::max(best, static_cast<double>(tasks * kTaskBytes) / seconds);
  }
  for (uint64_t sum : sums) CHECK(sum == sums[0]);  // and so every pass was made
  return best;
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  int threads = argc > 1 ? std::atoi(argv[1]) : 0;
  int mebibytes = argc > 2 ? std::atoi(argv[2]) : 512;
  if (argc > 3 || threads < 1 || mebibytes < 4) {
    std::fprintf(stderr, "usage: memory_bench THREADS [MIB]\n");
    return 2;
  }
  size_t bytes = static_cast<size_t>(mebibytes) * potluck::kMiB;
  std::printf("%.0f\n", potluck::best_rate(threads, bytes));
  return 0;
}
