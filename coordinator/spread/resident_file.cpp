#include "coordinator/spread/resident_file.h"

#include <algorithm>
#include <charconv>
#include <set>

#include <fmt/format.h>

#include "engine/base/hash.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr std::string_view kResidentMagic = "PLRESID1";
constexpr uint64_t kResidentAlignment = 4096;
constexpr size_t kFixedBytes = 24;
constexpr size_t kRangeBytes = 16;
// Far more than a header of limits::kModelHeaderBytes can list tensors.
constexpr uint64_t kMostRanges = 4 * 1024 * 1024;
// Read and written at a time.
constexpr uint64_t kCopyBytes = 8 * kMiB;
// On disk for good at least so often.
constexpr uint64_t kSyncBytes = 64 * kMiB;
// Headers are read through a window (engine/gguf/file_reader.h), which may reach beyond their end,
// by less than this.
constexpr uint64_t kBehindHeader = 256 * kKiB;

void put_u64(uint64_t value, ByteVector* out) {
  for (int i = 0; i < 8; ++i) out->push_back(static_cast<std::byte>(value >> (8 * i)));
}

ByteVector encode_table(const ResidentPlan& plan) {
  ByteVector table;
  ByteSpan magic = as_bytes(kResidentMagic);
  table.assign(magic.begin(), magic.end());
  put_u64(plan.whole_bytes, &table);
  put_u64(plan.ranges.size(), &table);
  for (const FileRange& range : plan.ranges) {
    put_u64(range.offset, &table);
    put_u64(range.bytes, &table);
  }
  const Digest digest = sha256(table);
  const auto* bytes = reinterpret_cast<const std::byte*>(digest.bytes.data());
  table.insert(table.end(), bytes, bytes + digest.bytes.size());
  table.resize((table.size() + kResidentAlignment - 1) / kResidentAlignment * kResidentAlignment);
  return table;
}

Error not_resident(const std::string& path, const std::string& what) {
  return {ErrorCode::kCorrupt, fmt::format("{}: not the resident part of a model: {}", path, what)};
}

struct ResidentTable {
  ResidentPlan plan;
  uint64_t data_offset = 0;
};

// The plan of a file on disk; nothing of it is believed before its digest is right.
Result<ResidentTable> read_table(const ReadableFile& file, const std::string& path) {
  ByteVector fixed(kFixedBytes);
  if (file.size() < kFixedBytes) return not_resident(path, "it is too short");
  if (Status read = file.read_at(0, fixed); !read) return read.error();
  if (as_text(ByteSpan(fixed).first(8)) != kResidentMagic) {
    return not_resident(path, "it does not start with PLRESID1");
  }
  auto ranges = load<uint64_t>(fixed.data() + 16);
  if (ranges > kMostRanges || ranges > file.size() / kRangeBytes) {
    return not_resident(path, fmt::format("{} ranges in {} bytes", ranges, file.size()));
  }
  const uint64_t digest_at = kFixedBytes + ranges * kRangeBytes;
  const uint64_t end = digest_at + sizeof(Digest::bytes);
  if (end > file.size()) return not_resident(path, "it is cut off");
  ByteVector table(end);
  if (Status read = file.read_at(0, table); !read) return read.error();
  const Digest found = sha256(ByteSpan(table).first(digest_at));
  if (std::memcmp(found.bytes.data(), table.data() + digest_at, found.bytes.size()) != 0) {
    return not_resident(path, "its table is damaged");
  }
  ResidentTable result;
  result.plan.whole_bytes = load<uint64_t>(table.data() + 8);
  for (uint64_t i = 0; i < ranges; ++i) {
    const std::byte* at = table.data() + kFixedBytes + i * kRangeBytes;
    result.plan.ranges.push_back({load<uint64_t>(at), load<uint64_t>(at + 8)});
  }
  result.data_offset = (end + kResidentAlignment - 1) / kResidentAlignment * kResidentAlignment;
  return result;
}

Status check_ranges(const ResidentPlan& plan, const std::string& path) {
  uint64_t end = 0;
  for (const FileRange& range : plan.ranges) {
    bool inside =
        range.offset <= plan.whole_bytes && range.bytes <= plan.whole_bytes - range.offset;
    if (range.offset < end || !inside) return not_resident(path, "its ranges overlap");
    end = range.offset + range.bytes;
  }
  return {};
}

