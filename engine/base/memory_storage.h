// Files in memory, with faults on demand: the storage of the simulator and of fault tests.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>

#include "engine/base/storage.h"

namespace potluck {

class MemoryStorage final : public Storage {
 public:
  Result<std::unique_ptr<ReadableFile>> open(const std::string& path, ReadMode mode) override;
  Status write_atomic(const std::string& path, ByteSpan data, uint32_t mode) override;
  Status make_directories(const std::string& path) override;
  Status remove(const std::string& path) override;
  bool exists(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<uint64_t> free_bytes(const std::string& directory) override;
  Result<std::unique_ptr<StorageLock>> lock(const std::string& path) override;

  // Faults. A capacity in bytes over all files; writes beyond it fail as a full disk does.
  void set_capacity(uint64_t bytes);
  // The next `count` reads fail with kIo.
  void fail_reads(uint64_t count);
  // Flips one bit of a stored file; the file must exist.
  void flip_bit(const std::string& path, uint64_t byte_offset);
  // Cuts a stored file to `size` bytes; the file must exist.
  void truncate(const std::string& path, uint64_t size);

 private:
  friend class MemoryFile;
  friend class MemoryLock;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<ByteVector>> files_;
  std::set<std::string> locks_;
  uint64_t capacity_ = UINT64_MAX;
  uint64_t reads_to_fail_ = 0;
};

}  // namespace potluck
