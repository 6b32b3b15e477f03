#include "engine/base/code_pages.h"

#include <cstdint>

#include <sys/mman.h>

#include "engine/base/memory_pages.h"

extern "C" {
// The linker's: where the program begins in memory, and where its code ends.
extern const char __executable_start[];
extern const char etext[];
}

namespace potluck {

void give_back_code_pages(const SystemFiles& system) {
  const auto status = system.read("/proc/self/status");
  if (!status || status->find("TracerPid:\t0\n") == std::string::npos) return;
  const auto page = static_cast<uintptr_t>(page_bytes());
  const uintptr_t begin = reinterpret_cast<uintptr_t>(__executable_start);
  const uintptr_t end = reinterpret_cast<uintptr_t>(etext) / page * page;
  // Headers, tables for the loader and code: none of them is ever written to.
  if (begin % page != 0 || begin >= end) return;
  (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace potluck
