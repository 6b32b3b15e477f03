// The resident part of a model file: everything that the coordinator needs at all times (header,
// attention, router, shared experts, embeddings), without its routed experts. On disk it is a file
// of its own format, with a table of the ranges that it has and then their bytes; a reader sees a
// file of the size of the whole one, and a range that is not there is an error, never zeros. It is
// not a GGUF file: a program that knows nothing of this must not take the missing experts for a
// model.
//
//   8 bytes "PLRESID1" | u64 bytes of the whole file | u64 ranges | per range u64 offset, u64 bytes
//   | SHA-256 of all that | zeros up to a multiple of 4096 | the ranges, one after the other
//
// Readers are immutable; any thread. Copying: one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/experts/expert_bank.h"
#include "engine/experts/grain_cutter.h"
#include "engine/gguf/gguf.h"

namespace potluck {

struct FileRange {
  uint64_t offset = 0;
  uint64_t bytes = 0;

  bool operator==(const FileRange&) const = default;
};

// What is to be kept of one file.
struct ResidentPlan {
  uint64_t whole_bytes = 0;
  std::vector<FileRange> ranges;  // ascending, not adjoining

  uint64_t bytes() const;
  bool operator==(const ResidentPlan&) const = default;
};

// Where the bytes of a tensor stand in the files of its model.
struct TensorPlace {
  uint32_t file = 0;
  FileRange range;
};
// Of bytes [begin, begin + bytes) of the tensor; they must lie inside it.
std::vector<TensorPlace> places_in(const GgufTensor& tensor, uint64_t begin, uint64_t bytes);

// One plan for each file of the model, whose sizes are `file_bytes`: all but the experts of the
// banks.
std::vector<ResidentPlan> plan_resident(const GgufModel& model, std::span<const ExpertBank> banks,
                                        std::span<const uint64_t> file_bytes);

// Copies what the plan names to `path`. An interrupted copy of the same plan goes on where it
// stopped. kCancelled when `progress` returns false.
using CopyProgress = std::function<bool(uint64_t done, uint64_t total)>;
Status copy_resident(const ReadableFile& source, const ResidentPlan& plan, Storage& storage,
                     const std::string& path, const CopyProgress& progress);

// kCorrupt when the file is not one of these, or is not complete.
Result<std::unique_ptr<ReadableFile>> open_resident(Storage& storage, const std::string& path);

}  // namespace potluck
