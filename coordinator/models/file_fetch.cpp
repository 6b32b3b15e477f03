// Each thread has a connection and takes one run of blocks after the other. Runs are as long as
// some seconds of the link: a longer one saves requests, a shorter one loses less where the process
// is killed.
#include "coordinator/models/file_fetch.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/spread/http_file.h"
#include "engine/base/thread_annotations.h"

namespace potluck {
namespace {

constexpr uint64_t kLongestRun = 16;  // blocks; a connection holds one run in memory
constexpr Duration kShortRun = std::chrono::seconds(1);
constexpr Duration kLongRun = std::chrono::seconds(4);

class FileFetch {
 public:
  FileFetch(Storage& storage, PullFolder& folder, const PulledFile& file, size_t index,
            const PullOptions& options, const std::function<void(uint64_t)>& fetched)
      : storage_(storage),
        folder_(folder),
        file_(file),
        index_(index),
        options_(options),
        fetched_(fetched),
        book_(folder.book(index, file.bytes)) {}

  Status run() {
    MutexLock lock(mutex_);
    if (book_.complete()) return {};
    if (Status opened = open(); !opened) return opened;
    lock.unlock();
    options_.threads->run(static_cast<size_t>(options_.threads->threads()),
                          [this](size_t, int) { fetch_runs(); });
    lock.lock();
    if (failed_) return *failed_;
    return part_->sync();
  }

 private:
  Status open() REQUIRES(mutex_) {
    auto part = storage_.open_writable(folder_.part_path(index_), WriteMode::kBuffered);
    if (!part) return part.error();
    part_ = std::move(*part);
    auto blocks = storage_.open_writable(folder_.blocks_path(index_), WriteMode::kBuffered);
    if (!blocks) return blocks.error();
    blocks_ = std::move(*blocks);
    // Before anything is fetched: better an error now than after hours.
    if (Status room = part_->allocate(0, file_.bytes); !room) return room;
    if (Status sized = part_->resize(file_.bytes); !sized) return sized;
    return blocks_->resize(book_.blocks());
  }

  // On each of the threads, until there is nothing left to take or something has failed.
  void fetch_runs() {
    std::unique_ptr<HttpFile> remote;
    uint64_t longest = 1;
    while (auto run = take(longest)) {
      const TimePoint begin = options_.clock->now();
      Status done = fetch_run(*run, &remote);
      const Duration took = options_.clock->now() - begin;
      if (!done) return give_up(*run, done.error());
      if (took < kShortRun) longest = std::min(2 * longest, kLongestRun);
      if (took > kLongRun) longest = std::max<uint64_t>(longest / 2, 1);
    }
  }

  Status fetch_run(const BlockBook::Run& run, std::unique_ptr<HttpFile>* remote) {
    if (*remote == nullptr) {
      auto opened = open_remote();
      if (!opened) return opened.error();
      *remote = std::move(*opened);
    }
    ByteVector bytes(run_bytes(run));
    if (Status read = (*remote)->read_at(run.first * BlockBook::kBlockBytes, bytes); !read) {
      return read;
    }
    if (Status kept = keep(run, bytes); !kept) return kept;
    fetched_(bytes.size());
    return {};
  }

  Result<std::unique_ptr<HttpFile>> open_remote() {
    auto remote = HttpFile::open(file_.address, options_.http);
    if (!remote) return remote;
    MutexLock lock(mutex_);
    if (tag_.empty()) tag_ = (*remote)->tag();
    const bool same = (*remote)->size() == file_.bytes && (*remote)->tag() == tag_;
    if (same) return remote;
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: expected {} bytes, found {}, or another version of the file",
                             shown_address(file_.address), file_.bytes, (*remote)->size())};
  }

  std::optional<BlockBook::Run> take(uint64_t most) {
    MutexLock lock(mutex_);
    if (failed_) return std::nullopt;
    return book_.take(most);
  }
  // The others end after what they are at.
  void give_up(const BlockBook::Run& run, const Error& error) {
    MutexLock lock(mutex_);
    book_.give_back(run);
    if (!failed_) failed_ = error;
  }
  uint64_t run_bytes(const BlockBook::Run& run) {
    MutexLock lock(mutex_);
    return book_.bytes(run);
  }

  // The data are on the disk before it is written down that they are.
  Status keep(const BlockBook::Run& run, ByteSpan bytes) {
    MutexLock lock(mutex_);
    if (Status written = part_->write_at(book_.offset(run), bytes); !written) return written;
    if (Status synced = part_->sync(); !synced) return synced;
    const ByteVector marks(run.count, BlockBook::kDone);
    if (Status marked = blocks_->write_at(run.first, marks); !marked) return marked;
    book_.finish(run);
    return {};
  }

  Storage& storage_;
  PullFolder& folder_;
  const PulledFile& file_;
  size_t index_;
  const PullOptions& options_;
  const std::function<void(uint64_t)>& fetched_;
  Mutex mutex_;
  BlockBook book_ GUARDED_BY(mutex_);
  std::unique_ptr<WritableFile> part_ GUARDED_BY(mutex_);
  std::unique_ptr<WritableFile> blocks_ GUARDED_BY(mutex_);
  std::string tag_ GUARDED_BY(mutex_);
  std::optional<Error> failed_ GUARDED_BY(mutex_);
};

}  // namespace

Status fetch_file(Storage& storage, PullFolder& folder, const PulledFile& file, size_t index,
                  const PullOptions& options, const std::function<void(uint64_t bytes)>& fetched) {
  return FileFetch(storage, folder, file, index, options, fetched).run();
}

}  // namespace potluck
