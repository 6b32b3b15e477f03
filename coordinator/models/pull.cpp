#include "coordinator/models/pull.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/models/file_fetch.h"
#include "coordinator/models/whole_files.h"
#include "engine/base/format_bytes.h"
#include "engine/base/limits.h"
#include "engine/base/thread_annotations.h"

namespace potluck {
namespace {

constexpr uint64_t kCheckedAtOnce = 4 * kMiB;

std::string folder_of(const std::string& path) {
  return path.substr(0, path.find_last_of('/'));
}

class PullRun {
 public:
  PullRun(Storage& storage, const std::string& models, const PullRecord& record,
          const PullOptions& options)
      : storage_(storage),
        models_(models),
        record_(record),
        options_(options),
        folder_(storage, models, record.files.front().path) {}

  Result<PullResult> run() {
    if (Status made = storage_.make_directories(folder_.directory()); !made) return made.error();
    auto lock = storage_.lock(folder_.lock_path());
    if (!lock) return lock.error().in(record_.name + ": another pull of this model is under way");
    if (is_there()) {
      result_.was_there = true;
    } else if (Status pulled = pull(); !pulled) {
      return pulled.error();
    }
    for (const PulledFile& file : record_.files) result_.paths.push_back(folder_.target_path(file));
    MutexLock counted(mutex_);
    result_.fetched_bytes = fetched_bytes_;
    return std::move(result_);
  }

 private:
  bool is_at_its_place(const PulledFile& file) const {
    auto found = storage_.open(folder_.target_path(file), ReadMode::kBuffered);
    return found && (*found)->size() == file.bytes;
  }
  bool is_there() const {
    auto before = folder_.record();
    return folder_.is_finished() && before && is_same(*before) &&
           std::ranges::all_of(record_.files,
                               [&](const auto& file) { return is_at_its_place(file); });
  }
  bool is_same(const PullRecord& before) const {
    return std::ranges::equal(before.files, record_.files, [](const auto& one, const auto& other) {
      return one.is_same_content(other);
    });
  }

  Status pull() {
    if (Status prepared = prepare(); !prepared) return prepared;
    if (Status room = check_room(); !room) return room;
    for (size_t i = 0; i < record_.files.size(); ++i) {
      if (folder_.is_checked(i)) continue;
      if (Status fetched = fetch(i); !fetched) return fetched;
      if (Status checked = check(i); !checked) return checked;
    }
    if (Status published = publish(); !published) return published;
    return folder_.mark_finished();
  }

  // What was fetched of another version of a file does not count; and nothing that is there
  // already may be in the way at the end.
  Status prepare() {
    const auto before = folder_.record();
    for (size_t i = 0; i < record_.files.size(); ++i) {
      const bool same =
          before && i < before->files.size() && before->files[i].is_same_content(record_.files[i]);
      if (same) continue;
      if (Status anew = folder_.start_over(i); !anew) return anew;
    }
    for (size_t i = 0; i < record_.files.size(); ++i) {
      const std::string target = folder_.target_path(record_.files[i]);
      if (folder_.is_checked(i) || !storage_.exists(target)) continue;
      return Error{ErrorCode::kRefused,
                   fmt::format("{}: a file is there already that is not the one that {} has; move "
                               "it away, or remove the model with potluck rm",
                               target, record_.source)};
    }
    if (folder_.is_finished()) {
      if (Status removed = storage_.remove(folder_.directory() + "/finished"); !removed) {
        return removed;
      }
    }
    return folder_.save(record_);
  }

  // Of what is left to fetch. Space that a part has reserved already is not counted again.
  Status check_room() {
    uint64_t needed = 0;
    for (size_t i = 0; i < record_.files.size(); ++i) {
      const PulledFile& file = record_.files[i];
      const uint64_t done =
          folder_.is_checked(i) ? file.bytes : folder_.book(i, file.bytes).done_bytes();
      done_bytes_ += done;
      auto part = storage_.open(folder_.part_path(i), ReadMode::kBuffered);
      const bool reserved = part && (*part)->size() == file.bytes;
      if (!reserved) needed += file.bytes - done;
    }
    auto available = storage_.free_bytes(folder_.directory());
    if (!available) return available.error();
    if (needed == 0 || (*available >= limits::kDiskReserveBytes &&
                        *available - limits::kDiskReserveBytes >= needed)) {
      return {};
    }
    return Error{
        ErrorCode::kLimit,
        fmt::format("{}: {} more are needed, and {} left free for the system; {} are free. "
                    "POTLUCK_MODELS names another folder",
                    models_, format_bytes(needed), format_bytes(limits::kDiskReserveBytes),
                    format_bytes(*available))};
  }

  Status fetch(size_t index) {
    // From any of the threads.
    auto fetched = [this](uint64_t bytes) {
      MutexLock lock(mutex_);
      fetched_bytes_ += bytes;
      if (options_.progress) {
        options_.progress("fetching", done_bytes_ + fetched_bytes_, record_.bytes());
      }
    };
    return fetch_file(storage_, folder_, record_.files[index], index, options_, fetched);
  }

  // The whole file, from the disk.
  Result<Digest> digest_of(const std::string& path) {
    auto file = storage_.open(path, ReadMode::kBuffered);
    if (!file) return file.error();
    Sha256Stream stream;
    ByteVector piece(kCheckedAtOnce);
    for (uint64_t offset = 0; offset < (*file)->size();) {
      if (is_stopped(options_.http)) return cancelled_reading();
      const uint64_t bytes = std::min(kCheckedAtOnce, (*file)->size() - offset);
      const MutableByteSpan part = MutableByteSpan(piece).first(bytes);
      if (Status read = (*file)->read_at(offset, part); !read) return read.error();
      stream.update(part);
      offset += bytes;
      if (options_.progress) options_.progress("checking", offset, (*file)->size());
    }
    return stream.finish();
  }

  Status check(size_t index) {
    const PulledFile& file = record_.files[index];
    if (!file.sha256) {
      result_.unverified.push_back(folder_.target_path(file));
      return folder_.mark_checked(index);
    }
    auto found = digest_of(folder_.part_path(index));
    if (!found) return found.error();
    if (*found == *file.sha256) return folder_.mark_checked(index);
    if (Status anew = folder_.start_over(index); !anew) return anew;
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: expected SHA-256 {}, found {}; what came is kept in {} until the "
                             "next pull, which fetches the file anew",
                             shown_address(file.address), file.sha256->hex(), found->hex(),
                             folder_.part_path(index))};
  }

  // The first file last: without it nothing takes the others for a model.
  Status publish() {
    for (size_t i = record_.files.size(); i-- > 0;) {
      const std::string target = folder_.target_path(record_.files[i]);
      if (is_at_its_place(record_.files[i])) continue;
      if (Status made = storage_.make_directories(folder_of(target)); !made) return made;
      if (Status moved = move_file(folder_.part_path(i), target); !moved) return moved;
    }
    return {};
  }

  Storage& storage_;
  const std::string& models_;
  const PullRecord& record_;
  const PullOptions& options_;
  PullFolder folder_;
  uint64_t done_bytes_ = 0;  // before this call
  PullResult result_;
  Mutex mutex_;
  uint64_t fetched_bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace

Result<PullResult> pull_model(Storage& storage, const std::string& models, const PullRecord& record,
                              const PullOptions& options) {
  return PullRun(storage, models, record, options).run();
}

}  // namespace potluck
