// GrainStore: a directory of grains, named by their SHA-256, that survives restarts and may hold
// grains of several models. What lies on disk is not trusted: read() compares the digest before the
// bytes are used, and removes what does not match. One thread; one process at a time (a lock file).
//
//   DIR/lock             held while the store is open
//   DIR/grains/ab/abcd.. one file per grain, its whole digest as the name, written atomically
//   DIR/manifests/HEX    signed manifests of the pools this worker belongs to
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "engine/base/hash.h"
#include "engine/base/storage.h"
#include "engine/experts/manifest.h"

namespace potluck {

struct GrainPlace {
  const ReadableFile* file = nullptr;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t checksum = 0;
};

class GrainStore {
 public:
  // Opens or creates the store; lists what is there. Leftovers of interrupted writes and files that
  // no grain can be, by their size, are removed. `quota_bytes` bounds all grains together; a store
  // that holds more keeps it and takes nothing new. kRefused when somebody else holds the store.
  static Result<std::unique_ptr<GrainStore>> open(Storage& storage, std::string directory,
                                                  uint64_t quota_bytes);

  bool contains(const Digest& digest) const { return sizes_.contains(digest); }
  uint64_t used_bytes() const { return used_bytes_; }
  uint64_t quota_bytes() const { return quota_bytes_; }
  size_t count() const { return sizes_.size(); }

  // Checks the length (a positive multiple of 4096 within limits::kGrainBytes), the digest
  // (kCorrupt if it differs), the quota and the free space (kLimit), then writes. A grain that is
  // there already is left as it is.
  Status put(const Digest& digest, ByteSpan grain);

  // Reads the grain into `out` (its exact length, 4096-aligned memory if direct reads are wanted)
  // and verifies it. A grain that is missing, short or altered is forgotten and removed: kNotFound
  // or kCorrupt. One that cannot be read (kIo) stays.
  Status read(const Digest& digest, MutableByteSpan out);

  Result<struct GrainPlace> find(const Digest& digest);
  Status verify(const Digest& digest, ByteSpan bytes);
  Status put_trusted(const Digest& digest, ByteSpan grain) { return put(digest, grain); }
  Status flush() { return {}; }

  // Removes a grain; nothing happens if it is not there.
  void remove(const Digest& digest);

 private:
  GrainStore(Storage& storage, std::string directory, uint64_t quota_bytes);
  Status list_grains();
  Status list_shelf(const std::string& shelf);
  void admit(const std::string& path, const Digest& digest);
  Status check_room(uint64_t bytes) const;
  std::string shelf_of(const Digest& digest) const;
  std::string path_of(const Digest& digest) const;

  Storage& storage_;
  std::string directory_;
  uint64_t quota_bytes_;
  uint64_t used_bytes_ = 0;
  std::unique_ptr<StorageLock> lock_;
  std::unordered_map<Digest, uint64_t> sizes_;
  std::unordered_map<Digest, std::unique_ptr<ReadableFile>> files_;
};

}  // namespace potluck
