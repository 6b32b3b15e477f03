// The layout is that of the GGUF specification in ggml's repository. Parsing stops at the first
// byte that contradicts it: no later step has to doubt what an earlier one has let through.
#include "engine/gguf/gguf_parser.h"

#include <algorithm>
#include <bit>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/base/printable.h"
#include "engine/gguf/metadata_reader.h"
#include "engine/gguf/tensor_types.h"

namespace potluck {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF", little-endian
// Version 1 had 32-bit counts and was replaced within weeks; version 3 only added big-endian files.
constexpr uint32_t kOldestVersion = 2;
constexpr uint32_t kNewestVersion = 3;
// The least that an entry can take. Counts are compared with the file by these, so no loop runs
// longer and no vector is larger than a file of that size allows. Here: key length, one byte of
// key, value type, one byte of value.
constexpr uint64_t kLeastPairBytes = 8 + 1 + 4 + 1;
// Name length, one byte of name, rank, one dimension, type, offset.
constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;
// ggml keeps sizes in signed 64-bit integers, so a larger value was not written for it.
constexpr uint64_t kLargestInteger = INT64_MAX;

Error corrupt(std::string message) {
  return {ErrorCode::kCorrupt, std::move(message)};
}

Status check_version(uint32_t version) {
  if (version >= kOldestVersion && version <= kNewestVersion) return {};
  // The magic is four single bytes and reads alike in both orders. A small version with its bytes
  // swapped has its low 16 bits clear.
  if (version != 0 && (version & 0xffff) == 0) {
    return Error{ErrorCode::kUnsupported, "expected a little-endian file, found a big-endian one"};
  }
  return Error{ErrorCode::kUnsupported, fmt::format("expected GGUF version {} or {}, found {}",
                                                    kOldestVersion, kNewestVersion, version)};
}

std::string tensor_label(std::string_view name) {
  return fmt::format("tensor \"{}\"", printable(name));
}

Status check_value_count(const GgufTensor& tensor) {
  uint64_t count = 1;
  for (uint64_t dimension : tensor.dimensions) {
    if (!checked_multiply(count, dimension, &count) || count > kLargestInteger) {
      return corrupt(fmt::format("the number of values of a shape {} does not fit 63 bits",
                                 tensor.shape_text()));
    }
  }
  return {};
}

// Weights, or tables of whole numbers, which whoever loads a tensor tells apart.
const BlockFormat* find_stored_format(uint32_t type) {
  const bool is_table = type == static_cast<uint32_t>(TensorType::kI32);
  return is_table ? &block_format(TensorType::kI32) : find_block_format(type);
}

// Sets the format of a tensor, from which its size follows; rows must be whole blocks.
Status set_format(GgufTensor& tensor, uint32_t type) {
  const BlockFormat* format = find_stored_format(type);
  if (format == nullptr) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("expected one of the types {}, found {}", supported_tensor_types(),
                             tensor_type_name(type))};
  }
  tensor.type = format->type;
  // A block never spans two rows. Everything that cuts matrices into rows relies on that.
  if (tensor.dimensions[0] % format->block_elements != 0) {
    return corrupt(fmt::format("expected rows of whole {} blocks of {} values, found {} values",
                               format->name, format->block_elements, tensor.dimensions[0]));
  }
  uint64_t blocks = tensor.count() / format->block_elements;
  if (!checked_multiply(blocks, format->block_bytes, &tensor.bytes) ||
      tensor.bytes > kLargestInteger) {
    return corrupt(fmt::format("the size of a shape {} does not fit 63 bits", tensor.shape_text()));
  }
  return {};
}

// Turns the offset within the data section into one in the file.
Status place_tensor(GgufTensor& tensor, uint64_t data_start, uint64_t file_size) {
  uint64_t begin = 0;
  uint64_t end = 0;
  if (!checked_add(data_start, tensor.offset, &begin) || !checked_add(begin, tensor.bytes, &end) ||
      end > file_size) {
    return corrupt(
        fmt::format("{} bytes at offset {} of the data, which start at {}, end beyond the file's "
                    "{} bytes",
                    tensor.bytes, tensor.offset, data_start, file_size));
  }
  tensor.offset = begin;
  return {};
}

// No two tensors may share bytes: a small file could otherwise describe a huge model, and each
// tensor would be loaded. Sorted by offset, only neighbors can overlap.
Status check_overlaps(const std::vector<GgufTensor>& tensors) {
  std::vector<const GgufTensor*> ordered;
  ordered.reserve(tensors.size());
  for (const GgufTensor& tensor : tensors) ordered.push_back(&tensor);
  std::sort(ordered.begin(), ordered.end(),
            [](const GgufTensor* a, const GgufTensor* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < ordered.size(); ++i) {
    const GgufTensor& before = *ordered[i - 1];
    if (before.offset + before.bytes > ordered[i]->offset) {
      return corrupt(fmt::format("the data of {} and {} overlap", tensor_label(before.name),
                                 tensor_label(ordered[i]->name)));
    }
  }
  return {};
}

}  // namespace

GgufParser::GgufParser(const ReadableFile& file)
    : file_(file), reader_(file, limits::kModelHeaderBytes) {}

Result<GgufHeader> GgufParser::parse() {
  for (auto step :
       {&GgufParser::parse_preamble, &GgufParser::parse_metadata, &GgufParser::parse_alignment,
        &GgufParser::parse_tensors, &GgufParser::place_tensors}) {
    if (Status done = (this->*step)(); !done) return done.error();
  }
  return std::move(header_);
}

