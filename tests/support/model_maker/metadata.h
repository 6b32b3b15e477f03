// The metadata of a made model: everything that Potluck and llama.cpp ask of a file of its
// architecture, a vocabulary included. Internal to tests/support/model_maker; pure function.
#pragma once

#include "tests/support/gguf_builder.h"
#include "tests/support/model_maker/shape.h"

namespace potluck::test {

void add_metadata(const ModelShape& shape, uint32_t file_type, GgufBuilder* file);

}  // namespace potluck::test
