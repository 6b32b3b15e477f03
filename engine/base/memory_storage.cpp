// A file is a vector of bytes, the set of its blocks that are holes, and the content at its last
// sync. Open files share it, so they outlive a replacement or removal, as on Unix.
#include "engine/base/memory_storage.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/random.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

namespace {

constexpr uint64_t kBlock = 4096;  // of holes, and of what a power cut tears apart

struct Content {
  Content() = default;
  explicit Content(ByteSpan data) : bytes(data.begin(), data.end()) {}

  ByteVector bytes;
  std::set<uint64_t> holes;          // blocks that take no room; they hold zeros
  std::optional<ByteVector> synced;  // as it was at the last sync, if it was written since

  uint64_t used() const { return bytes.size() - holes.size() * kBlock; }
  uint64_t missing(uint64_t begin, uint64_t end) const;
  void fill(uint64_t begin, uint64_t end);
  void resize(uint64_t size);
  // Only the first change after a sync is copied: that copy is what a power cut goes back to.
  void before_change() {
    if (!synced) synced = bytes;
  }
};

// How much more room the file takes once [begin, end) is in use.
uint64_t Content::missing(uint64_t begin, uint64_t end) const {
  auto first = holes.lower_bound(begin / kBlock);
  auto last = holes.lower_bound(ceil_div(end, kBlock));
  uint64_t size = bytes.size();
  uint64_t growth = end > size ? end - std::max(begin, size) : 0;
  return static_cast<uint64_t>(std::distance(first, last)) * kBlock + growth;
}

// Puts [begin, end) in use; the file grows as needed.
void Content::fill(uint64_t begin, uint64_t end) {
  if (begin > bytes.size()) resize(begin);
  if (end > bytes.size()) bytes.resize(end);
  holes.erase(holes.lower_bound(begin / kBlock), holes.lower_bound(ceil_div(end, kBlock)));
}

void Content::resize(uint64_t size) {
  uint64_t old = bytes.size();
  bytes.resize(size);
  for (uint64_t block = ceil_div(old, kBlock); (block + 1) * kBlock <= size; ++block) {
    holes.insert(block);
  }
  holes.erase(holes.lower_bound(size / kBlock), holes.end());
}

}  // namespace

struct MemoryStorage::State {
  Mutex mutex;
  std::map<std::string, std::shared_ptr<Content>> files GUARDED_BY(mutex);
  std::set<std::string> directories GUARDED_BY(mutex);
  std::set<std::string> locks GUARDED_BY(mutex);
  uint64_t capacity GUARDED_BY(mutex) = UINT64_MAX;
  uint64_t reads_to_fail GUARDED_BY(mutex) = 0;
  uint64_t opens_to_fail GUARDED_BY(mutex) = 0;
  uint64_t direct_alignment GUARDED_BY(mutex) = 1;
  bool punching GUARDED_BY(mutex) = true;
  bool gone GUARDED_BY(mutex) = false;     // the device cannot be reached
  uint64_t process GUARDED_BY(mutex) = 0;  // files and locks of an earlier one are dead

  bool is_directory(const std::string& path) const REQUIRES(mutex);
  uint64_t available() const REQUIRES(mutex);
  Status check_parent(const std::string& path) const REQUIRES(mutex);
  Status check_there(const std::string& path) const REQUIRES(mutex);
  Content& existing(const std::string& path) REQUIRES(mutex);
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

uint64_t MemoryStorage::State::available() const {
  uint64_t used = 0;
  for (const auto& [path, content] : files) used += content->used();
  return capacity > used ? capacity - used : 0;
}

Status MemoryStorage::State::check_there(const std::string& path) const {
  if (!gone) return {};
  return Error{ErrorCode::kIo, path + ": no such device"};
}

Status MemoryStorage::State::check_parent(const std::string& path) const {
  if (Status there = check_there(path); !there) return there;
  if (is_directory(path)) return Error{ErrorCode::kIo, path + ": is a directory"};
  if (!is_directory(parent_of(path))) return not_found(parent_of(path));
  return {};
}

Content& MemoryStorage::State::existing(const std::string& path) {
  auto file = files.find(normalize(path));
  CHECK(file != files.end());
  return *file->second;
}

class MemoryFile final : public ReadableFile {
 public:
  MemoryFile(std::shared_ptr<MemoryStorage::State> state, std::string path,
             std::shared_ptr<const Content> content, uint64_t alignment)
      : state_(std::move(state)),
        path_(std::move(path)),
        content_(std::move(content)),
        size_(content_->bytes.size()),
        alignment_(alignment) {}

