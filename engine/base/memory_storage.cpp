#include "engine/base/memory_storage.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "engine/base/check.h"

namespace potluck {

struct MemoryStorage::State {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<ByteVector>> files;
  std::set<std::string> directories;
  std::set<std::string> locks;
  uint64_t capacity = UINT64_MAX;
  uint64_t reads_to_fail = 0;
  uint64_t direct_alignment = 1;

  bool is_directory(const std::string& path) const;
  uint64_t used() const;
  Status check_parent(const std::string& path) const;
  ByteVector& existing(const std::string& path);
};

namespace {

// One spelling per path: without "." and "..", doubled or trailing slashes.
std::string normalize(const std::string& path) {
  std::string normal = std::filesystem::path(path).lexically_normal().string();
  if (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

std::string parent_of(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

Error not_found(const std::string& path) {
  return {ErrorCode::kNotFound, path + ": no such file or directory"};
}

}  // namespace

bool MemoryStorage::State::is_directory(const std::string& path) const {
  return path.empty() || path == "." || path == "/" || directories.count(path) > 0;
}

uint64_t MemoryStorage::State::used() const {
  uint64_t bytes = 0;
  for (const auto& [path, content] : files) bytes += content->size();
  return bytes;
}

Status MemoryStorage::State::check_parent(const std::string& path) const {
  if (is_directory(path)) return Error{ErrorCode::kIo, path + ": is a directory"};
  if (!is_directory(parent_of(path))) return not_found(parent_of(path));
  return {};
}

ByteVector& MemoryStorage::State::existing(const std::string& path) {
  auto file = files.find(normalize(path));
  CHECK(file != files.end());
  return *file->second;
}

class MemoryFile final : public ReadableFile {
 public:
  MemoryFile(std::shared_ptr<MemoryStorage::State> state, std::string path,
             std::shared_ptr<const ByteVector> content, uint64_t alignment)
      : state_(std::move(state)),
        path_(std::move(path)),
        content_(std::move(content)),
        size_(content_->size()),
        alignment_(alignment) {}

  uint64_t size() const override { return size_; }
  uint64_t direct_alignment() const override { return alignment_; }
  Status read_at(uint64_t offset, MutableByteSpan out) const override;

 private:
  std::shared_ptr<MemoryStorage::State> state_;
  std::string path_;
  std::shared_ptr<const ByteVector> content_;
  uint64_t size_;  // when it was opened
  uint64_t alignment_;
};

Status MemoryFile::read_at(uint64_t offset, MutableByteSpan out) const {
  CHECK(offset % alignment_ == 0 && out.size() % alignment_ == 0);
  CHECK(reinterpret_cast<uintptr_t>(out.data()) % alignment_ == 0);
  std::lock_guard guard(state_->mutex);
  if (state_->reads_to_fail > 0) {
    --state_->reads_to_fail;
    return Error{ErrorCode::kIo, path_ + ": cannot read: injected fault"};
  }
  uint64_t readable = round_up(size_, alignment_);
  if (offset > readable || out.size() > readable - offset) {
    return Error{ErrorCode::kIo, fmt::format("{}: cannot read {} bytes at {}, the file has {}",
                                             path_, out.size(), offset, size_)};
  }
  uint64_t end = std::min<uint64_t>(offset + out.size(), size_);
  if (end > content_->size()) {
    return Error{ErrorCode::kIo, fmt::format("{}: the file ends at {}, it had {} bytes when it "
                                             "was opened",
                                             path_, content_->size(), size_)};
  }
  if (offset < end) std::copy_n(content_->data() + offset, end - offset, out.data());
  return {};
}

class MemoryLock final : public StorageLock {
 public:
  MemoryLock(std::shared_ptr<MemoryStorage::State> state, std::string path)
      : state_(std::move(state)), path_(std::move(path)) {}
  ~MemoryLock() override {
    std::lock_guard guard(state_->mutex);
    state_->locks.erase(path_);
  }

 private:
  std::shared_ptr<MemoryStorage::State> state_;
  std::string path_;
};

MemoryStorage::MemoryStorage() : state_(std::make_shared<State>()) {}
MemoryStorage::~MemoryStorage() = default;

Result<std::unique_ptr<ReadableFile>> MemoryStorage::open(const std::string& path, ReadMode mode) {
  std::lock_guard guard(state_->mutex);
  auto file = state_->files.find(normalize(path));
  if (file == state_->files.end()) return not_found(path);
  uint64_t alignment = mode == ReadMode::kDirect ? state_->direct_alignment : 1;
  return std::unique_ptr<ReadableFile>(
      std::make_unique<MemoryFile>(state_, path, file->second, alignment));
}

Status MemoryStorage::write_atomic(const std::string& path, ByteSpan data, uint32_t /*mode*/) {
  std::lock_guard guard(state_->mutex);
  std::string normal = normalize(path);
  if (Status valid = state_->check_parent(normal); !valid) return valid;
  uint64_t used = state_->used();
  if (used > state_->capacity || data.size() > state_->capacity - used) {
    return Error{ErrorCode::kIo, path + ": cannot write: no space left"};
  }
  state_->files[normal] = std::make_shared<ByteVector>(data.begin(), data.end());
  return {};
}

Status MemoryStorage::make_directories(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  std::string normal = normalize(path);
  for (std::string part = normal; !state_->is_directory(part); part = parent_of(part)) {
    if (state_->files.count(part) > 0) {
      return Error{ErrorCode::kIo, path + ": cannot make directories: " + part + " is a file"};
    }
  }
  for (std::string part = normal; !state_->is_directory(part); part = parent_of(part)) {
    state_->directories.insert(part);
  }
  return {};
}

Status MemoryStorage::remove(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  if (state_->files.erase(normalize(path)) == 0) return not_found(path);
  return {};
}

bool MemoryStorage::exists(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  std::string normal = normalize(path);
  return state_->files.count(normal) > 0 || state_->is_directory(normal);
}

Result<std::vector<std::string>> MemoryStorage::list(const std::string& directory) {
  std::lock_guard guard(state_->mutex);
  std::string normal = normalize(directory);
  if (!state_->is_directory(normal)) return not_found(directory);
  if (normal == ".") normal.clear();
  std::vector<std::string> names;
  auto add = [&](const std::string& path) {
    if (parent_of(path) == normal) {
      names.push_back(std::filesystem::path(path).filename().string());
    }
  };
  for (const auto& [path, content] : state_->files) add(path);
  for (const std::string& path : state_->directories) add(path);
  std::sort(names.begin(), names.end());
  return names;
}

Result<uint64_t> MemoryStorage::free_bytes(const std::string& directory) {
  std::lock_guard guard(state_->mutex);
  if (!state_->is_directory(normalize(directory))) return not_found(directory);
  uint64_t used = state_->used();
  return state_->capacity > used ? state_->capacity - used : 0;
}

Result<std::unique_ptr<StorageLock>> MemoryStorage::lock(const std::string& path) {
  std::lock_guard guard(state_->mutex);
  std::string normal = normalize(path);
  if (Status valid = state_->check_parent(normal); !valid) return valid.error();
  if (!state_->locks.insert(normal).second) {
    return Error{ErrorCode::kRefused, path + ": somebody else holds this lock"};
  }
  state_->files.try_emplace(normal, std::make_shared<ByteVector>());
  return std::unique_ptr<StorageLock>(std::make_unique<MemoryLock>(state_, normal));
}

void MemoryStorage::set_capacity(uint64_t bytes) {
  std::lock_guard guard(state_->mutex);
  state_->capacity = bytes;
}

void MemoryStorage::fail_reads(uint64_t count) {
  std::lock_guard guard(state_->mutex);
  state_->reads_to_fail = count;
}

void MemoryStorage::flip_bit(const std::string& path, uint64_t byte_offset) {
  std::lock_guard guard(state_->mutex);
  ByteVector& content = state_->existing(path);
  CHECK(byte_offset < content.size());
  content[byte_offset] ^= std::byte{1};
}

void MemoryStorage::truncate(const std::string& path, uint64_t size) {
  std::lock_guard guard(state_->mutex);
  ByteVector& content = state_->existing(path);
  CHECK(size <= content.size());
  content.resize(size);
}

void MemoryStorage::set_direct_alignment(uint64_t bytes) {
  CHECK(std::has_single_bit(bytes));
  std::lock_guard guard(state_->mutex);
  state_->direct_alignment = bytes;
}

}  // namespace potluck
