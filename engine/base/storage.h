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

enum class WriteMode {
  kBuffered,
  kDirect,  // past the page cache where the file system allows it; see write_at
};

// What tells apart the states of a file; all of its bytes may be the same in spite of it.
struct FileVersion {
  uint64_t bytes = 0;
  int64_t modified_ns = 0;

  bool operator==(const FileVersion&) const = default;
};

// A file opened for reading. All calls may be made from several threads at once, also while another
// thread writes to the file: what a read gets of bytes that are being written is unspecified.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  virtual uint64_t size() const = 0;  // when it was opened, or when a read last found more
  // When the content last changed, in nanoseconds since 1970; 0 where that is not known.
  virtual int64_t modified_ns() const { return 0; }
  // What size() and modified_ns() would say had the file been opened now. Writes through a mapping
  // show late.
  virtual FileVersion version_now() const { return {size(), modified_ns()}; }
  // What offset, length and memory of a read must be multiples of: 1, or 4096 for direct files.
  virtual uint64_t direct_alignment() const = 0;
  // Fills all of `out` or fails; reading past the end is an error, except that a direct file may
  // be read up to the next multiple of the alignment (the rest of `out` is then unspecified). What
  // the file has grown by since it was opened may be read too.
  virtual Status read_at(uint64_t offset, MutableByteSpan out) const = 0;
  // The same for bytes that follow each other in the file and are scattered in memory; every part
  // obeys the alignment.
  virtual Status read_parts_at(uint64_t offset, std::span<const MutableByteSpan> parts) const;
  // What was read there will not be read again soon: the page cache need not keep it. Nothing to do
  // where it keeps nothing.
  virtual void drop_cached(uint64_t /*offset*/, uint64_t /*bytes*/) const {}
  // Of the open file, for reads past this interface that fail like those above; -1 if there is none
  // and all reads have to come here.
  virtual int descriptor() const { return -1; }
};

// A file opened for writing in place. Nothing is sure to survive a power cut before sync() has
// succeeded; a file system without space says kLimit. One thread at a time; closing does not sync.
class WritableFile {
 public:
  // Offsets and lengths written to a direct file are multiples of this.
  static constexpr uint64_t kDirectAlignment = 4096;

  virtual ~WritableFile() = default;
  virtual uint64_t size() const = 0;
  // Writes all of `data` or fails; a part of it may then have been written. The file grows as
  // needed; a gap reads as zeros. The memory may have any alignment (4096 saves a copy).
  virtual Status write_at(uint64_t offset, ByteSpan data) = 0;
  // What was written, and the size, lie on the disk.
  virtual Status sync() = 0;
  // Reserves space on the disk, so that writing there cannot fail for lack of it; the file grows to
  // hold the range. Where the file system cannot do that, nothing happens.
  virtual Status allocate(uint64_t offset, uint64_t bytes) = 0;
  // Gives the space of a range back; it reads as zeros, the size stays. kUnsupported where the file
  // system cannot do that.
  virtual Status punch(uint64_t offset, uint64_t bytes) = 0;
  // Cuts the file, or lengthens it with zeros.
  virtual Status resize(uint64_t bytes) = 0;
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
  // Opens the file or creates an empty one, whose name then survives a power cut.
  virtual Result<std::unique_ptr<WritableFile>> open_writable(const std::string& path,
                                                              WriteMode mode) = 0;
  virtual Status make_directories(const std::string& path) = 0;
  virtual Status remove(const std::string& path) = 0;
  virtual bool exists(const std::string& path) = 0;
  // Names (not paths) of the entries of a directory, sorted.
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  virtual Result<uint64_t> free_bytes(const std::string& directory) = 0;
  // Fails with kRefused when another process holds it; the error says which, and what to do.
  virtual Result<std::unique_ptr<StorageLock>> lock(const std::string& path) = 0;
};

// The local file system.
std::unique_ptr<Storage> make_system_storage();

// Convenience: a whole file, at most `limit` bytes.
Result<ByteVector> read_file(Storage& storage, const std::string& path, uint64_t limit);

}  // namespace potluck
