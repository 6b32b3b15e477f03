// LaidOutFile: the experts of a GGUF file as if it held them laid out: what is read of it is read
// from the GGUF file, past the page cache, and laid out on the way. For experts that are streamed
// without a store of their own.
//
// Of each expert the file has a few ranges, one or more for each of gate, up and down: its pieces,
// and a piece consists of runs of rows, its parts. A reader asks where a piece lies, reads it into
// a buffer, and has its parts laid out into the expert's memory, in any order and on several
// threads at once. LaidOutReader does this with many reads in flight, read_at() for one expert in
// the calling thread.
//
// There is no digest to compare with: nothing has read all of the file before. What is noticed: a
// file that was replaced since the model was opened, or written to or cut meanwhile (its size and
// time are asked for after every read), and a part that is read again and is another one
// (checksums; a bad cable or disk).
//
// Const methods, any thread.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "engine/base/storage.h"
#include "engine/experts/grain_cutter.h"
#include "engine/experts/lay_out.h"

namespace potluck {

class LaidOutFile final : public ReadableFile {
 public:
  // About as much of the GGUF file is read at a time: enough for a disk's full rate.
  static constexpr uint64_t kPieceBytes = 1 * kMiB;
  // About as much is laid out at a time: still in a core's cache after its checksum was taken.
  static constexpr uint64_t kPartBytes = 128 * kKiB;

  struct Place {
    uint64_t address = 0;
    uint64_t bytes = 0;       // laid out
    uint64_t file_bytes = 0;  // that are read for it
    uint32_t pieces = 0;
  };

  // Names a piece of an expert by the expert's address.
  struct PieceId {
    uint64_t address = 0;
    uint32_t piece = 0;
  };

  // What is read for a piece: whole blocks of the disk, so a little more at both ends.
  struct PieceRead {
    const ReadableFile* file = nullptr;
    uint64_t offset = 0;
    uint64_t bytes = 0;  // at most buffer_bytes()
    uint32_t parts = 0;
  };

  // `model` and `cutter` must outlive the file. kCorrupt when the files are no longer those that
  // the model was read from.
  static Result<std::unique_ptr<LaidOutFile>> open(const GgufModel& model,
                                                   const GrainCutter& cutter, Storage& storage);

  Place place(uint32_t layer, uint32_t expert) const;  // both must exist (CHECK)
  // How many pieces the expert at this address has.
  uint32_t pieces_at(uint64_t address) const;
  PieceRead piece_read(PieceId id) const;
  // Lays out one part of a piece, whose PieceRead was read into `read`, into the memory of the
  // whole expert.
  Status lay_out(PieceId id, uint32_t part, ByteSpan read, MutableByteSpan expert) const;
  // What the largest piece takes to be read: whole blocks of a disk.
  uint64_t buffer_bytes() const { return buffer_bytes_; }
  // The largest of the GGUF files, to measure the disk on.
  const ReadableFile& sample() const;

  uint64_t size() const override { return end_; }
  uint64_t direct_alignment() const override { return 1; }
  // A whole expert: its address, and all of its bytes.
  Status read_at(uint64_t offset, MutableByteSpan out) const override;

 private:
  // Rows of one matrix, the same of every expert of a layer.
  struct Piece {
    ExpertMatrix matrix;
    uint32_t first;
    uint32_t count;
    uint32_t part_rows;   // of each of its parts but the last
    uint32_t first_part;  // of the expert's parts
    uint32_t parts;
  };
  struct Layer {
    const ExpertBank* bank;
    const ShapeTables* tables;
    std::vector<Piece> pieces;
    uint32_t parts;           // of an expert
    uint64_t begin;           // address of the first expert
    uint64_t stride;          // from one expert to the next
    uint64_t file_bytes;      // of an expert
    uint64_t first_checksum;  // index of that of the first expert's first part
  };
  struct File {
    std::string path;
    std::unique_ptr<ReadableFile> file;
    FileVersion version;
  };
  // Where a piece lies in the files.
  struct PiecePlace {
    const Layer* layer;
    const Piece* piece;
    const File* file;
    uint64_t row_bytes;
    uint64_t offset;  // of its first row in the file
    uint64_t begin;   // of the blocks of the disk that hold it
    uint64_t end;
    uint32_t expert;
  };

  LaidOutFile(const GgufModel& model, const GrainCutter& cutter);
  Status open_files(Storage& storage);
  void add_layer(const ExpertBank& bank);
  void add_pieces(const GgufTensor& tensor, ExpertMatrix matrix, Layer* layer);
  const Layer& layer_at(uint64_t address) const;
  PiecePlace place_of(PieceId id) const;
  Status check_unchanged(const File& file) const;
  Status check_repeated(const File& file, uint64_t index, uint64_t offset, ByteSpan bytes) const;

  const GgufModel& model_;
  const GrainCutter& cutter_;
  std::vector<File> files_;        // as the model counts them
  std::vector<Layer> layers_;      // by address
  std::vector<int32_t> of_layer_;  // index into layers_, -1 for none
  uint64_t end_ = 0;
  uint64_t buffer_bytes_ = 0;
  // Of every part that was read once; 0: not yet.
  mutable std::vector<std::atomic<uint64_t>> checksums_;
};

}  // namespace potluck
