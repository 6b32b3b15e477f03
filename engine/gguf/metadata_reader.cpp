// Integers are widened to 64 bits and floats to double while they are read, so no caller sees
// GGUF's thirteen types.
#include "engine/gguf/metadata_reader.h"

#include <fmt/format.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

// The numbers are GGUF's (gguf_type).
enum ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

Error unknown_type(uint32_t type) {
  return {ErrorCode::kCorrupt,
          fmt::format("expected a value type from 0 to 12, found number {}", type)};
}

// The least that one value takes in the file; 0 for what cannot stand in an array.
uint64_t least_bytes(uint32_t type) {
  switch (type) {
    case kUint8:
    case kInt8:
    case kBool:
      return 1;
    case kUint16:
    case kInt16:
      return 2;
    case kUint32:
    case kInt32:
    case kFloat32:
      return 4;
    case kString:  // its length
    case kUint64:
    case kInt64:
    case kFloat64:
      return 8;
    default:
      return 0;
  }
}

Result<bool> read_bool(FileReader& reader) {
  auto byte = reader.read<uint8_t>();
  if (!byte) return byte.error();
  // A bool whose byte is neither 0 nor 1 has no defined value in C++.
  if (*byte > 1) {
    return Error{ErrorCode::kCorrupt, fmt::format("expected a boolean 0 or 1, found {}", *byte)};
  }
  return *byte == 1;
}

Result<std::string> read_text(FileReader& reader) {
  return reader.read_string(limits::kMetadataStringBytes);
}

template <class Stored>
Result<Stored> read_plain(FileReader& reader) {
  return reader.read<Stored>();
}

// Reads one value with `read` and widens it to Kept.
template <class Kept, class Read>
Result<MetadataValue> one(FileReader& reader, const Read& read) {
  auto value = read(reader);
  if (!value) return value.error();
  return MetadataValue(static_cast<Kept>(std::move(*value)));
}

// Reads `count` values with `read` and widens each to Kept.
template <class Kept, class Read>
Result<MetadataValue> many(FileReader& reader, uint64_t count, const Read& read) {
  std::vector<Kept> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    auto value = read(reader);
    if (!value) return value.error().in(fmt::format("element {}", i));
    values.push_back(static_cast<Kept>(std::move(*value)));
  }
  return MetadataValue(MetadataArray(std::move(values)));
}

Result<MetadataValue> read_scalar(FileReader& reader, uint32_t type) {
  switch (type) {
    case kUint8:
      return one<uint64_t>(reader, read_plain<uint8_t>);
    case kInt8:
      return one<int64_t>(reader, read_plain<int8_t>);
    case kUint16:
      return one<uint64_t>(reader, read_plain<uint16_t>);
    case kInt16:
      return one<int64_t>(reader, read_plain<int16_t>);
    case kUint32:
      return one<uint64_t>(reader, read_plain<uint32_t>);
    case kInt32:
      return one<int64_t>(reader, read_plain<int32_t>);
    case kUint64:
      return one<uint64_t>(reader, read_plain<uint64_t>);
    case kInt64:
      return one<int64_t>(reader, read_plain<int64_t>);
    case kFloat32:
      return one<double>(reader, read_plain<float>);
    case kFloat64:
      return one<double>(reader, read_plain<double>);
    case kBool:
      return one<bool>(reader, read_bool);
    case kString:
      return one<std::string>(reader, read_text);
    default:
      return unknown_type(type);
  }
}

Result<MetadataValue> read_elements(FileReader& reader, uint32_t type, uint64_t count) {
  switch (type) {
    case kUint8:
      return many<uint64_t>(reader, count, read_plain<uint8_t>);
    case kInt8:
      return many<int64_t>(reader, count, read_plain<int8_t>);
    case kUint16:
      return many<uint64_t>(reader, count, read_plain<uint16_t>);
    case kInt16:
      return many<int64_t>(reader, count, read_plain<int16_t>);
    case kUint32:
      return many<uint64_t>(reader, count, read_plain<uint32_t>);
    case kInt32:
      return many<int64_t>(reader, count, read_plain<int32_t>);
    case kUint64:
      return many<uint64_t>(reader, count, read_plain<uint64_t>);
    case kInt64:
      return many<int64_t>(reader, count, read_plain<int64_t>);
    case kFloat32:
      return many<double>(reader, count, read_plain<float>);
    case kFloat64:
      return many<double>(reader, count, read_plain<double>);
    case kBool:
      return many<bool>(reader, count, read_bool);
    case kString:
      return many<std::string>(reader, count, read_text);
    default:
      return unknown_type(type);
  }
}

Result<MetadataValue> read_array(FileReader& reader) {
  auto type = reader.read<uint32_t>();
  if (!type) return type.error();
  auto count = reader.read<uint64_t>();
  if (!count) return count.error();
  // The format allows arrays of arrays. No known key has one, and refusing them bounds the depth
  // without a counter.
  if (*type == kArray) return Error{ErrorCode::kUnsupported, "nested arrays are not supported"};
  uint64_t least = least_bytes(*type);
  if (least == 0) return unknown_type(*type);
  // Before anything is reserved: a count of 2^60 must cost nothing.
  if (Status fits = reader.expect_entries("array elements", *count, least); !fits) {
    return fits.error();
  }
  return read_elements(reader, *type, *count);
}

}  // namespace

Result<MetadataValue> read_metadata_value(FileReader& reader) {
  auto type = reader.read<uint32_t>();
  if (!type) return type.error();
  return *type == kArray ? read_array(reader) : read_scalar(reader, *type);
}

}  // namespace potluck
