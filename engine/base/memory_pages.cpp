#include "engine/base/memory_pages.h"

#include <sys/mman.h>
#include <unistd.h>

namespace potluck {

uint64_t page_bytes() {
  return static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

MutableByteSpan whole_pages(MutableByteSpan memory, uint64_t page) {
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  const uint64_t skipped = round_up<uintptr_t>(address, page) - address;
  if (memory.size() < skipped + page) return {};
  return memory.subspan(skipped, (memory.size() - skipped) / page * page);
}

void give_back_pages(MutableByteSpan memory) {
  const MutableByteSpan pages = whole_pages(memory);
  if (!pages.empty()) (void)madvise(pages.data(), pages.size(), MADV_DONTNEED);
}

}  // namespace potluck
