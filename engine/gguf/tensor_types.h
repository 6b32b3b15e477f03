// Names of GGUF's tensor types for messages, also of those that no block format handles. Pure
// functions; any thread.
#pragma once

#include <cstdint>
#include <string>

namespace potluck {

// "Q2_K", or "an unknown type (99)" for a number that ggml does not use.
std::string tensor_type_name(uint32_t gguf_type);

// The names of all block formats that can be read: "F32, F16, Q4_0".
std::string supported_tensor_types();

}  // namespace potluck
