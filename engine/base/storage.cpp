// Files through system calls. Three things are done everywhere: interrupted calls go on, partial
// reads and writes are continued, and O_DIRECT is given up where a file system refuses it.
#include "engine/base/storage.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/base/buffer.h"
#include "engine/base/check.h"
#include "engine/base/io_parts.h"
#include "engine/base/lock_holder.h"

namespace potluck {
namespace {

// What every disk and file system in use accepts for O_DIRECT; many would do with 512.
constexpr uint64_t kDirectAlignment = WritableFile::kDirectAlignment;

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // Closes now and reports what the system says: network file systems write as late as here.
  bool close() { return ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

ErrorCode code_of(int number) {
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      return ErrorCode::kNotFound;
    case EOPNOTSUPP:
    case ENOSYS:
      return ErrorCode::kUnsupported;
    case EMFILE:  // this process, or the system, has too much open or no memory: says nothing
    case ENFILE:  // about the file
    case ENOMEM:
      return ErrorCode::kLimit;
    default:
      return ErrorCode::kIo;
  }
}

Error os_error(const std::string& path, const char* action, int number) {
  return {code_of(number),
          fmt::format("{}: cannot {}: {}", path, action, std::generic_category().message(number))};
}

FileDescriptor open_retrying(const std::string& path, int flags, mode_t mode = 0) {
  int fd;
  do {
    // O_CLOEXEC: `--workers` starts processes. With an inherited descriptor a worker would keep the
    // flock() of its parent after that one's end.
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return FileDescriptor(fd);
}

int64_t nanoseconds_of(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

class SystemFile final : public ReadableFile {
 public:
  SystemFile(std::string path, FileDescriptor fd, const struct stat& status, uint64_t alignment)
      : path_(std::move(path)),
        fd_(std::move(fd)),
        size_(static_cast<uint64_t>(status.st_size)),
        modified_ns_(nanoseconds_of(status.st_mtim)),
        alignment_(alignment) {}

  uint64_t size() const override { return size_.load(std::memory_order_relaxed); }
  int64_t modified_ns() const override { return modified_ns_; }
  FileVersion version_now() const override;
  uint64_t direct_alignment() const override { return alignment_; }
  Status read_at(uint64_t offset, MutableByteSpan out) const override {
    return read_parts_at(offset, {&out, 1});
  }
  Status read_parts_at(uint64_t offset, std::span<const MutableByteSpan> parts) const override;
  void drop_cached(uint64_t offset, uint64_t bytes) const override;
  int descriptor() const override { return fd_.get(); }

 private:
  uint64_t size_for(uint64_t end) const;
  Status check_range(uint64_t offset, uint64_t size, uint64_t bytes) const;
  ssize_t read_some(uint64_t offset, std::span<const iovec> vectors) const;

  std::string path_;
  FileDescriptor fd_;
  mutable std::atomic<uint64_t> size_;
  int64_t modified_ns_;
  uint64_t alignment_;
};

FileVersion SystemFile::version_now() const {
  struct stat status = {};
  // A file system that does not answer says nothing about a change.
  if (::fstat(fd_.get(), &status) != 0) return {size(), modified_ns_};
  return {static_cast<uint64_t>(status.st_size), nanoseconds_of(status.st_mtim)};
}

// O_DIRECT may have been refused when the file was opened, or given up since.
void SystemFile::drop_cached(uint64_t offset, uint64_t bytes) const {
  int flags = ::fcntl(fd_.get(), F_GETFL);
  if (flags >= 0 && (flags & O_DIRECT) != 0) return;
  (void)::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes),
                        POSIX_FADV_DONTNEED);
}

// The size for a read that ends at `end`: asked anew when that lies beyond what is known. Segments
// of the store grow while they are open for reading.
uint64_t SystemFile::size_for(uint64_t end) const {
  uint64_t known = size_.load(std::memory_order_relaxed);
  struct stat status = {};
  if (end <= known || ::fstat(fd_.get(), &status) != 0) return known;
  auto size = std::max(known, static_cast<uint64_t>(status.st_size));
  size_.store(size, std::memory_order_relaxed);
  return size;
}

Status SystemFile::check_range(uint64_t offset, uint64_t size, uint64_t bytes) const {
  uint64_t readable = round_up(size, alignment_);
  // As a difference: offset + bytes may wrap.
  if (offset > readable || bytes > readable - offset) {
    return Error{ErrorCode::kIo, fmt::format("{}: cannot read {} bytes at {}, the file has {}",
                                             path_, bytes, offset, size)};
  }
  return {};
}

// One preadv, over interruptions. Some file systems accept O_DIRECT when opening and refuse it when
// reading; then this file is read through the page cache from here on.
ssize_t SystemFile::read_some(uint64_t offset, std::span<const iovec> vectors) const {
  auto count = static_cast<int>(vectors.size());
  for (;;) {
    ssize_t got = ::preadv(fd_.get(), vectors.data(), count, static_cast<off_t>(offset));
    if (got >= 0) return got;
    if (errno == EINTR) continue;
    int flags = errno == EINVAL ? ::fcntl(fd_.get(), F_GETFL) : 0;
    if (flags < 0 || (flags & O_DIRECT) == 0) return -1;
    if (::fcntl(fd_.get(), F_SETFL, flags & ~O_DIRECT) != 0) return -1;
  }
}

Status SystemFile::read_parts_at(uint64_t offset, std::span<const MutableByteSpan> parts) const {
  CHECK(offset % alignment_ == 0);
  uint64_t bytes = 0;
  for (MutableByteSpan part : parts) {
    CHECK(part.size() % alignment_ == 0);
    CHECK(reinterpret_cast<uintptr_t>(part.data()) % alignment_ == 0);
    bytes += part.size();
  }
  uint64_t size = size_for(offset + bytes);
  if (Status valid = check_range(offset, size, bytes); !valid) return valid;
  uint64_t end = std::min<uint64_t>(offset + bytes, size);
  uint64_t position = offset;
  while (position < end) {
    std::array<iovec, 16> vectors;
    int count = io_vectors(parts, position - offset, vectors);
    ssize_t got = read_some(position, std::span(vectors).first(static_cast<size_t>(count)));
    if (got < 0) return os_error(path_, "read", errno);
    uint64_t next = next_position(position, static_cast<uint64_t>(got), end, alignment_);
    if (next <= position) {
      return Error{ErrorCode::kIo, fmt::format("{}: the file ends at {}, it had {} bytes when it "
                                               "was opened",
                                               path_, position + static_cast<uint64_t>(got), size)};
    }
    position = next;
  }
  return {};
}

class SystemLock final : public StorageLock {
 public:
  explicit SystemLock(FileDescriptor fd) : fd_(std::move(fd)) {}

