#include "engine/kernels/kernels.h"
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "engine/kernels/scalar/scalar.h"
#include "engine/kernels/vector_kernels.h"

namespace potluck {
namespace {

// A table, the kernels that it is from unless they are the scalar ones, and whether this processor
// can run it.
struct Candidate {
  const KernelTable* table;
  const VectorKernels* vectors;
  bool (*runs_here)();
};

#if defined(__x86_64__)
bool runs_sse41() {
  return __builtin_cpu_supports("ssse3") != 0 && __builtin_cpu_supports("sse4.1") != 0;
}

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
         __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
}
#elif defined(__aarch64__)
// The files are compiled for ARMv8.2, of which two more stand for what a compiler may use.
bool runs_dotprod() {
  constexpr unsigned long kNeeded = HWCAP_ASIMDDP | HWCAP_ASIMDRDM | HWCAP_ATOMICS;
  return (getauxval(AT_HWCAP) & kNeeded) == kNeeded;
}

bool runs_i8mm() {
  return runs_dotprod() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
}
#endif

bool always() {
  return true;
}

// The best one last. Every one gives the same bits, so the choice is a matter of speed alone, and
// tests run them all.
constexpr Candidate kCandidates[] = {
    {&scalar::kTable, nullptr, always},
#if defined(__x86_64__)
    {&sse41::kKernels.table, &sse41::kKernels, runs_sse41},
    {&avx2::kKernels.table, &avx2::kKernels, runs_avx2},
    {&avx512::kKernels.table, &avx512::kKernels, runs_avx512},
#elif defined(__aarch64__)
    {&neon::kKernels.table, &neon::kKernels, always},  // part of the architecture
    {&dotprod::kKernels.table, &dotprod::kKernels, runs_dotprod},
    {&i8mm::kKernels.table, &i8mm::kKernels, runs_i8mm},
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

std::vector<const VectorKernels*> available_vector_kernels() {
  std::vector<const VectorKernels*> kernels;
  for (const Candidate& candidate : kCandidates) {
    if (candidate.vectors != nullptr && candidate.runs_here()) kernels.push_back(candidate.vectors);
  }
  return kernels;
}

const StateKernels& state_kernels(const KernelTable& table) {
  for (const Candidate& candidate : kCandidates) {
    if (candidate.vectors != nullptr && candidate.table->name == table.name) {
      return candidate.vectors->states;
    }
  }
  return scalar::kStates;
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
