#include "coordinator/spread/source_storage.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck {

// One file and what is held of it, shared by the storage and the file that the model has.
class HeldRanges {
 public:
  explicit HeldRanges(std::unique_ptr<ReadableFile> file) : file_(std::move(file)) {}

  const ReadableFile& file() const { return *file_; }
  Status hold(const FileRange& range) {
    ByteVector bytes(range.bytes);
    if (Status read = file_->read_at(range.offset, bytes); !read) return read;
    held_.push_back({range.offset, std::move(bytes)});
    return {};
  }
  void release() { held_.clear(); }
  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const Held& held : held_) sum += held.bytes.size();
    return sum;
  }
  Status read_at(uint64_t offset, MutableByteSpan out) const {
    for (const Held& held : held_) {
      if (offset < held.offset || offset - held.offset > held.bytes.size()) continue;
      const uint64_t skipped = offset - held.offset;
      if (out.size() > held.bytes.size() - skipped) continue;
      if (!out.empty()) std::memcpy(out.data(), held.bytes.data() + skipped, out.size());
      return {};
    }
    return file_->read_at(offset, out);
  }

 private:
  struct Held {
    uint64_t offset;
    ByteVector bytes;
  };
  std::unique_ptr<ReadableFile> file_;
  std::vector<Held> held_;
};

namespace {

class HeldFile final : public ReadableFile {
 public:
  explicit HeldFile(std::shared_ptr<HeldRanges> ranges) : ranges_(std::move(ranges)) {}
  uint64_t size() const override { return ranges_->file().size(); }
  int64_t modified_ns() const override { return ranges_->file().modified_ns(); }
  uint64_t direct_alignment() const override { return 1; }
  Status read_at(uint64_t offset, MutableByteSpan out) const override {
    return ranges_->read_at(offset, out);
  }

 private:
  std::shared_ptr<HeldRanges> ranges_;
};

// "?..." and "#..." of an address.
size_t address_path_end(const std::string& source) {
  return is_web_address(source) ? std::min(source.find_first_of("?#"), source.size())
                                : source.size();
}

}  // namespace

SourceStorage::SourceStorage(Storage& next, HttpOptions http, std::string query)
    : ForwardingStorage(next), http_(std::move(http)), query_(std::move(query)) {}

SourceStorage::~SourceStorage() = default;

Result<std::unique_ptr<ReadableFile>> SourceStorage::open(const std::string& path, ReadMode) {
  std::string identity;
  std::unique_ptr<ReadableFile> file;
  if (is_web_address(path)) {
    auto remote = HttpFile::open(path + query_, http_);
    if (!remote) return remote.error();
    identity = fmt::format("{} bytes, {}", (*remote)->size(), (*remote)->tag());
    file = std::move(*remote);
  } else {
    auto local = next().open(path, ReadMode::kBuffered);
    if (!local) return local.error();
    identity = fmt::format("{} bytes, modified {}", (*local)->size(), (*local)->modified_ns());
    file = std::move(*local);
  }
  files_.push_back(std::make_shared<HeldRanges>(std::move(file)));
  identities_.push_back(std::move(identity));
  return std::unique_ptr<ReadableFile>(std::make_unique<HeldFile>(files_.back()));
}

std::vector<uint64_t> SourceStorage::sizes() const {
  std::vector<uint64_t> sizes;
  for (const auto& file : files_) sizes.push_back(file->file().size());
  return sizes;
}

const ReadableFile& SourceStorage::file(size_t index) const {
  return files_.at(index)->file();
}

Status SourceStorage::hold(const TensorPlace& place) {
  return files_.at(place.file)->hold(place.range);
}

void SourceStorage::release() {
  for (const auto& file : files_) file->release();
}

uint64_t SourceStorage::held_bytes() const {
  uint64_t sum = 0;
  for (const auto& file : files_) sum += file->bytes();
  return sum;
}

bool is_web_address(const std::string& source) {
  return source.starts_with("https://") || source.starts_with("http://");
}

std::string source_path(const std::string& source) {
  return source.substr(0, address_path_end(source));
}

std::string source_query(const std::string& source) {
  return source.substr(address_path_end(source));
}

}  // namespace potluck