class ResidentReader final : public ReadableFile {
 public:
  ResidentReader(std::unique_ptr<ReadableFile> file, ResidentTable table, std::string path)
      : file_(std::move(file)), table_(std::move(table)), path_(std::move(path)) {
    uint64_t place = table_.data_offset;
    for (const FileRange& range : table_.plan.ranges) {
      places_.push_back(place);
      place += range.bytes;
    }
  }
  uint64_t size() const override { return table_.plan.whole_bytes; }
  uint64_t direct_alignment() const override { return 1; }
  Status read_at(uint64_t offset, MutableByteSpan out) const override {
    if (out.empty()) return {};
    const std::vector<FileRange>& ranges = table_.plan.ranges;
    auto after = std::upper_bound(
        ranges.begin(), ranges.end(), offset,
        [](uint64_t wanted, const FileRange& range) { return wanted < range.offset; });
    if (after != ranges.begin()) {
      const FileRange& range = *std::prev(after);
      const uint64_t skipped = offset - range.offset;
      if (skipped <= range.bytes && out.size() <= range.bytes - skipped) {
        const auto index = static_cast<size_t>(std::prev(after) - ranges.begin());
        return file_->read_at(places_[index] + skipped, out);
      }
    }
    return Error{ErrorCode::kNotFound,
                 fmt::format("{}: bytes {} to {} are experts, which only the workers keep", path_,
                             offset, offset + out.size())};
  }

 private:
  std::unique_ptr<ReadableFile> file_;
  ResidentTable table_;
  std::string path_;
  std::vector<uint64_t> places_;  // of each range, in this file
};

std::string progress_path(const std::string& path) {
  return path + ".copied";
}

// How much of the ranges is in the file for sure; 0 when it is a copy of something else.
uint64_t copied_before(Storage& storage, const std::string& path, const ResidentPlan& plan) {
  Result<ByteVector> text = read_file(storage, progress_path(path), 32);
  if (!text) return 0;
  uint64_t copied = 0;
  std::string_view digits = as_text(*text);
  const auto [stop, failure] =
      std::from_chars(digits.data(), digits.data() + digits.size(), copied);
  if (failure != std::errc() || stop != digits.data() + digits.size()) return 0;
  auto file = storage.open(path, ReadMode::kBuffered);
  if (!file) return 0;
  Result<ResidentTable> table = read_table(**file, path);
  bool same = table && table->plan == plan && copied <= plan.bytes() &&
              (*file)->size() >= table->data_offset + copied;
  return same ? copied : 0;
}

// Copies ranges into a file that has the table already.
class ResidentCopy {
 public:
  ResidentCopy(const ReadableFile& source, const ResidentPlan& plan, Storage& storage,
               const std::string& path, WritableFile& file, uint64_t data_offset)
      : source_(source),
        total_(plan.bytes()),
        ranges_(plan.ranges),
        storage_(storage),
        path_(path),
        file_(file),
        data_offset_(data_offset) {}

  Status copy_from(uint64_t done, const CopyProgress& progress) {
    done_ = synced_ = done;
    uint64_t begin = 0;  // of the range, among all of them
    for (const FileRange& range : ranges_) {
      while (done_ < begin + range.bytes) {
        if (progress && !progress(done_, total_)) {
          return Error{ErrorCode::kCancelled, "the resident part is not complete yet"};
        }
        if (Status copied = copy_piece(range, done_ - begin); !copied) return copied;
      }
      begin += range.bytes;
    }
    return mark();
  }

 private:
  Status copy_piece(const FileRange& range, uint64_t skipped) {
    piece_.resize(std::min(kCopyBytes, range.bytes - skipped));
    if (Status read = source_.read_at(range.offset + skipped, piece_); !read) return read;
    if (Status written = file_.write_at(data_offset_ + done_, piece_); !written) return written;
    done_ += piece_.size();
    return done_ - synced_ >= kSyncBytes ? mark() : Status();
  }

  Status mark() {
    if (Status synced = file_.sync(); !synced) return synced;
    synced_ = done_;
    return storage_.write_atomic(progress_path(path_), as_bytes(std::to_string(done_)));
  }

  const ReadableFile& source_;
  uint64_t total_;
  const std::vector<FileRange>& ranges_;
  Storage& storage_;
  const std::string& path_;
  WritableFile& file_;
  uint64_t data_offset_;
  uint64_t done_ = 0;
  uint64_t synced_ = 0;
  ByteVector piece_;
};

}  // namespace

