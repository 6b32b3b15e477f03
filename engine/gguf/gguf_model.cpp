// Opening reads the headers of all parts, compares what each says about the split, and lists the
// tensors of all files as one model. Tensor data stay in the files and are read by range.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/base/printable.h"
#include "engine/gguf/gguf.h"
#include "engine/gguf/gguf_parser.h"
#include "engine/gguf/joined_experts.h"
#include "engine/gguf/split_gate_up.h"
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

// Where the bytes of a tensor stand; a tensor in one piece is put into `*whole`.
std::span<const GgufTensor::Piece> places_of(const GgufTensor& tensor, GgufTensor::Piece* whole) {
  *whole = {tensor.file, tensor.offset};
  return tensor.pieces.empty() ? std::span<const GgufTensor::Piece>(whole, 1) : tensor.pieces;
}

// A model that was never split has no such key, or says 0 or 1.
bool says_whole(const GgufMetadata& metadata) {
  const auto count = metadata.integer("split.count");
  return count ? *count <= 1 : count.error().code == ErrorCode::kNotFound;
}

// What a file says about the split must agree with its name. `part` counts from 0.
Status check_split_keys(const GgufMetadata& metadata, uint32_t part, uint32_t parts) {
  if (parts > 1) {
    if (Status count = expect_integer(metadata, "split.count", parts); !count) return count;
    return expect_integer(metadata, "split.no", part);
  }
  if (says_whole(metadata)) return {};
  auto count = metadata.integer("split.count");
  if (!count) return count.error();
  return Error{ErrorCode::kCorrupt,
               fmt::format("one of {} split files, expected a name that ends in "
                           "\"-00001-of-{:05}.gguf\"",
                           *count, *count)};
}

