// Keys of peers that a test tells apart by a number. They are in the order of their numbers. Any
// thread.
#pragma once

#include <cstdint>

#include "protocol/keys.h"

namespace potluck::test {

inline PeerKey numbered_key(uint8_t number) {
  PeerKey key;
  key.bytes.fill(number);
  return key;
}

}  // namespace potluck::test