  uint64_t size() const override { return size_; }
  FileVersion version_now() const override {
    MutexLock guard(state_->mutex);
    return {content_->bytes.size(), 0};
  }
  uint64_t direct_alignment() const override { return alignment_; }
  Status read_at(uint64_t offset, MutableByteSpan out) const override;

 private:
  std::shared_ptr<MemoryStorage::State> state_;
  std::string path_;
  std::shared_ptr<const Content> content_;
  uint64_t size_;  // when it was opened
  uint64_t alignment_;
};

// Follows SystemFile::read_parts_at rule by rule, messages included: what a test shows with this
// storage then holds for files.
Status MemoryFile::read_at(uint64_t offset, MutableByteSpan out) const {
  CHECK(offset % alignment_ == 0 && out.size() % alignment_ == 0);
  CHECK(reinterpret_cast<uintptr_t>(out.data()) % alignment_ == 0);
  MutexLock guard(state_->mutex);
  if (Status there = state_->check_there(path_); !there) return there;
  if (state_->reads_to_fail > 0) {
    --state_->reads_to_fail;
    return Error{ErrorCode::kIo, path_ + ": cannot read: injected fault"};
  }
  const ByteVector& bytes = content_->bytes;
  uint64_t size = std::max<uint64_t>(size_, bytes.size());
  uint64_t readable = round_up(size, alignment_);
  if (offset > readable || out.size() > readable - offset) {
    return Error{ErrorCode::kIo, fmt::format("{}: cannot read {} bytes at {}, the file has {}",
                                             path_, out.size(), offset, size)};
  }
  uint64_t end = std::min<uint64_t>(offset + out.size(), size);
  if (end > bytes.size()) {
    return Error{ErrorCode::kIo, fmt::format("{}: the file ends at {}, it had {} bytes when it "
                                             "was opened",
                                             path_, bytes.size(), size)};
  }
  if (offset < end) std::copy_n(bytes.data() + offset, end - offset, out.data());
  return {};
}

class MemoryWritableFile final : public WritableFile {
 public:
  MemoryWritableFile(std::shared_ptr<MemoryStorage::State> state, std::string path,
                     std::shared_ptr<Content> content, bool direct)
      : state_(std::move(state)),
        path_(std::move(path)),
        content_(std::move(content)),
        process_(state_->process),
        direct_(direct) {}

  uint64_t size() const override;
  Status write_at(uint64_t offset, ByteSpan data) override;
  Status sync() override;
  Status allocate(uint64_t offset, uint64_t bytes) override;
  Status punch(uint64_t offset, uint64_t bytes) override;
  Status resize(uint64_t bytes) override;

 private:
  Status check_alive() const REQUIRES(state_->mutex);
  Error full() const { return {ErrorCode::kLimit, path_ + ": cannot write: no space left"}; }