// How many files belong to the model whose file `path` is, read from that file's name and header.
Result<uint32_t> count_parts(const std::string& path, const std::optional<SplitName>& split,
                             const GgufMetadata& metadata) {
  if (!split || says_whole(metadata)) return 1U;
  auto checked = check_split_name(path, *split);
  if (!checked) return checked.error();
  return checked->parts;
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

Status expect_weights(const GgufTensor& tensor) {
  if (tensor.type != TensorType::kI32) return {};
  return Error{
      ErrorCode::kUnsupported,
      fmt::format("tensor {} should hold weights, but holds whole numbers (I32)", tensor.name)};
}

Result<GgufModel> GgufModel::open(Storage& storage, const std::string& path) {
  GgufModel model;
  if (Status added = model.add_files(storage, path); !added) return added.error();
  // The total over all parts: a part that lacks tensors, or is one of another model, shows here.
  if (model.metadata_.contains("split.tensors.count")) {
    Status total = expect_integer(model.metadata_, "split.tensors.count", model.tensors_.size());
    if (!total) return total.error().in(path);
  }
  // Twice: joining and splitting need names that are known to be unique, and move the tensors that
  // the index
  // points at.
  if (Status indexed = model.index_tensors(); !indexed) return indexed.error().in(path);
  if (Status joined = join_experts(&model.tensors_); !joined) return joined.error().in(path);
  if (Status split = split_gate_up(&model.tensors_); !split) return split.error().in(path);
  if (Status indexed = model.index_tensors(); !indexed) return indexed.error().in(path);
  return model;
}

// The file that was asked for decides how many there are. The name alone does not: a whole model
// may have been saved under the name of a part.
Status GgufModel::add_files(Storage& storage, const std::string& path) {
  const std::optional<SplitName> split = parse_split_name(path);
  uint32_t parts = 1;
  for (uint32_t part = 0; part < parts; ++part) {
    const std::string part_path = part == 0 ? path : split_path(*split, part + 1);
    const std::string place =
        split ? fmt::format("part {} of {}", part + 1, split->parts) : std::string();
    auto file = storage.open(part_path, ReadMode::kBuffered);
    if (!file) {
      if (!split) return file.error();
      // A name like "-00002-of-00003" explains more than the file that is missing because of it.
      if (auto checked = check_split_name(path, *split); !checked) return checked.error();
      return split->parts == 1 ? file.error() : file.error().in(place);
    }
    auto header = GgufParser(**file).parse();
    // The storage's own errors name the file already.
    if (!header && header.error().code == ErrorCode::kIo) return header.error();
    if (!header) return header.error().in(part_path);
    if (part == 0) {
      auto counted = count_parts(path, split, header->metadata);
      if (!counted) return counted.error();
      parts = *counted;
    }
    if (Status checked = check_split_keys(header->metadata, part, parts); !checked) {
      return checked.error().in(part_path);
    }
    add_file(part_path, std::move(*file), part, std::move(*header));
  }
  if (split && split->parts > 1 && parts == 1) {
    notes_.push_back(
        fmt::format("{} has the name of a part of a split model, but knows nothing of "
                    "a split: it is taken for a whole one",
                    path));
  }
  return {};
}

void GgufModel::add_file(const std::string& path, std::shared_ptr<ReadableFile> file, uint32_t part,
                         GgufHeader header) {
  for (GgufTensor& tensor : header.tensors) {
    tensor.file = part;
    tensors_.push_back(std::move(tensor));
  }
  if (part == 0) {
    version_ = header.version;
    metadata_ = std::move(header.metadata);
  }
  paths_.push_back(path);
  files_.push_back(std::move(file));
}

Status GgufModel::index_tensors() {
  by_name_.clear();
  for (const GgufTensor& tensor : tensors_) {
    const auto index = static_cast<uint32_t>(&tensor - tensors_.data());
    if (by_name_.try_emplace(tensor.name, index).second) continue;
    return Error{ErrorCode::kCorrupt, fmt::format("{}: tensor \"{}\" appears twice",
                                                  paths_[tensor.file], printable(tensor.name))};
  }
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

GgufModel::Place GgufModel::place(const GgufTensor& tensor, uint64_t begin) const {
  CHECK(begin < tensor.bytes);
  GgufTensor::Piece whole;
  const std::span<const GgufTensor::Piece> pieces = places_of(tensor, &whole);
  // join_experts() lets only equal pieces together, so a byte's piece is found by division.
  const uint64_t piece_bytes = tensor.bytes / pieces.size();
  const GgufTensor::Piece& piece = pieces[begin / piece_bytes];
  CHECK(piece.file < files_.size());
  const uint64_t skipped = begin % piece_bytes;
  return {piece.file, piece.offset + skipped, piece_bytes - skipped};
}

Status GgufModel::read(const GgufTensor& tensor, uint64_t begin, MutableByteSpan out) const {
  CHECK(begin <= tensor.bytes && out.size() <= tensor.bytes - begin);
  while (!out.empty()) {
    const Place at = place(tensor, begin);
    MutableByteSpan here = out.first(std::min<uint64_t>(out.size(), at.bytes));
    Status done = files_[at.file]->read_at(at.offset, here);
    if (!done) return done.error().in(fmt::format("tensor \"{}\"", printable(tensor.name)));
    begin += here.size();
    out = out.subspan(here.size());
  }
  return {};
}

Result<ByteVector> GgufModel::read_all(const GgufTensor& tensor) const {
  ByteVector bytes(tensor.bytes);
  if (Status done = read(tensor, 0, bytes); !done) return done.error();
  return bytes;
}

Result<std::vector<float>> GgufModel::read_floats(const GgufTensor& tensor) const {
  if (Status weights = expect_weights(tensor); !weights) return weights.error();
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
  GgufTensor::Piece whole;
  // A header ends where the first tensor of its file begins. A file without tensors is all header.
  std::vector<uint64_t> header_ends;
  for (const auto& file : files_) header_ends.push_back(file->size());
  for (const GgufTensor& tensor : tensors_) {
    for (const GgufTensor::Piece& piece : places_of(tensor, &whole)) {
      header_ends[piece.file] = std::min(header_ends[piece.file], piece.offset);
    }
  }
  // A digest of all bytes would take minutes at a cold start: a 400 GB model at 2 GB/s needs more
  // than three.
  Sha256Stream hash;
  for (size_t i = 0; i < files_.size(); ++i) {
    // Size and time tell files apart whose headers are the same, such as two trainings of one
    // model; they also change when a download replaces the file.
    hash_number(files_[i]->size(), &hash);
    hash_number(static_cast<uint64_t>(files_[i]->modified_ns()), &hash);
    if (Status done = hash_bytes(*files_[i], 0, header_ends[i], &hash); !done) return done.error();
  }
  for (const GgufTensor& tensor : tensors_) {
    const auto pieces = places_of(tensor, &whole);
    const uint64_t sample = std::min(tensor.bytes / pieces.size(), kSampleBytes);
    for (const GgufTensor::Piece& piece : pieces) {
      Status done = hash_bytes(*files_[piece.file], piece.offset, piece.offset + sample, &hash);
      if (!done) return done.error();
    }
  }
  return hash.finish();
}

}  // namespace potluck
