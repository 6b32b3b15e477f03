// Files in memory, with faults on demand: the storage of the simulator and of fault tests. It keeps
// to the rules of a real file system: a file needs its directory, an open file keeps its content
// when it is replaced, a replacement needs room beside the old content, holes in a file take none,
// and what was written in place is lost in a power cut if it was not synced. Any thread; files and
// locks may outlive the storage.
#pragma once

#include <memory>
#include <string>

#include "engine/base/storage.h"

namespace potluck {

class MemoryStorage final : public Storage {
 public:
  MemoryStorage();
  ~MemoryStorage() override;

  Result<std::unique_ptr<ReadableFile>> open(const std::string& path, ReadMode mode) override;
  Status write_atomic(const std::string& path, ByteSpan data, uint32_t mode = 0644) override;
  Result<std::unique_ptr<WritableFile>> open_writable(const std::string& path,
                                                      WriteMode mode) override;
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
  // The next `count` times that a file is opened fail as they do for a process with too many open.
  void fail_opens(uint64_t count);
  // The device is gone, as a memory card that was pulled out: everything fails with kIo, also on
  // files that are open, until it is back with all that it had.
  void detach(bool gone);
  // Flips one bit of a stored file; the file must exist and reach beyond the offset.
  void flip_bit(const std::string& path, uint64_t byte_offset);
  // Cuts a stored file to `size` bytes; the file must exist and be at least that long.
  void truncate(const std::string& path, uint64_t size);
  // What files opened with kDirect from now on ask for; 1 at first, a power of two.
  void set_direct_alignment(uint64_t bytes);
  // Holes cannot be punched from now on, as on some file systems.
  void refuse_punching();

  // The process that used the storage ends, with all its files and locks: what it still does with
  // them is refused and changes nothing. In a power cut, of what was written in place and not
  // synced, each block of 4 KiB holds its old or its new content, as `seed` has it.
  void end_process();
  void cut_power(uint64_t seed);

 private:
  friend class MemoryFile;
  friend class MemoryWritableFile;
  friend class MemoryLock;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace potluck
