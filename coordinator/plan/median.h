// The median of some values: of an even number the upper one of the two in the middle. Any thread.
#pragma once

#include <algorithm>
#include <vector>

namespace potluck {

// At least one value.
template <class T>
T median(std::vector<T> values) {
  auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace potluck
