#include "engine/kernels/kernels.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "engine/kernels/scalar/scalar.h"
#include "engine/kernels/vector_kernels.h"

namespace potluck {
namespace {

// A table and whether this processor can run it.
struct Candidate {
  const KernelTable* table;
  bool (*runs_here)();
};

#if defined(__x86_64__)
// The compiler's own question about AVX2 covers the operating system's part; not every compiler can
// ask for F16C. The vector kernels are compiled without -mfma on purpose: a fused multiply-add
// would round once where the contract rounds twice.
bool runs_avx2() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  bool f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
  return f16c && __builtin_cpu_supports("avx2") != 0;
}

bool runs_avx512() {
  return runs_avx2() && __builtin_cpu_supports("avx512f") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512vnni") != 0;
}
#endif

// The best one last. Every one gives the same bits, so the choice is a matter of speed alone, and
// tests run them all.
constexpr Candidate kCandidates[] = {
    {&scalar::kTable, [] { return true; }},
#if defined(__x86_64__)
    {&avx2::kKernels.table, runs_avx2},
    {&avx512::kKernels.table, runs_avx512},
#endif
};

std::string names() {
  std::string list;
  for (const Candidate& candidate : kCandidates) {
    if (!list.empty()) list += ", ";
    list += candidate.table->name;
  }
  return list;
}

}  // namespace

std::vector<const KernelTable*> available_kernels() {
  std::vector<const KernelTable*> tables;
  for (const Candidate& candidate : kCandidates) {
    if (candidate.runs_here()) tables.push_back(candidate.table);
  }
  return tables;
}

Result<const KernelTable*> select_kernels(std::string_view name) {
  if (name.empty()) return available_kernels().back();
  for (const Candidate& candidate : kCandidates) {
    if (candidate.table->name != name) continue;
    if (candidate.runs_here()) return candidate.table;
    return Error{ErrorCode::kUnsupported,
                 "this processor cannot run the \"" + std::string(name) + "\" kernels"};
  }
  return Error{ErrorCode::kInvalidArgument,
               "no kernels are called \"" + std::string(name) + "\"; there are " + names()};
}

}  // namespace potluck
