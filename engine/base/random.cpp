#include "engine/base/random.h"

#include <openssl/rand.h>

#include "engine/base/check.h"

namespace potluck {

// No fallback to anything weaker: a key made without entropy would be guessed.
void SystemEntropy::fill(MutableByteSpan out) {
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size())) ==
        1);
}

}  // namespace potluck
