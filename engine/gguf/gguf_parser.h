// GgufParser: the header of one GGUF file (preamble, metadata, tensor list), read once and checked
// against the file's size. It never reads tensor data. Made for one file by GgufModel::open; one
// thread.
//
//   magic "GGUF" | version | tensor count | pair count | pairs | tensor entries | padding | data
//   pair:          key | value type | value
//   tensor entry:  name | rank | dimensions | type | offset
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/storage.h"
#include "engine/gguf/file_reader.h"
#include "engine/gguf/gguf.h"

namespace potluck {

struct GgufHeader {
  uint32_t version = 0;
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;  // in the order of the file, each inside the file
};

class GgufParser {
 public:
  explicit GgufParser(const ReadableFile& file);  // must outlive the parser

  Result<GgufHeader> parse();  // call once

 private:
  Status parse_preamble();
  Status parse_metadata();
  Status parse_alignment();
  Status parse_tensors();
  Result<GgufTensor> parse_tensor();
  Status parse_dimensions(GgufTensor& tensor);
  Status place_tensors();

  const ReadableFile& file_;
  FileReader reader_;
  uint64_t tensor_count_ = 0;
  uint64_t pair_count_ = 0;
  uint64_t alignment_ = 32;  // of tensor data, unless the metadata say otherwise
  GgufHeader header_;
};

}  // namespace potluck