  std::shared_ptr<MemoryStorage::State> state_;
  std::string path_;
  std::shared_ptr<Content> content_;
  uint64_t process_;
  bool direct_;
};

Status MemoryWritableFile::check_alive() const {
  if (Status there = state_->check_there(path_); !there) return there;
  if (process_ == state_->process) return {};
  return Error{ErrorCode::kIo, path_ + ": the process that opened this file has ended"};
}

uint64_t MemoryWritableFile::size() const {
  MutexLock guard(state_->mutex);
  return content_->bytes.size();
}

// As on a real disk, what fits is written before the rest fails.
Status MemoryWritableFile::write_at(uint64_t offset, ByteSpan data) {
  CHECK(!direct_ || (offset % kDirectAlignment == 0 && data.size() % kDirectAlignment == 0));
  MutexLock guard(state_->mutex);
  if (Status alive = check_alive(); !alive) return alive;
  content_->before_change();
  uint64_t available = state_->available();
  while (!data.empty()) {
    uint64_t in_block = std::min<uint64_t>(data.size(), kBlock - offset % kBlock);
    uint64_t wanted = content_->missing(offset, offset + in_block);
    if (wanted > available) return full();
    available -= wanted;
    content_->fill(offset, offset + in_block);
    std::copy_n(data.data(), in_block, content_->bytes.data() + offset);
    offset += in_block;
    data = data.subspan(in_block);
  }
  return {};
}

Status MemoryWritableFile::sync() {
  MutexLock guard(state_->mutex);
  if (Status alive = check_alive(); !alive) return alive;
  content_->synced.reset();
  return {};
}

Status MemoryWritableFile::allocate(uint64_t offset, uint64_t bytes) {
  MutexLock guard(state_->mutex);
  if (Status alive = check_alive(); !alive) return alive;
  if (content_->missing(offset, offset + bytes) > state_->available()) return full();
  content_->before_change();
  content_->fill(offset, offset + bytes);
  return {};
}

Status MemoryWritableFile::punch(uint64_t offset, uint64_t bytes) {
  MutexLock guard(state_->mutex);
  if (Status alive = check_alive(); !alive) return alive;
  if (!state_->punching) return Error{ErrorCode::kUnsupported, path_ + ": cannot punch holes"};
  content_->before_change();
  ByteVector& content = content_->bytes;
  uint64_t end = std::min<uint64_t>(offset + bytes, content.size());
  for (uint64_t at = offset; at < end; ++at) content[at] = std::byte{0};
  for (uint64_t block = ceil_div(offset, kBlock); (block + 1) * kBlock <= end; ++block) {
    content_->holes.insert(block);
  }
  return {};
}

Status MemoryWritableFile::resize(uint64_t bytes) {
  MutexLock guard(state_->mutex);
  if (Status alive = check_alive(); !alive) return alive;
  content_->before_change();
  content_->resize(bytes);
  return {};
}

class MemoryLock final : public StorageLock {
 public:
  MemoryLock(std::shared_ptr<MemoryStorage::State> state, std::string path)
      : state_(std::move(state)), path_(std::move(path)), process_(state_->process) {}
  ~MemoryLock() override {
    MutexLock guard(state_->mutex);
    // After end_process() the lock was gone already, and the path may be locked by the next
    // process.
    if (process_ == state_->process) state_->locks.erase(path_);
  }

