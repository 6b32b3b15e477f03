// Reads the merges of a byte-pair vocabulary (tokenizer.ggml.merges). Pure function; any thread.
#pragma once

#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/gguf/gguf.h"
#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/vocabulary.h"

namespace potluck {

// The parts of merges are spelled as the vocabulary's texts are, which `model` says. What is odd
// about them is added to `notes`.
Result<MergeTable> read_merges(const GgufMetadata& metadata, TokenizerModel model,
                               const Vocabulary& vocabulary, std::vector<std::string>* notes);

}  // namespace potluck
