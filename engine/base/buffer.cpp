// Small buffers come from the heap. From the size of a huge page on, each is a mapping of its own,
// aligned so that the kernel can back it with huge pages.
#include "engine/base/buffer.h"

#include <cstdlib>
#include <cstring>

#include <sys/mman.h>

#include "engine/base/memory_pages.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

constexpr size_t kHugePage = Buffer::kHugePage;
// A cache line, and a vector of AVX-512.
constexpr size_t kAlignment = 64;

// Maps `size` bytes aligned to a huge page: maps one page more, then gives back both ends. Null
// where the system refuses.
std::byte* map_huge(size_t size) {
  size_t padded = size + kHugePage;
  void* raw = mmap(nullptr, padded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  auto start = reinterpret_cast<uintptr_t>(raw);
  uintptr_t aligned = round_up<uintptr_t>(start, kHugePage);
  if (aligned > start) munmap(raw, aligned - start);
  size_t tail = start + padded - (aligned + size);
  if (tail > 0) munmap(reinterpret_cast<void*>(aligned + size), tail);
  auto* memory = reinterpret_cast<std::byte*>(aligned);
  (void)madvise(memory, size, MADV_HUGEPAGE);  // a hint: works without
  return memory;
}

}  // namespace

Buffer::Buffer(size_t size, std::string_view purpose) : size_(size) {
  if (size == 0) return;
  // The rounding below must not wrap: a size near 2^64 would become a tiny mapping.
  if (size > SIZE_MAX - 2 * kHugePage) throw_out_of_memory(size, purpose);
  if (size >= kHugePage) {
    size_t mapped = round_up<size_t>(size, page_bytes());
    // No memset: a fresh mapping reads as zeros and takes memory only where it is touched.
    std::byte* memory = map_huge(mapped);
    if (memory == nullptr) throw_out_of_memory(size, purpose);
    data_ = {memory, Free{mapped}};
    return;
  }
  auto* memory =
      static_cast<std::byte*>(std::aligned_alloc(kAlignment, round_up(size, kAlignment)));
  if (memory == nullptr) throw_out_of_memory(size, purpose);
  std::memset(memory, 0, size);
  data_ = {memory, Free{}};
}

void Buffer::Free::operator()(std::byte* memory) const {
  if (mapped > 0) {
    munmap(memory, mapped);
  } else {
    std::free(memory);
  }
}

}  // namespace potluck
