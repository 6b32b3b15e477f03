#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/base/printable.h"
#include "engine/gguf/gguf.h"
#include "engine/gguf/gguf_parser.h"
#include "engine/gguf/split_name.h"

namespace potluck {
namespace {

// read_floats decodes this much of a tensor at a time: a large tensor is never in memory twice.
constexpr uint64_t kDecodeBytes = kMiB;

Result<SplitName> check_split_name(const std::string& path, SplitName name) {
  if (name.parts < 1 || name.parts > limits::kSplitFiles) {
    return Error{ErrorCode::kLimit, fmt::format("{}: expected 1 to {} split files, found {}", path,
                                                limits::kSplitFiles, name.parts)};
  }
  if (name.number != 1) {
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("{}: open the first of the split files, {}", path, split_path(name, 1))};
  }
  return name;
}

Status expect_integer(const GgufMetadata& metadata, const std::string& key, uint64_t expected) {
  auto found = metadata.integer(key);
  if (!found) return found.error();
  if (*found == expected) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("key \"{}\": expected {}, found {}", key, expected, *found)};
}

// What a file says about the split must agree with its name: part `part` (0-based) of `parts`.
// A model that was never split says nothing, or 0, or 1.
Status check_split_keys(const GgufMetadata& metadata, uint32_t part, uint32_t parts) {
  if (parts > 1) {
    if (Status count = expect_integer(metadata, "split.count", parts); !count) return count;
    return expect_integer(metadata, "split.no", part);
  }
  if (!metadata.contains("split.count")) return {};
  auto count = metadata.integer("split.count");
  if (!count) return count.error();
  if (*count <= 1) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("one of {} split files, expected a name that ends in "
                           "\"-00001-of-{:05}.gguf\"",
                           *count, *count)};
}

}  // namespace

uint64_t GgufTensor::row_bytes() const {
  const BlockFormat& format = block_format(type);
  return dimensions[0] / format.block_elements * format.block_bytes;
}

std::string GgufTensor::shape_text() const {
  std::string text = fmt::format("{}", dimensions[0]);
  for (uint32_t i = 1; i < rank; ++i) text += fmt::format(" x {}", dimensions[i]);
  return text;
}

Result<GgufModel> GgufModel::open(Storage& storage, const std::string& path) {
  SplitName name;
  name.parts = 1;
  std::optional<SplitName> split = parse_split_name(path);
  if (split) {
    auto checked = check_split_name(path, std::move(*split));
    if (!checked) return checked.error();
    name = std::move(*checked);
  }
  GgufModel model;
  for (uint32_t part = 0; part < name.parts; ++part) {
    std::string part_path = part == 0 ? path : split_path(name, part + 1);
    if (Status added = model.add_file(storage, part_path, part, name.parts); !added) {
      return added.error();
    }
  }
  if (model.metadata_.contains("split.tensors.count")) {
    Status total = expect_integer(model.metadata_, "split.tensors.count", model.tensors_.size());
    if (!total) return total.error().in(path);
  }
  return model;
}

Status GgufModel::add_file(Storage& storage, const std::string& path, uint32_t part,
                           uint32_t parts) {
  auto file = storage.open(path, ReadMode::kBuffered);
  if (!file) {
    Error error = file.error();
    return parts == 1 ? error : error.in(fmt::format("part {} of {}", part + 1, parts));
  }
  auto header = GgufParser(**file).parse();
  if (!header) {
    // The storage's own errors name the file already.
    return header.error().code == ErrorCode::kIo ? header.error() : header.error().in(path);
  }
  if (Status split = check_split_keys(header->metadata, part, parts); !split) {
    return split.error().in(path);
  }
  for (GgufTensor& tensor : header->tensors) {
    auto index = static_cast<uint32_t>(tensors_.size());
    if (!by_name_.try_emplace(tensor.name, index).second) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("{}: tensor \"{}\" appears twice", path, printable(tensor.name))};
    }
    tensor.file = part;
    tensors_.push_back(std::move(tensor));
  }
  if (part == 0) {
    version_ = header->version;
    metadata_ = std::move(header->metadata);
  }
  paths_.push_back(path);
  files_.push_back(std::move(*file));
  return {};
}

uint64_t GgufModel::file_bytes() const {
  uint64_t bytes = 0;
  for (const auto& file : files_) bytes += file->size();
  return bytes;
}

const GgufTensor* GgufModel::find(const std::string& name) const {
  auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

Status GgufModel::read(const GgufTensor& tensor, uint64_t begin, MutableByteSpan out) const {
  CHECK(tensor.file < files_.size());
  CHECK(begin <= tensor.bytes && out.size() <= tensor.bytes - begin);
  Status done = files_[tensor.file]->read_at(tensor.offset + begin, out);
  if (!done) return done.error().in(fmt::format("tensor \"{}\"", printable(tensor.name)));
  return {};
}

Result<ByteVector> GgufModel::read_all(const GgufTensor& tensor) const {
  ByteVector bytes(tensor.bytes);
  if (Status done = read(tensor, 0, bytes); !done) return done.error();
  return bytes;
}

Result<std::vector<float>> GgufModel::read_floats(const GgufTensor& tensor) const {
  const BlockFormat& format = block_format(tensor.type);
  std::vector<float> values(tensor.count());
  ByteVector piece(
      std::min<uint64_t>(tensor.bytes, kDecodeBytes / format.block_bytes * format.block_bytes));
  float* out = values.data();
  for (uint64_t begin = 0; begin < tensor.bytes; begin += piece.size()) {
    piece.resize(std::min<uint64_t>(piece.size(), tensor.bytes - begin));
    if (Status done = read(tensor, begin, piece); !done) return done.error();
    uint64_t count = piece.size() / format.block_bytes * format.block_elements;
    format.decode(piece.data(), count, out);
    out += count;
  }
  return values;
}

namespace {

constexpr uint64_t kSampleBytes = 4 * kKiB;  // of a tensor
constexpr uint64_t kPieceBytes = 1 * kMiB;

void hash_number(uint64_t number, Sha256Stream* hash) {
  std::array<std::byte, sizeof(number)> bytes;
  std::memcpy(bytes.data(), &number, sizeof(number));
  hash->update(bytes);
}

Status hash_bytes(const ReadableFile& file, uint64_t begin, uint64_t end, Sha256Stream* hash) {
  ByteVector piece;
  for (; begin < end; begin += piece.size()) {
    piece.resize(std::min(kPieceBytes, end - begin));
    if (Status done = file.read_at(begin, piece); !done) return done;
    hash->update(piece);
  }
  return {};
}

}  // namespace

Result<Digest> GgufModel::fingerprint() const {
  std::vector<uint64_t> header_ends;
  for (const auto& file : files_) header_ends.push_back(file->size());
  for (const GgufTensor& tensor : tensors_) {
    header_ends[tensor.file] = std::min(header_ends[tensor.file], tensor.offset);
  }
  Sha256Stream hash;
  for (size_t i = 0; i < files_.size(); ++i) {
    hash_number(files_[i]->size(), &hash);
    hash_number(static_cast<uint64_t>(files_[i]->modified_ns()), &hash);
    if (Status done = hash_bytes(*files_[i], 0, header_ends[i], &hash); !done) return done.error();
  }
  for (const GgufTensor& tensor : tensors_) {
    uint64_t end = tensor.offset + std::min(tensor.bytes, kSampleBytes);
    Status done = hash_bytes(*files_[tensor.file], tensor.offset, end, &hash);
    if (!done) return done.error();
  }
  return hash.finish();
}

}  // namespace potluck
