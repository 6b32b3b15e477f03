// The storage seam: every file the program touches at run time goes through here, so that tests can
// inject full disks, short writes and flipped bits. Implementations are safe to call from any
// thread; a File is used by one thread at a time unless it says otherwise.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

namespace potluck {

enum class ReadMode {
  kBuffered,
  kDirect,  // O_DIRECT where the file system allows it, else buffered; see direct_alignment()
};

// A file opened for reading. All calls may be made from several threads at once.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  virtual uint64_t size() const = 0;
  // When the content last changed, in nanoseconds since 1970; 0 where that is not known.
  virtual int64_t modified_ns() const { return 0; }
  // What offset, length and memory of a read must be multiples of: 1, or 4096 for direct files.
  virtual uint64_t direct_alignment() const = 0;
  // Fills all of `out` or fails; reading past the end is an error, except that a direct file may
  // be read up to the next multiple of the alignment (the rest of `out` is then unspecified).
  virtual Status read_at(uint64_t offset, MutableByteSpan out) const = 0;
  // The same for bytes that follow each other in the file and are scattered in memory; every part
  // obeys the alignment.
  virtual Status read_parts_at(uint64_t offset, std::span<const MutableByteSpan> parts) const;
  // Of the open file, for reads past this interface that fail like those above; -1 if there is none
  // and all reads have to come here.
  virtual int descriptor() const { return -1; }
};

// Held while the lock file is; another process (or Storage) cannot take it meanwhile.
class StorageLock {
 public:
  virtual ~StorageLock() = default;
};

class Storage {
 public:
  virtual ~Storage() = default;
  virtual Result<std::unique_ptr<ReadableFile>> open(const std::string& path, ReadMode mode) = 0;
  // Creates or replaces the file in one step: temporary name, data on disk, rename. A crash leaves
  // the old file or the new one, and at worst a stray "path.tmp.XXXXXX". `mode` is the Unix
  // permission.
  virtual Status write_atomic(const std::string& path, ByteSpan data, uint32_t mode = 0644) = 0;
  virtual Status make_directories(const std::string& path) = 0;
  virtual Status remove(const std::string& path) = 0;
  virtual bool exists(const std::string& path) = 0;
  // Names (not paths) of the entries of a directory, sorted.
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  virtual Result<uint64_t> free_bytes(const std::string& directory) = 0;
  // Fails with kRefused when somebody else holds it.
  virtual Result<std::unique_ptr<StorageLock>> lock(const std::string& path) = 0;
};

// The local file system.
std::unique_ptr<Storage> make_system_storage();

// Convenience: a whole file, at most `limit` bytes.
Result<ByteVector> read_file(Storage& storage, const std::string& path, uint64_t limit);

}  // namespace potluck
