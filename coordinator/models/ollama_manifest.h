// What Ollama says that one of its models consists of. Any thread.
#pragma once

#include <string>

#include "engine/base/storage.h"

namespace potluck {

struct OllamaBlob {
  std::string file;  // in the folder "blobs": "sha256-" and 64 digits
  uint64_t bytes = 0;
};

// The GGUF file of the manifest. kUnsupported: there is none; kCorrupt: it is no manifest.
Result<OllamaBlob> read_ollama_manifest(Storage& storage, const std::string& path);

}  // namespace potluck
