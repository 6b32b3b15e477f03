// GGUF files, versions 2 and 3, single or split, as an immutable description of verified byte
// ranges. Every count, length and offset is compared with the file's real size before it is used;
// after open() returned a model, each tensor is known to lie inside its file. After that all
// methods are const; any thread may call them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/result.h"
#include "engine/base/storage.h"
#include "engine/kernels/block_format.h"

namespace potluck {

// An array of metadata; integers of any width are widened.
using MetadataArray = std::variant<std::vector<int64_t>, std::vector<uint64_t>, std::vector<double>,
                                   std::vector<bool>, std::vector<std::string>>;
using MetadataValue = std::variant<int64_t, uint64_t, double, bool, std::string, MetadataArray>;

class GgufMetadata {
 public:
  const MetadataValue* find(const std::string& key) const;
  bool contains(const std::string& key) const { return find(key) != nullptr; }

  // The value under `key`, converted where nothing is lost; an error names the key, what was
  // expected and what was found (kNotFound when the key is absent).
  Result<uint64_t> integer(const std::string& key) const;
  Result<double> number(const std::string& key) const;
  Result<bool> boolean(const std::string& key) const;
  Result<std::string> text(const std::string& key) const;
  Result<std::vector<std::string>> texts(const std::string& key) const;
  Result<std::vector<int64_t>> integers(const std::string& key) const;
  Result<std::vector<double>> numbers(const std::string& key) const;

  // Keys in the order of the file.
  const std::vector<std::string>& keys() const { return keys_; }

  // False when the key is there already.
  bool insert(std::string key, MetadataValue value);

 private:
  std::vector<std::string> keys_;
  std::unordered_map<std::string, MetadataValue> values_;
};

struct GgufTensor {
  std::string name;
  TensorType type = TensorType::kF32;
  uint32_t rank = 0;
  // Innermost first, as in the file; 1 beyond `rank`. A matrix W[rows, columns] has
  // dimensions {columns, rows}; a bank of experts {columns, rows, experts}.
  std::array<uint64_t, 4> dimensions{1, 1, 1, 1};
  uint32_t file = 0;    // index of the split file
  uint64_t offset = 0;  // absolute, in that file
  uint64_t bytes = 0;
  // Where a tensor stands that was joined from several (joined_experts.h) or is a part of another
  // one (split_gate_up.h): each piece has an equal part of the bytes. Empty for all others; file
  // and offset are the first piece's.
  struct Piece {
    uint32_t file;
    uint64_t offset;
  };
  std::vector<Piece> pieces;

  uint64_t columns() const { return dimensions[0]; }
  uint64_t rows() const { return dimensions[1]; }
  uint64_t count() const { return dimensions[0] * dimensions[1] * dimensions[2] * dimensions[3]; }
  uint64_t row_bytes() const;
  std::string shape_text() const;  // "512 x 256 x 24"
};

// A file's tensor may hold whole numbers (I32), of which only a table can be made; for everything
// else this refuses it by name.
Status expect_weights(const GgufTensor& tensor);

struct GgufHeader;  // gguf_parser.h

class GgufModel {
 public:
  // Opens `path` and, for "...-00001-of-0000N.gguf", all its sisters, unless the file knows nothing
  // of a split. A tensor of a type that is neither in the table of block formats nor I32 is an
  // error that names the tensor and the type. Experts of old files, one tensor each, come out as
  // newer files have them.
  static Result<GgufModel> open(Storage& storage, const std::string& path);

  const std::string& path() const { return paths_.front(); }
  std::span<const std::string> paths() const { return paths_; }
  uint32_t version() const { return version_; }
  uint64_t file_bytes() const;  // of all files together
  const GgufMetadata& metadata() const { return metadata_; }
  std::span<const GgufTensor> tensors() const { return tensors_; }
  const GgufTensor* find(const std::string& name) const;
  // What is odd about the files and the user should know; whole sentences without a full stop.
  std::span<const std::string> notes() const { return notes_; }

  // Reads bytes [begin, begin + out.size()) of the tensor; the range must lie inside it (CHECK).
  // Fails when the file has changed underneath or cannot be read.
  Status read(const GgufTensor& tensor, uint64_t begin, MutableByteSpan out) const;
  Result<ByteVector> read_all(const GgufTensor& tensor) const;
  // Where the byte `begin` of a tensor stands, and how many of it follow there.
  struct Place {
    uint32_t file;
    uint64_t offset;
    uint64_t bytes;
  };
  Place place(const GgufTensor& tensor, uint64_t begin) const;
  // One of the files, as it was opened.
  const ReadableFile& file(uint32_t index) const { return *files_[index]; }
  // Names the content without reading all of it: a digest of the headers, the sizes and times of
  // the files, and the first bytes of every tensor. What was derived from the weights may be kept
  // under this name.
  Result<Digest> fingerprint() const;
  // The tensor decoded to float32, row after row.
  Result<std::vector<float>> read_floats(const GgufTensor& tensor) const;

 private:
  // Adds part `part` (0-based) of `parts`.
  void add_file(const std::string& path, std::shared_ptr<ReadableFile> file, uint32_t part,
                GgufHeader header);
  Status add_files(Storage& storage, const std::string& path);
  Status index_tensors();

  std::vector<std::string> paths_;
  std::vector<std::shared_ptr<ReadableFile>> files_;
  uint32_t version_ = 0;
  GgufMetadata metadata_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string, uint32_t> by_name_;
  std::vector<std::string> notes_;
};

}  // namespace potluck
