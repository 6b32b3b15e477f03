// GrainIndex: the log on disk that says where the store's grains lie. Entries of 64 bytes are
// appended, each with a checksum of its own; reading the log from the start gives what is there.
//
//   0  kind: "PGP1" a grain was put, "PGR1" a grain was removed     32-bit
//   4  SHA-256 of the grain                                        32 bytes
//  36  segment, first page, pages (of 4 KiB)                        3 x 32-bit
//  48  XXH3 of the grain                                            64-bit
//  56  XXH3 of the 56 bytes above                                   64-bit
//
// An entry that is damaged is left out; damaged entries at the end (a torn write) are cut off. An
// entry may outlive what it describes (the space was used again, or a power cut took the data):
// readers of a grain compare its checksum. Little-endian. One thread.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/log_sink.h"
#include "engine/base/storage.h"
#include "engine/experts/segment_space.h"

namespace potluck {

// The component that the events of a store name.
inline constexpr const char* kStoreComponent = "store";

struct GrainRecord {
  PageRun run;
  uint32_t serial = 0;  // of two that claim the same pages, the higher one is right
  uint64_t checksum = 0;
};

using GrainRecords = std::unordered_map<Digest, GrainRecord>;

class GrainIndex {
 public:
  static constexpr uint64_t kEntryBytes = 64;

  // Reads the log, or starts an empty one. What had to be left out is said in `notices`.
  static Result<std::unique_ptr<GrainIndex>> open(Storage& storage, std::string path,
                                                  GrainRecords* records,
                                                  std::vector<LogEvent>* notices);

  // Appends an entry and numbers the record; kLimit when the disk is full.
  Status put(const Digest& digest, GrainRecord* record);
  Status remove(const Digest& digest);
  Status sync() { return file_->sync(); }

  // Whether entries may be missing: at open the log was not there, was empty or had damaged ones.
  bool may_lack_entries() const { return may_lack_entries_; }

  // Writes the log anew, without what is dead, if that is more than half of it.
  Status compact(const GrainRecords& records);

 private:
  GrainIndex(Storage& storage, std::string path) : storage_(storage), path_(std::move(path)) {}
  Status read(GrainRecords* records, std::vector<LogEvent>* notices);
  Status read_entries(const ReadableFile& file, GrainRecords* records);
  void replay(ByteSpan entry, GrainRecords* records);
  Status append(ByteSpan entry);

  Storage& storage_;
  std::string path_;
  std::unique_ptr<WritableFile> file_;
  uint64_t entries_ = 0;  // in the file, damaged ones between good ones included
  uint64_t damaged_ = 0;
  bool may_lack_entries_ = false;
};

}  // namespace potluck
