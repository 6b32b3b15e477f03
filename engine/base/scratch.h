// Scratch memory: vectors that are used again and again. Plain functions; any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace potluck {

// It grows and is kept: a resize() to less would clear what is used again later.
template <class T>
void grow(std::vector<T>& values, uint64_t count) {
  if (values.size() < count) values.resize(count);
}

}  // namespace potluck
