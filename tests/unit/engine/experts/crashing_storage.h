// Storages that go wrong in the middle, wrapped around a MemoryStorage: one whose process dies at
// the n-th change, and one whose disk fills up between asking for space and writing. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/forwarding_storage.h"
#include "engine/base/memory_storage.h"

namespace potluck::test {

// Passes everything on, and asks before each change of what lies on the disk.
class WatchedStorage : public ForwardingStorage {
 public:
  explicit WatchedStorage(MemoryStorage& disk) : ForwardingStorage(disk), disk_(disk) {}

  Status write_atomic(const std::string& path, ByteSpan data, uint32_t mode) override {
    if (Status may = before_change(); !may) return may;
    return disk_.write_atomic(path, data, mode);
  }
  Result<std::unique_ptr<WritableFile>> open_writable(const std::string& path,
                                                      WriteMode mode) override;
  Status remove(const std::string& path) override {
    if (Status may = before_change(); !may) return may;
    return disk_.remove(path);
  }

 protected:
  friend class WatchedFile;
  virtual Status before_change() = 0;
  // How much of a write that is not allowed is done all the same.
  virtual uint64_t torn_part(uint64_t) const { return 0; }

  MemoryStorage& disk_;
};

class WatchedFile final : public WritableFile {
 public:
  WatchedFile(WatchedStorage& storage, std::unique_ptr<WritableFile> file)
      : storage_(storage), file_(std::move(file)) {}

  uint64_t size() const override { return file_->size(); }
  Status write_at(uint64_t offset, ByteSpan data) override {
    Status may = storage_.before_change();
    if (may) return file_->write_at(offset, data);
    if (uint64_t part = storage_.torn_part(data.size()); part > 0) {
      (void)file_->write_at(offset, data.first(part));
    }
    return may;
  }
  Status sync() override {
    if (Status may = storage_.before_change(); !may) return may;
    return file_->sync();
  }
  Status allocate(uint64_t offset, uint64_t bytes) override {
    if (Status may = storage_.before_change(); !may) return may;
    return file_->allocate(offset, bytes);
  }
  Status punch(uint64_t offset, uint64_t bytes) override {
    if (Status may = storage_.before_change(); !may) return may;
    return file_->punch(offset, bytes);
  }
  Status resize(uint64_t bytes) override {
    if (Status may = storage_.before_change(); !may) return may;
    return file_->resize(bytes);
  }

 private:
  WatchedStorage& storage_;
  std::unique_ptr<WritableFile> file_;
};

inline Result<std::unique_ptr<WritableFile>> WatchedStorage::open_writable(const std::string& path,
                                                                           WriteMode mode) {
  auto file = disk_.open_writable(path, mode);
  if (!file) return file.error();
  return std::unique_ptr<WritableFile>(std::make_unique<WatchedFile>(*this, std::move(*file)));
}

// The process dies at the n-th change, which is done by half if it is a write.
class CrashingStorage final : public WatchedStorage {
 public:
  CrashingStorage(MemoryStorage& disk, uint64_t changes) : WatchedStorage(disk), left_(changes) {}

  bool crashed() const { return crashed_; }

 private:
  Status before_change() override {
    if (left_ > 0) {
      --left_;
      return {};
    }
    tear_ = !std::exchange(crashed_, true);
    return Error{ErrorCode::kIo, "the process has died"};
  }
  uint64_t torn_part(uint64_t bytes) const override {
    if (!tear_) return 0;
    uint64_t half = bytes / 2;
    return half >= 4096 ? half - half % 4096 : bytes < 4096 ? half : 0;
  }

  uint64_t left_;
  bool crashed_ = false;
  bool tear_ = false;
};

// Says that there is space; when the next change comes, the disk holds no more than `capacity`.
class ShrinkingDisk final : public WatchedStorage {
 public:
  ShrinkingDisk(MemoryStorage& disk, uint64_t capacity)
      : WatchedStorage(disk), capacity_(capacity) {}

  Result<uint64_t> free_bytes(const std::string&) override { return UINT64_MAX; }

 private:
  Status before_change() override {
    if (std::exchange(armed_, false)) disk_.set_capacity(capacity_);
    return {};
  }

  uint64_t capacity_;
  bool armed_ = true;
};

}  // namespace potluck::test