 private:
  FileDescriptor fd_;  // closing it unlocks; the file stays, so no process locks a deleted one
};

// Errors name `path`, the file that the caller asked for, though the data go to a temporary one.
Status write_all(int fd, const std::string& path, ByteSpan data) {
  while (!data.empty()) {
    ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return os_error(path, "write", written < 0 ? errno : ENOSPC);
    data = data.subspan(static_cast<size_t>(written));
  }
  return {};
}

// Makes the entries of a directory durable. Some file systems cannot and say EINVAL; they have
// done what they can.
Status sync_directory(const std::string& directory) {
  FileDescriptor fd = open_retrying(directory, O_RDONLY | O_DIRECTORY);
  if (!fd.valid()) return os_error(directory, "open", errno);
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return os_error(directory, "sync", errno);
  return {};
}

Status fill_and_close(FileDescriptor fd, const std::string& path, ByteSpan data, uint32_t mode) {
  if (Status written = write_all(fd.get(), path, data); !written) return written;
  // mkostemp() gave 0600, so a secret key is at no time readable by others. The fsync() has to come
  // before the rename(): with delayed allocation a crash can otherwise leave the new name and no
  // data.
  if (::fchmod(fd.get(), mode) != 0) return os_error(path, "set the mode", errno);
  if (::fsync(fd.get()) != 0) return os_error(path, "sync", errno);
  if (!fd.close()) return os_error(path, "close", errno);
  return {};
}

// Direct writes need aligned memory; what comes from elsewhere is copied through a buffer of this
// size, large enough for a disk to run at full speed.
constexpr uint64_t kBounceBytes = 2 * kMiB;

class SystemWritableFile final : public WritableFile {
 public:
  SystemWritableFile(std::string path, FileDescriptor fd, uint64_t size, bool direct)
      : path_(std::move(path)), fd_(std::move(fd)), size_(size), direct_(direct) {}

