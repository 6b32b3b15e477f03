// GgufBuilder: writes GGUF files byte by byte for tests, valid ones and such as no honest writer
// would write. It shares no code with the reader, so that the two check each other. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace potluck::test {

using Bytes = std::vector<std::byte>;

// GGUF's numbers of value types.
namespace gguf_type {
inline constexpr uint32_t kUint8 = 0, kInt8 = 1, kUint16 = 2, kInt16 = 3, kUint32 = 4, kInt32 = 5,
                          kFloat32 = 6, kBool = 7, kString = 8, kArray = 9, kUint64 = 10,
                          kInt64 = 11, kFloat64 = 12;

inline uint32_t of(uint8_t) {
  return kUint8;
}
inline uint32_t of(int8_t) {
  return kInt8;
}
inline uint32_t of(uint16_t) {
  return kUint16;
}
inline uint32_t of(int16_t) {
  return kInt16;
}
inline uint32_t of(uint32_t) {
  return kUint32;
}
inline uint32_t of(int32_t) {
  return kInt32;
}
inline uint32_t of(uint64_t) {
  return kUint64;
}
inline uint32_t of(int64_t) {
  return kInt64;
}
inline uint32_t of(float) {
  return kFloat32;
}
inline uint32_t of(double) {
  return kFloat64;
}
inline uint32_t of(bool) {
  return kBool;
}
inline uint32_t of(const std::string&) {
  return kString;
}
}  // namespace gguf_type

// Appends values as GGUF stores them.
class GgufBytes {
 public:
  template <class T>
  GgufBytes& put(T value) {
    auto* raw = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), raw, raw + sizeof value);
    return *this;
  }
  GgufBytes& put(const std::string& text) {
    put<uint64_t>(text.size());
    return raw(text.data(), text.size());
  }
  GgufBytes& raw(const void* data, size_t size) {
    auto* from = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), from, from + size);
    return *this;
  }
  GgufBytes& raw(const Bytes& bytes) { return raw(bytes.data(), bytes.size()); }
  void pad_to(size_t multiple) {
    while (bytes_.size() % multiple != 0) bytes_.push_back(std::byte{0});
  }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

// The raw bytes of values, as a tensor's data.
template <class T>
Bytes bytes_of(const std::vector<T>& values) {
  Bytes bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

class GgufBuilder {
 public:
  struct Tensor {
    std::string name;
    uint32_t type = 0;  // ggml's number; 0 is float32
    std::vector<uint64_t> dimensions;
    Bytes data;
    std::optional<uint64_t> offset;  // in the data section; where the data lie if absent
  };

  // --- The preamble ---
  GgufBuilder& magic(std::string_view four) { return set(magic_, std::string(four)); }
  GgufBuilder& version(uint32_t version) { return set(version_, version); }
  GgufBuilder& claim_pairs(uint64_t count) { return set(claimed_pairs_, count); }
  GgufBuilder& claim_tensors(uint64_t count) { return set(claimed_tensors_, count); }

  // --- Metadata ---
  // T names the stored type: value<uint32_t>("split.count", 2).
  template <class T>
  GgufBuilder& value(const std::string& key, T plain) {
    GgufBytes pair;
    pair.put(key).put<uint32_t>(gguf_type::of(plain)).put(plain);
    return raw_pair(pair.bytes());
  }
  GgufBuilder& text(const std::string& key, const std::string& text) { return value(key, text); }
  template <class T>
  GgufBuilder& array(const std::string& key, const std::vector<T>& values) {
    GgufBytes pair;
    pair.put(key).template put<uint32_t>(gguf_type::kArray);
    pair.template put<uint32_t>(gguf_type::of(T())).template put<uint64_t>(values.size());
    for (const T& element : values) pair.put(element);
    return raw_pair(pair.bytes());
  }
  // Counts as one pair, regardless of the bytes.
  GgufBuilder& raw_pair(const Bytes& bytes) {
    pairs_.push_back(bytes);
    return *this;
  }
  // Writes general.alignment and lays the data out by it.
  GgufBuilder& alignment(uint32_t bytes) {
    alignment_ = bytes;
    return value<uint32_t>("general.alignment", bytes);
  }

  // --- Tensors ---
  GgufBuilder& tensor(const Tensor& tensor) {
    tensors_.push_back({entry(tensor, next_offset()), tensor.data, next_offset()});
    return *this;
  }
  GgufBuilder& floats(const std::string& name, const std::vector<uint64_t>& dimensions,
                      const std::vector<float>& values) {
    return tensor({name, 0, dimensions, bytes_of(values), std::nullopt});
  }
  // Counts as one tensor, regardless of the bytes of its entry.
  GgufBuilder& raw_tensor(const Bytes& entry_bytes) {
    tensors_.push_back({entry_bytes, {}, next_offset()});
    return *this;
  }

  // The last tensor's data are not padded: every byte of the file counts.
  Bytes build() const {
    GgufBytes file;
    file.raw(magic_.data(), magic_.size()).put(version_);
    file.put(claimed_tensors_.value_or(tensors_.size()))
        .put(claimed_pairs_.value_or(pairs_.size()));
    for (const Bytes& pair : pairs_) file.raw(pair);
    for (const Placed& tensor : tensors_) file.raw(tensor.entry);
    for (const Placed& tensor : tensors_) {
      if (tensor.data.empty()) continue;
      file.pad_to(alignment_);
      file.raw(tensor.data);
    }
    return file.bytes();
  }

 private:
  struct Placed {
    Bytes entry;
    Bytes data;
    uint64_t offset;
  };

  template <class T, class U>
  GgufBuilder& set(T& member, U value) {
    member = std::move(value);
    return *this;
  }

  static Bytes entry(const Tensor& tensor, uint64_t offset) {
    GgufBytes bytes;
    bytes.put(tensor.name).put(static_cast<uint32_t>(tensor.dimensions.size()));
    for (uint64_t dimension : tensor.dimensions) bytes.put(dimension);
    bytes.put(tensor.type).put(tensor.offset.value_or(offset));
    return bytes.bytes();
  }

  uint64_t next_offset() const {
    if (tensors_.empty()) return 0;
    uint64_t end = tensors_.back().offset + tensors_.back().data.size();
    return (end + alignment_ - 1) / alignment_ * alignment_;
  }

  std::string magic_ = "GGUF";
  uint32_t version_ = 3;
  uint32_t alignment_ = 32;
  std::optional<uint64_t> claimed_pairs_;
  std::optional<uint64_t> claimed_tensors_;
  std::vector<Bytes> pairs_;
  std::vector<Placed> tensors_;
};

}  // namespace potluck::test
