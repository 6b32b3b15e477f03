// FaultyStorage: a Storage that passes everything on to another one, except for the faults it is
// told to add: reads that fail, bits that flip on the way, files that end early, full disks. Faults
// hit files whose path contains a given part ("" hits all). Any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/forwarding_storage.h"
#include "engine/base/thread_annotations.h"

namespace potluck::test {

class FaultyStorage final : public ForwardingStorage {
 public:
  // `under` must outlive the storage; the storage may end before its files.
  explicit FaultyStorage(Storage& under)
      : ForwardingStorage(under), faults_(std::make_shared<Faults>()) {}

  // After `passing` more reads of such files, the next `count` fail.
  void fail_reads(const std::string& part, uint64_t count, uint64_t passing = 0,
                  ErrorCode code = ErrorCode::kIo) {
    MutexLock guard(faults_->mutex);
    faults_->failing_reads = {part, count, passing, code};
  }
  // Writes likewise, as on a full disk.
  void fail_writes(const std::string& part, uint64_t count, uint64_t passing = 0) {
    MutexLock guard(faults_->mutex);
    faults_->failing_writes = {part, count, passing, ErrorCode::kLimit};
  }
  // Every write takes time: `wait` is called before it. Not while other threads write.
  void slow_writes(std::function<void()> wait) { faults_->wait = std::move(wait); }
  // Flips the lowest bit of the byte at `offset` in everything that is read from now on.
  void flip_bit(const std::string& part, uint64_t offset) {
    MutexLock guard(faults_->mutex);
    faults_->flips.push_back({part, offset});
  }
  // Reads that reach beyond `size` fail, as of a file that was cut after it was opened.
  void cut(const std::string& part, uint64_t size) {
    MutexLock guard(faults_->mutex);
    faults_->cuts.push_back({part, size});
  }
  // No faults from now on.
  void heal() {
    MutexLock guard(faults_->mutex);
    faults_->failing_reads = {};
    faults_->failing_writes = {};
    faults_->flips.clear();
    faults_->cuts.clear();
  }
  // Reads so far, those that failed included.
  uint64_t reads() const {
    MutexLock guard(faults_->mutex);
    return faults_->reads;
  }

  Result<std::unique_ptr<ReadableFile>> open(const std::string& path, ReadMode mode) override {
    auto file = next().open(path, mode);
    if (!file) return file.error();
    return std::unique_ptr<ReadableFile>(std::make_unique<File>(faults_, path, std::move(*file)));
  }
  Result<std::unique_ptr<WritableFile>> open_writable(const std::string& path,
                                                      WriteMode mode) override {
    auto file = next().open_writable(path, mode);
    if (!file) return file.error();
    return std::unique_ptr<WritableFile>(
        std::make_unique<WritingFile>(faults_, path, std::move(*file)));
  }
  Status write_atomic(const std::string& path, ByteSpan data, uint32_t mode = 0644) override {
    if (Status admitted = faults_->admit_write(path); !admitted) return admitted;
    return next().write_atomic(path, data, mode);
  }

 private:
  struct Countdown {
    std::string part;
    uint64_t count = 0;
    uint64_t passing = 0;
    ErrorCode code = ErrorCode::kIo;

    bool hits(const std::string& path) {
      if (count == 0 || path.find(part) == std::string::npos) return false;
      if (passing > 0) {
        --passing;
        return false;
      }
      --count;
      return true;
    }
  };
  struct Place {
    std::string part;
    uint64_t offset = 0;
  };
  struct Faults {
    mutable Mutex mutex;
    Countdown failing_reads GUARDED_BY(mutex);
    Countdown failing_writes GUARDED_BY(mutex);
    std::vector<Place> flips GUARDED_BY(mutex);
    std::vector<Place> cuts GUARDED_BY(mutex);
    uint64_t reads GUARDED_BY(mutex) = 0;
    std::function<void()> wait;  // may be empty

    Status admit_write(const std::string& path) {
      if (wait) wait();
      MutexLock guard(mutex);
      if (!failing_writes.hits(path)) return {};
      return Error{failing_writes.code, path + ": cannot write: no space left on device"};
    }
  };

  class File final : public ReadableFile {
   public:
    File(std::shared_ptr<Faults> faults, std::string path, std::unique_ptr<ReadableFile> under)
        : faults_(std::move(faults)), path_(std::move(path)), under_(std::move(under)) {}

    uint64_t size() const override { return under_->size(); }
    int64_t modified_ns() const override { return under_->modified_ns(); }
    FileVersion version_now() const override { return under_->version_now(); }
    uint64_t direct_alignment() const override { return under_->direct_alignment(); }
    Status read_at(uint64_t offset, MutableByteSpan out) const override {
      return read_parts_at(offset, {&out, 1});
    }
    Status read_parts_at(uint64_t offset, std::span<const MutableByteSpan> parts) const override {
      uint64_t end = offset;
      for (MutableByteSpan part : parts) end += part.size();
      if (Status admitted = admit(std::min(end, size())); !admitted) return admitted;
      if (Status read = under_->read_parts_at(offset, parts); !read) return read;
      for (MutableByteSpan part : parts) {
        flip(offset, part);
        offset += part.size();
      }
      return {};
    }

   private:
    Status admit(uint64_t end) const {
      MutexLock guard(faults_->mutex);
      ++faults_->reads;
      if (faults_->failing_reads.hits(path_)) {
        return Error{faults_->failing_reads.code, path_ + ": cannot read: injected fault"};
      }
      for (const Place& cut : faults_->cuts) {
        if (path_.find(cut.part) == std::string::npos || end <= cut.offset) continue;
        return Error{ErrorCode::kIo, path_ + ": the file ends at " + std::to_string(cut.offset)};
      }
      return {};
    }
    void flip(uint64_t offset, MutableByteSpan out) const {
      MutexLock guard(faults_->mutex);
      for (const Place& flip : faults_->flips) {
        if (path_.find(flip.part) == std::string::npos) continue;
        if (flip.offset < offset || flip.offset - offset >= out.size()) continue;
        out[flip.offset - offset] ^= std::byte{1};
      }
    }

    std::shared_ptr<Faults> faults_;
    std::string path_;
    std::unique_ptr<ReadableFile> under_;
  };

  class WritingFile final : public WritableFile {
   public:
    WritingFile(std::shared_ptr<Faults> faults, std::string path,
                std::unique_ptr<WritableFile> under)
        : faults_(std::move(faults)), path_(std::move(path)), under_(std::move(under)) {}

    uint64_t size() const override { return under_->size(); }
    Status write_at(uint64_t offset, ByteSpan data) override {
      if (Status admitted = faults_->admit_write(path_); !admitted) return admitted;
      return under_->write_at(offset, data);
    }
    Status sync() override { return under_->sync(); }
    Status allocate(uint64_t offset, uint64_t bytes) override {
      return under_->allocate(offset, bytes);
    }
    Status punch(uint64_t offset, uint64_t bytes) override { return under_->punch(offset, bytes); }
    Status resize(uint64_t bytes) override { return under_->resize(bytes); }

   private:
    std::shared_ptr<Faults> faults_;
    std::string path_;
    std::unique_ptr<WritableFile> under_;
  };

  std::shared_ptr<Faults> faults_;
};

}  // namespace potluck::test