Status GgufParser::parse_preamble() {
  auto magic = reader_.read<uint32_t>();
  if (!magic) return magic.error();
  if (*magic != kMagic) {
    uint32_t found = *magic;
    return corrupt(fmt::format("not a GGUF file: expected it to start with \"GGUF\", found \"{}\"",
                               printable(as_text(std::as_bytes(std::span(&found, 1))))));
  }
  auto version = reader_.read<uint32_t>();
  if (!version) return version.error();
  if (Status known = check_version(*version); !known) return known;
  header_.version = *version;
  auto tensor_count = reader_.read<uint64_t>();
  if (!tensor_count) return tensor_count.error();
  auto pair_count = reader_.read<uint64_t>();
  if (!pair_count) return pair_count.error();
  tensor_count_ = *tensor_count;
  pair_count_ = *pair_count;
  // Both counts before the first pair: a count of 2^60 is the first thing that is wrong with such a
  // file.
  Status pairs = reader_.expect_entries("metadata pairs", pair_count_, kLeastPairBytes);
  if (!pairs) return pairs;
  return reader_.expect_entries("tensors", tensor_count_, kLeastTensorBytes);
}

Status GgufParser::parse_metadata() {
  for (uint64_t i = 0; i < pair_count_; ++i) {
    auto key = reader_.read_string(limits::kNameBytes);
    if (!key) return key.error().in(fmt::format("key {} of {}", i + 1, pair_count_));
    std::string label = fmt::format("key \"{}\"", printable(*key));
    if (key->empty()) return corrupt(fmt::format("key {} of {} is empty", i + 1, pair_count_));
    auto value = read_metadata_value(reader_);
    if (!value) return value.error().in(label);
    if (!header_.metadata.insert(std::move(*key), std::move(*value))) {
      return corrupt(label + " appears twice");
    }
  }
  return {};
}

Status GgufParser::parse_alignment() {
  // The key may stand anywhere among the metadata, hence a step of its own before the first offset
  // is compared with it.
  const std::string key = "general.alignment";
  if (!header_.metadata.contains(key)) return {};
  auto alignment = header_.metadata.integer(key);
  if (!alignment) return alignment.error();
  // round_up() works for powers of two alone, and 0 would divide by zero.
  if (!std::has_single_bit(*alignment) || *alignment > limits::kAlignment) {
    return corrupt(fmt::format("key \"{}\": expected a power of two up to {}, found {}", key,
                               limits::kAlignment, *alignment));
  }
  alignment_ = *alignment;
  return {};
}

Status GgufParser::parse_tensors() {
  // Again: the metadata have taken their part of the file since, and now memory is reserved.
  Status fits = reader_.expect_entries("tensors", tensor_count_, kLeastTensorBytes);
  if (!fits) return fits;
  header_.tensors.reserve(tensor_count_);
  for (uint64_t i = 0; i < tensor_count_; ++i) {
    auto tensor = parse_tensor();
    if (!tensor) return tensor.error().in(fmt::format("tensor {} of {}", i + 1, tensor_count_));
    header_.tensors.push_back(std::move(*tensor));
  }
  return {};
}

Result<GgufTensor> GgufParser::parse_tensor() {
  auto name = reader_.read_string(limits::kNameBytes);
  if (!name) return name.error();
  if (name->empty()) return corrupt("its name is empty");
  GgufTensor tensor;
  tensor.name = std::move(*name);
  std::string label = tensor_label(tensor.name);
  if (Status shaped = parse_dimensions(tensor); !shaped) return shaped.error().in(label);
  auto type = reader_.read<uint32_t>();
  if (!type) return type.error().in(label);
  if (Status known = set_format(tensor, *type); !known) return known.error().in(label);
  auto offset = reader_.read<uint64_t>();
  if (!offset) return offset.error().in(label);
  if (*offset % alignment_ != 0) {
    return corrupt(fmt::format("expected an offset that is a multiple of {}, found {}", alignment_,
                               *offset))
        .in(label);
  }
  tensor.offset = *offset;
  return tensor;
}

Status GgufParser::parse_dimensions(GgufTensor& tensor) {
  auto rank = reader_.read<uint32_t>();
  if (!rank) return rank.error();
  if (*rank < 1 || *rank > limits::kTensorDimensions) {
    return corrupt(
        fmt::format("expected 1 to {} dimensions, found {}", limits::kTensorDimensions, *rank));
  }
  tensor.rank = *rank;
  for (uint32_t i = 0; i < *rank; ++i) {
    auto dimension = reader_.read<uint64_t>();
    if (!dimension) return dimension.error();
    if (*dimension < 1 || *dimension > kLargestInteger) {
      return corrupt(fmt::format("expected dimension {} from 1 to 2^63 - 1, found {}", i,
                                 static_cast<int64_t>(*dimension)));
    }
    tensor.dimensions[i] = *dimension;
  }
  return check_value_count(tensor);
}

Status GgufParser::place_tensors() {
  // Offsets count from the end of the padded header, which is known only when the whole tensor list
  // was read.
  uint64_t data_start = round_up(reader_.position(), alignment_);
  for (GgufTensor& tensor : header_.tensors) {
    Status placed = place_tensor(tensor, data_start, file_.size());
    if (!placed) return placed.error().in(tensor_label(tensor.name));
  }
  return check_overlaps(header_.tensors);
}

}  // namespace potluck
