// Reads the values of GGUF's metadata (key-value pairs). Used by GgufParser; one thread.
#pragma once

#include <cstdint>

#include "engine/base/result.h"
#include "engine/gguf/file_reader.h"
#include "engine/gguf/gguf.h"

namespace potluck {

// The type of a value as GGUF numbers it, and the value that follows it.
Result<MetadataValue> read_metadata_value(FileReader& reader);

}  // namespace potluck