 private:
  std::shared_ptr<MemoryStorage::State> state_;
  std::string path_;
  uint64_t process_;
};

MemoryStorage::MemoryStorage() : state_(std::make_shared<State>()) {}
MemoryStorage::~MemoryStorage() = default;

Result<std::unique_ptr<ReadableFile>> MemoryStorage::open(const std::string& path, ReadMode mode) {
  MutexLock guard(state_->mutex);
  if (Status there = state_->check_there(path); !there) return there.error();
  auto file = state_->files.find(normalize(path));
  if (file == state_->files.end()) return not_found(path);
  if (state_->opens_to_fail > 0) {
    --state_->opens_to_fail;
    return Error{ErrorCode::kLimit, path + ": cannot open: too many open files"};
  }
  uint64_t alignment = mode == ReadMode::kDirect ? state_->direct_alignment : 1;
  return std::unique_ptr<ReadableFile>(
      std::make_unique<MemoryFile>(state_, path, file->second, alignment));
}

Status MemoryStorage::write_atomic(const std::string& path, ByteSpan data, uint32_t /*mode*/) {
  MutexLock guard(state_->mutex);
  std::string normal = normalize(path);
  if (Status valid = state_->check_parent(normal); !valid) return valid;
  if (data.size() > state_->available()) {
    return Error{ErrorCode::kIo, path + ": cannot write: no space left"};
  }
  // A new Content, not new bytes in the old one: open files go on reading what they opened, as
  // after rename(). Until then both take room, which is why the old one counted above.
  state_->files[normal] = std::make_shared<Content>(data);
  return {};
}

Result<std::unique_ptr<WritableFile>> MemoryStorage::open_writable(const std::string& path,
                                                                   WriteMode mode) {
  MutexLock guard(state_->mutex);
  std::string normal = normalize(path);
  if (Status valid = state_->check_parent(normal); !valid) return valid.error();
  std::shared_ptr<Content>& content = state_->files[normal];
  if (content == nullptr) content = std::make_shared<Content>();
  return std::unique_ptr<WritableFile>(
      std::make_unique<MemoryWritableFile>(state_, path, content, mode == WriteMode::kDirect));
}

Status MemoryStorage::make_directories(const std::string& path) {
  MutexLock guard(state_->mutex);
  std::string normal = normalize(path);
  if (Status there = state_->check_there(path); !there) return there;
  // Two passes: a file in the way leaves no directory half made.
  for (std::string part = normal; !state_->is_directory(part); part = parent_of(part)) {
    if (state_->files.count(part) > 0) {
      return Error{ErrorCode::kIo,
                   fmt::format("{}: cannot make directories: {} is a file", path, part)};
    }
  }
  for (std::string part = normal; !state_->is_directory(part); part = parent_of(part)) {
    state_->directories.insert(part);
  }
  return {};
}

Status MemoryStorage::remove(const std::string& path) {
  MutexLock guard(state_->mutex);
  if (Status there = state_->check_there(path); !there) return there;
  if (state_->files.erase(normalize(path)) == 0) return not_found(path);
  return {};
}

bool MemoryStorage::exists(const std::string& path) {
  MutexLock guard(state_->mutex);
  std::string normal = normalize(path);
  return !state_->gone && (state_->files.count(normal) > 0 || state_->is_directory(normal));
}

Result<std::vector<std::string>> MemoryStorage::list(const std::string& directory) {
  MutexLock guard(state_->mutex);
  if (Status there = state_->check_there(directory); !there) return there.error();
  std::string normal = normalize(directory);
  if (!state_->is_directory(normal)) return not_found(directory);
  // The parent of a bare name is "", not ".".
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
  MutexLock guard(state_->mutex);
  if (Status there = state_->check_there(directory); !there) return there.error();
  if (!state_->is_directory(normalize(directory))) return not_found(directory);
  return state_->available();
}

Result<std::unique_ptr<StorageLock>> MemoryStorage::lock(const std::string& path) {
  MutexLock guard(state_->mutex);
  std::string normal = normalize(path);
  if (Status valid = state_->check_parent(normal); !valid) return valid.error();
  if (!state_->locks.insert(normal).second) {
    return Error{ErrorCode::kRefused, path + ": another process holds it"};
  }
  state_->files.try_emplace(normal, std::make_shared<Content>());
  return std::unique_ptr<StorageLock>(std::make_unique<MemoryLock>(state_, normal));
}

void MemoryStorage::set_capacity(uint64_t bytes) {
  MutexLock guard(state_->mutex);
  state_->capacity = bytes;
}

void MemoryStorage::detach(bool gone) {
  MutexLock guard(state_->mutex);
  state_->gone = gone;
}

void MemoryStorage::fail_opens(uint64_t count) {
  MutexLock guard(state_->mutex);
  state_->opens_to_fail = count;
}

void MemoryStorage::fail_reads(uint64_t count) {
  MutexLock guard(state_->mutex);
  state_->reads_to_fail = count;
}

void MemoryStorage::flip_bit(const std::string& path, uint64_t byte_offset) {
  MutexLock guard(state_->mutex);
  ByteVector& content = state_->existing(path).bytes;
  CHECK(byte_offset < content.size());
  content[byte_offset] ^= std::byte{1};
}

void MemoryStorage::truncate(const std::string& path, uint64_t size) {
  MutexLock guard(state_->mutex);
  Content& content = state_->existing(path);
  CHECK(size <= content.bytes.size());
  content.resize(size);
}

void MemoryStorage::set_direct_alignment(uint64_t bytes) {
  CHECK(std::has_single_bit(bytes));
  MutexLock guard(state_->mutex);
  state_->direct_alignment = bytes;
}

void MemoryStorage::refuse_punching() {
  MutexLock guard(state_->mutex);
  state_->punching = false;
}

void MemoryStorage::end_process() {
  MutexLock guard(state_->mutex);
  ++state_->process;
  state_->locks.clear();
}

void MemoryStorage::cut_power(uint64_t seed) {
  end_process();
  MutexLock guard(state_->mutex);
  CounterRandom random(seed);
  uint64_t draw = 0;
  for (auto& [path, content] : state_->files) {
    if (!content->synced) continue;
    ByteVector old = *std::exchange(content->synced, std::nullopt);
    // Size and data are drawn separately: a file system that journals metadata alone may keep the
    // new size with old blocks, or new blocks in a file that is short again.
    if (random.bits(++draw) % 2 == 0) content->resize(old.size());
    old.resize(content->bytes.size());
    for (uint64_t begin = 0; begin < old.size(); begin += kBlock) {
      if (random.bits(++draw) % 2 == 0) continue;
      uint64_t bytes = std::min<uint64_t>(kBlock, old.size() - begin);
      std::copy_n(old.data() + begin, bytes, content->bytes.data() + begin);
      content->holes.erase(begin / kBlock);
    }
  }
}

}  // namespace potluck