  uint64_t size() const override { return size_; }
  Status write_at(uint64_t offset, ByteSpan data) override;
  Status sync() override;
  Status allocate(uint64_t offset, uint64_t bytes) override;
  Status punch(uint64_t offset, uint64_t bytes) override;
  Status resize(uint64_t bytes) override;

 private:
  Error failed(const char* action, int number) const;
  ssize_t write_some(uint64_t offset, ByteSpan data);
  Status write_aligned(uint64_t offset, ByteSpan data);
  int change_space(int mode, uint64_t offset, uint64_t bytes);

  std::string path_;
  FileDescriptor fd_;
  uint64_t size_;
  bool direct_;
  Buffer bounce_;  // made at the first use
};

Error SystemWritableFile::failed(const char* action, int number) const {
  Error error = os_error(path_, action, number);
  bool full = number == ENOSPC || number == EDQUOT || number == EFBIG;
  if (full) error.code = ErrorCode::kLimit;
  return error;
}

// One pwrite, over interruptions. As with reading, O_DIRECT may be refused only now.
ssize_t SystemWritableFile::write_some(uint64_t offset, ByteSpan data) {
  for (;;) {
    ssize_t written = ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (written >= 0) return written;
    if (errno == EINTR) continue;
    int flags = errno == EINVAL ? ::fcntl(fd_.get(), F_GETFL) : 0;
    if (flags < 0 || (flags & O_DIRECT) == 0) return -1;
    if (::fcntl(fd_.get(), F_SETFL, flags & ~O_DIRECT) != 0) return -1;
    direct_ = false;
  }
}

Status SystemWritableFile::write_aligned(uint64_t offset, ByteSpan data) {
  while (!data.empty()) {
    ssize_t written = write_some(offset, data);
    if (written <= 0) return failed("write", written < 0 ? errno : ENOSPC);
    // A direct write may stop early at any sector; the next one has to start at a whole block.
    uint64_t done = static_cast<uint64_t>(written);
    if (direct_ && done < data.size()) done -= done % kDirectAlignment;
    if (done == 0) return failed("write", ENOSPC);
    offset += done;
    data = data.subspan(done);
    size_ = std::max(size_, offset);
  }
  return {};
}

Status SystemWritableFile::write_at(uint64_t offset, ByteSpan data) {
  if (!direct_) return write_aligned(offset, data);
  CHECK(offset % kDirectAlignment == 0 && data.size() % kDirectAlignment == 0);
  if (reinterpret_cast<uintptr_t>(data.data()) % kDirectAlignment == 0) {
    return write_aligned(offset, data);
  }
  if (bounce_.empty()) bounce_ = Buffer(kBounceBytes);
  while (!data.empty()) {
    ByteSpan piece = data.first(std::min<uint64_t>(data.size(), kBounceBytes));
    std::copy(piece.begin(), piece.end(), bounce_.data());
    Status written = write_aligned(offset, bounce_.span().first(piece.size()));
    if (!written) return written;
    offset += piece.size();
    data = data.subspan(piece.size());
  }
  return {};
}

Status SystemWritableFile::sync() {
  // It writes the size as well, and leaves out only times, which are not needed after a crash.
  if (::fdatasync(fd_.get()) != 0) return failed("sync", errno);
  return {};
}

int SystemWritableFile::change_space(int mode, uint64_t offset, uint64_t bytes) {
  int changed;
  do {
    changed = ::fallocate(fd_.get(), mode, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  } while (changed != 0 && errno == EINTR);
  return changed;
}

Status SystemWritableFile::allocate(uint64_t offset, uint64_t bytes) {
  if (change_space(0, offset, bytes) == 0) {
    size_ = std::max(size_, offset + bytes);
  } else if (code_of(errno) != ErrorCode::kUnsupported) {
    return failed("reserve space", errno);
  }
  return {};
}

Status SystemWritableFile::punch(uint64_t offset, uint64_t bytes) {
  if (change_space(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes) != 0) {
    return failed("give space back", errno);
  }
  return {};
}

Status SystemWritableFile::resize(uint64_t bytes) {
  if (::ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0) return failed("resize", errno);
  size_ = bytes;
  return {};
}

std::string directory_of(const std::string& path) {
  std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

class SystemStorage final : public Storage {
 public:
  Result<std::unique_ptr<ReadableFile>> open(const std::string& path, ReadMode mode) override;
  Status write_atomic(const std::string& path, ByteSpan data, uint32_t mode) override;
  Result<std::unique_ptr<WritableFile>> open_writable(const std::string& path,
                                                      WriteMode mode) override;
  Status make_directories(const std::string& path) override;
  Status remove(const std::string& path) override;
  bool exists(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<uint64_t> free_bytes(const std::string& directory) override;
  Result<std::unique_ptr<StorageLock>> lock(const std::string& path) override;
};

// The size of an open file, if it is a regular one.
Result<struct stat> regular_status(const FileDescriptor& fd, const std::string& path) {
  struct stat status = {};
  if (::fstat(fd.get(), &status) != 0) return os_error(path, "inspect", errno);
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::kIo, path + ": expected a file, found something else"};
  }
  return status;
}

Result<std::unique_ptr<ReadableFile>> SystemStorage::open(const std::string& path, ReadMode mode) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer. Regular files ignore it.
  constexpr int kFlags = O_RDONLY | O_NONBLOCK;
  bool direct = mode == ReadMode::kDirect;
  FileDescriptor fd = open_retrying(path, direct ? kFlags | O_DIRECT : kFlags);
  // Some file systems, such as tmpfs before Linux 6.6, know no O_DIRECT.
  if (!fd.valid() && direct && errno == EINVAL) return open(path, ReadMode::kBuffered);
  if (!fd.valid()) return os_error(path, "open", errno);
  Result<struct stat> status = regular_status(fd, path);
  if (!status) return status.error();
  // From here on reads may wait. io_uring would take O_NONBLOCK as a request to fail instead of
  // waiting.
  if (int flags = ::fcntl(fd.get(), F_GETFL); flags >= 0) {
    (void)::fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK);
  }
  return std::unique_ptr<ReadableFile>(
      std::make_unique<SystemFile>(path, std::move(fd), *status, direct ? kDirectAlignment : 1));
}

Result<std::unique_ptr<WritableFile>> SystemStorage::open_writable(const std::string& path,
                                                                   WriteMode mode) {
  constexpr int kFlags = O_RDWR | O_CREAT | O_NONBLOCK;
  bool direct = mode == WriteMode::kDirect;
  bool fresh = !exists(path);
  FileDescriptor fd = open_retrying(path, direct ? kFlags | O_DIRECT : kFlags, 0644);
  if (!fd.valid() && direct && errno == EINVAL) return open_writable(path, WriteMode::kBuffered);
  if (!fd.valid()) return os_error(path, "open", errno);
  Result<struct stat> status = regular_status(fd, path);
  if (!status) return status.error();
  // The name has to last before the data do: a log synced in a file that a power cut removes is
  // lost all the same.
  if (fresh) {
    if (Status synced = sync_directory(directory_of(path)); !synced) return synced.error();
  }
  return std::unique_ptr<WritableFile>(std::make_unique<SystemWritableFile>(
      path, std::move(fd), static_cast<uint64_t>(status->st_size), direct));
}

Status SystemStorage::write_atomic(const std::string& path, ByteSpan data, uint32_t mode) {
  // In the same directory, since rename() does not cross file systems.
  std::string temporary = path + ".tmp.XXXXXX";
  FileDescriptor fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) return os_error(path, "create", errno);
  Status filled = fill_and_close(std::move(fd), path, data, mode);
  if (filled.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    filled = os_error(path, "replace", errno);
  }
  if (!filled) {
    ::unlink(temporary.c_str());
    return filled;
  }
  return sync_directory(directory_of(path));
}

