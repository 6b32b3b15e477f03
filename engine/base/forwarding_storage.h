// ForwardingStorage: a Storage that hands everything on to another one; for those that change a
// part of it. As safe to call from any thread as the other one.
#pragma once

#include "engine/base/storage.h"

namespace potluck {

class ForwardingStorage : public Storage {
 public:
  // `next` must outlive the object.
  explicit ForwardingStorage(Storage& next) : next_(next) {}

  Result<std::unique_ptr<ReadableFile>> open(const std::string& path, ReadMode mode) override {
    return next_.open(path, mode);
  }
  Status write_atomic(const std::string& path, ByteSpan data, uint32_t mode) override {
    return next_.write_atomic(path, data, mode);
  }
  Result<std::unique_ptr<WritableFile>> open_writable(const std::string& path,
                                                      WriteMode mode) override {
    return next_.open_writable(path, mode);
  }
  Status make_directories(const std::string& path) override { return next_.make_directories(path); }
  Status remove(const std::string& path) override { return next_.remove(path); }
  bool exists(const std::string& path) override { return next_.exists(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    return next_.list(directory);
  }
  Result<uint64_t> free_bytes(const std::string& directory) override {
    return next_.free_bytes(directory);
  }
  Result<std::unique_ptr<StorageLock>> lock(const std::string& path) override {
    return next_.lock(path);
  }

 protected:
  Storage& next() { return next_; }

 private:
  Storage& next_;
};

}  // namespace potluck
