// The fixture quants.gguf: random blocks of every format, and the values they decode to. Reads
// just enough of the file for that (its own few lines, so that these tests do not lean on the GGUF
// reader). Test code, one thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/base/bytes.h"

namespace potluck {

struct FixtureTensor {
  uint32_t type = 0;
  uint64_t columns = 0;
  uint64_t rows = 0;
  ByteVector bytes;
};

// Tensors by name ("Q4_K.blocks", "Q4_K.f32"). The bytes may end with the file's padding.
std::map<std::string, FixtureTensor> load_quant_fixture();

}  // namespace potluck