Status SystemStorage::make_directories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error && !std::filesystem::is_directory(path, error) && !error) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (error) return Error{ErrorCode::kIo, path + ": cannot make directories: " + error.message()};
  return {};
}

Status SystemStorage::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return os_error(path, "remove", errno);
  return {};
}

bool SystemStorage::exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

Result<std::vector<std::string>> SystemStorage::list(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) return os_error(directory, "list", error.value());
  std::sort(names.begin(), names.end());
  return names;
}

Result<uint64_t> SystemStorage::free_bytes(const std::string& directory) {
  struct statvfs status = {};
  if (::statvfs(directory.c_str(), &status) != 0) {
    return os_error(directory, "ask for the free space", errno);
  }
  uint64_t bytes = 0;
  // Not f_bfree, which includes what is reserved for the superuser.
  if (!checked_multiply(status.f_bavail, status.f_frsize, &bytes)) return UINT64_MAX;
  return bytes;
}

Result<std::unique_ptr<StorageLock>> SystemStorage::lock(const std::string& path) {
  FileDescriptor fd = open_retrying(path, O_RDWR | O_CREAT, 0600);
  if (!fd.valid()) return os_error(path, "open", errno);
  int locked;
  do {
    // flock() and not fcntl(): a lock of fcntl() goes as soon as any descriptor of the file is
    // closed in this process.
    locked = ::flock(fd.get(), LOCK_EX | LOCK_NB);
  } while (locked != 0 && errno == EINTR);
  if (locked != 0 && errno == EWOULDBLOCK) {
    return Error{ErrorCode::kRefused, path + ": " + describe_lock_holder(fd.get())};
  }
  if (locked != 0) return os_error(path, "lock", errno);
  write_lock_holder(fd.get());
  return std::unique_ptr<StorageLock>(std::make_unique<SystemLock>(std::move(fd)));
}

}  // namespace

Status ReadableFile::read_parts_at(uint64_t offset, std::span<const MutableByteSpan> parts) const {
  for (MutableByteSpan part : parts) {
    if (Status read = read_at(offset, part); !read) return read;
    offset += part.size();
  }
  return {};
}

std::unique_ptr<Storage> make_system_storage() {
  return std::make_unique<SystemStorage>();
}

Result<ByteVector> read_file(Storage& storage, const std::string& path, uint64_t limit) {
  auto file = storage.open(path, ReadMode::kBuffered);
  if (!file) return file.error();
  uint64_t size = (*file)->size();
  if (size > limit) {
    return Error{ErrorCode::kLimit,
                 fmt::format("{}: expected at most {} bytes, found {}", path, limit, size)};
  }
  ByteVector bytes(size);
  if (Status read = (*file)->read_at(0, bytes); !read) return read.error();
  return bytes;
}

}  // namespace potluck