uint64_t ResidentPlan::bytes() const {
  uint64_t sum = 0;
  for (const FileRange& range : ranges) sum += range.bytes;
  return sum;
}

std::vector<TensorPlace> places_in(const GgufTensor& tensor, uint64_t begin, uint64_t bytes) {
  if (tensor.pieces.empty()) return {{tensor.file, {tensor.offset + begin, bytes}}};
  std::vector<TensorPlace> places;
  const uint64_t piece_bytes = tensor.bytes / tensor.pieces.size();
  while (bytes > 0) {
    const GgufTensor::Piece& piece = tensor.pieces[begin / piece_bytes];
    const uint64_t skipped = begin % piece_bytes;
    const uint64_t here = std::min(bytes, piece_bytes - skipped);
    places.push_back({piece.file, {piece.offset + skipped, here}});
    begin += here;
    bytes -= here;
  }
  return places;
}

std::vector<ResidentPlan> plan_resident(const GgufModel& model, std::span<const ExpertBank> banks,
                                        std::span<const uint64_t> file_bytes) {
  std::set<const GgufTensor*> experts;
  for (const ExpertBank& bank : banks) {
    const std::vector<const GgufTensor*> tensors = bank.tensors();
    experts.insert(tensors.begin(), tensors.end());
  }
  std::vector<ResidentPlan> plans(file_bytes.size());
  std::vector<uint64_t> header_ends(file_bytes.begin(), file_bytes.end());
  for (const GgufTensor& tensor : model.tensors()) {
    for (const TensorPlace& place : places_in(tensor, 0, tensor.bytes)) {
      header_ends[place.file] = std::min(header_ends[place.file], place.range.offset);
      if (!experts.contains(&tensor)) plans[place.file].ranges.push_back(place.range);
    }
  }
  for (size_t i = 0; i < plans.size(); ++i) {
    ResidentPlan& plan = plans[i];
    plan.whole_bytes = file_bytes[i];
    plan.ranges.push_back(
        {0, header_ends[i] + std::min(kBehindHeader, plan.whole_bytes - header_ends[i])});
    std::sort(plan.ranges.begin(), plan.ranges.end(),
              [](const FileRange& a, const FileRange& b) { return a.offset < b.offset; });
    std::vector<FileRange> merged;
    for (const FileRange& range : plan.ranges) {
      if (!merged.empty() && range.offset <= merged.back().offset + merged.back().bytes) {
        const uint64_t end =
            std::max(merged.back().offset + merged.back().bytes, range.offset + range.bytes);
        merged.back().bytes = end - merged.back().offset;
      } else {
        merged.push_back(range);
      }
    }
    plan.ranges = std::move(merged);
  }
  return plans;
}

Status copy_resident(const ReadableFile& source, const ResidentPlan& plan, Storage& storage,
                     const std::string& path, const CopyProgress& progress) {
  const uint64_t done = copied_before(storage, path, plan);
  auto file = storage.open_writable(path, WriteMode::kBuffered);
  if (!file) return file.error();
  const ByteVector table = encode_table(plan);
  if (done == 0) {
    // What an earlier copy said of itself is void before its bytes are.
    if (storage.exists(progress_path(path))) {
      if (Status removed = storage.remove(progress_path(path)); !removed) return removed;
    }
    if (Status cut = (*file)->resize(0); !cut) return cut;
    if (Status written = (*file)->write_at(0, table); !written) return written;
  }
  ResidentCopy copy(source, plan, storage, path, **file, table.size());
  return copy.copy_from(done, progress);
}

Result<std::unique_ptr<ReadableFile>> open_resident(Storage& storage, const std::string& path) {
  auto file = storage.open(path, ReadMode::kBuffered);
  if (!file) return file.error();
  Result<ResidentTable> table = read_table(**file, path);
  if (!table) return table.error();
  if (Status checked = check_ranges(table->plan, path); !checked) return checked.error();
  const uint64_t held = (*file)->size() - std::min((*file)->size(), table->data_offset);
  if (held < table->plan.bytes()) return not_resident(path, "it is cut off");
  return std::unique_ptr<ReadableFile>(
      std::make_unique<ResidentReader>(std::move(*file), std::move(*table), path));
}

}  // namespace potluck
