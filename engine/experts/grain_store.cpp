#include "engine/experts/grain_store.h"

#include <fmt/format.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr uint64_t kGrainAlignment = 4096;
constexpr size_t kDigestDigits = 64;
constexpr size_t kShelfDigits = 2;  // 256 shelves keep directories short
constexpr std::string_view kLeftover = ".tmp.";

bool possible_size(uint64_t bytes) {
  return bytes > 0 && bytes % kGrainAlignment == 0 && bytes <= limits::kGrainBytes;
}

// Our own files only: a digest in lower case, then what write_atomic appends.
bool is_leftover(std::string_view name) {
  return name.size() > kDigestDigits && name.substr(kDigestDigits).starts_with(kLeftover) &&
         parse_digest(name.substr(0, kDigestDigits)).ok();
}

Error altered(const std::string& path, const std::string& found) {
  return {ErrorCode::kCorrupt, fmt::format("{}: {}; the grain was removed", path, found)};
}

// Direct where memory and length allow it, so that grains do not lie in the page cache as well.
ReadMode read_mode(MutableByteSpan out) {
  bool aligned = reinterpret_cast<uintptr_t>(out.data()) % kGrainAlignment == 0 &&
                 out.size() % kGrainAlignment == 0;
  return aligned ? ReadMode::kDirect : ReadMode::kBuffered;
}

}  // namespace

GrainStore::GrainStore(Storage& storage, std::string directory, uint64_t quota_bytes)
    : storage_(storage), directory_(std::move(directory)), quota_bytes_(quota_bytes) {}

Result<std::unique_ptr<GrainStore>> GrainStore::open(Storage& storage, std::string directory,
                                                     uint64_t quota_bytes) {
  std::unique_ptr<GrainStore> store(new GrainStore(storage, std::move(directory), quota_bytes));
  for (const char* part : {"/grains", "/manifests"}) {
    if (Status made = storage.make_directories(store->directory_ + part); !made) {
      return made.error();
    }
  }
  auto lock = storage.lock(store->directory_ + "/lock");
  if (!lock) return lock.error();
  store->lock_ = std::move(*lock);
  if (Status listed = store->list_grains(); !listed) return listed.error();
  return store;
}

Status GrainStore::list_grains() {
  std::string root = directory_ + "/grains";
  auto shelves = storage_.list(root);
  if (!shelves) return shelves.error();
  for (const std::string& shelf : *shelves) {
    bool ours = shelf.size() == kShelfDigits &&
                shelf.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!ours) continue;
    if (Status listed = list_shelf(shelf); !listed) return listed;
  }
  return {};
}

Status GrainStore::list_shelf(const std::string& shelf) {
  std::string path = directory_ + "/grains/" + shelf;
  auto names = storage_.list(path);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    std::string file = path + "/" + name;
    Result<Digest> digest = parse_digest(name);
    if (digest && digest->hex() == name && name.starts_with(shelf)) {
      admit(file, *digest);
    } else if (is_leftover(name)) {
      (void)storage_.remove(file);
    }
  }
  return {};
}

void GrainStore::admit(const std::string& path, const Digest& digest) {
  auto file = storage_.open(path, ReadMode::kBuffered);
  if (!file) return;  // not readable: the grain is fetched again
  uint64_t bytes = (*file)->size();
  if (!possible_size(bytes)) {
    (void)storage_.remove(path);
    return;
  }
  sizes_[digest] = bytes;
  used_bytes_ += bytes;
}

std::string GrainStore::shelf_of(const Digest& digest) const {
  return directory_ + "/grains/" + digest.hex().substr(0, kShelfDigits);
}

std::string GrainStore::path_of(const Digest& digest) const {
  return shelf_of(digest) + "/" + digest.hex();
}

Status GrainStore::check_room(uint64_t bytes) const {
  if (used_bytes_ > quota_bytes_ || bytes > quota_bytes_ - used_bytes_) {
    return Error{ErrorCode::kLimit,
                 fmt::format("{}: {} bytes wanted, {} of the quota of {} are in use", directory_,
                             bytes, used_bytes_, quota_bytes_)};
  }
  auto available = storage_.free_bytes(directory_);
  if (!available) return available.error();
  if (bytes > *available) {
    return Error{ErrorCode::kLimit, fmt::format("{}: {} bytes wanted, the disk has {} left",
                                                directory_, bytes, *available)};
  }
  return {};
}

Status GrainStore::put(const Digest& digest, ByteSpan grain) {
  if (!possible_size(grain.size())) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("grain {}: {} bytes, expected a multiple of {}, at most {}",
                             digest.hex(), grain.size(), kGrainAlignment, limits::kGrainBytes)};
  }
  if (Digest found = sha256(grain); found != digest) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("grain {}: its SHA-256 is {}", digest.hex(), found.hex())};
  }
  if (contains(digest)) return {};
  if (Status room = check_room(grain.size()); !room) return room;
  if (Status made = storage_.make_directories(shelf_of(digest)); !made) return made;
  if (Status written = storage_.write_atomic(path_of(digest), grain); !written) return written;
  sizes_[digest] = grain.size();
  used_bytes_ += grain.size();
  return {};
}

Status GrainStore::read(const Digest& digest, MutableByteSpan out) {
  std::string path = path_of(digest);
  if (!contains(digest)) {
    return Error{ErrorCode::kNotFound, path + ": no such grain in the store"};
  }
  auto file = storage_.open(path, read_mode(out));
  if (!file) {
    if (file.error().code == ErrorCode::kNotFound) remove(digest);
    return file.error();
  }
  if (uint64_t size = (*file)->size(); size != out.size()) {
    remove(digest);
    return altered(path, fmt::format("expected {} bytes, found {}", out.size(), size));
  }
  if (Status read = (*file)->read_at(0, out); !read) return read;
  if (Digest found = sha256(out); found != digest) {
    remove(digest);
    return altered(path, "its SHA-256 is " + found.hex());
  }
  return {};
}

Result<GrainPlace> GrainStore::find(const Digest& digest) {
  if (!contains(digest)) {
    return Error{ErrorCode::kNotFound, path_of(digest) + ": no such grain in the store"};
  }
  auto file = storage_.open(path_of(digest), ReadMode::kDirect);
  if (!file) return file.error();
  files_[digest] = std::move(*file);
  return GrainPlace{files_[digest].get(), 0, files_[digest]->size(), 0};
}

Status GrainStore::verify(const Digest& digest, ByteSpan bytes) {
  if (Digest found = sha256(bytes); found != digest) {
    remove(digest);
    return altered(path_of(digest), "its SHA-256 is " + found.hex());
  }
  return {};
}

void GrainStore::remove(const Digest& digest) {
  auto found = sizes_.find(digest);
  if (found == sizes_.end()) return;
  used_bytes_ -= found->second;
  sizes_.erase(found);
  (void)storage_.remove(path_of(digest));  // may be gone already
}

}  // namespace potluck
