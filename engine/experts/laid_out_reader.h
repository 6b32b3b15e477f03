// LaidOutReader: reads experts of a LaidOutFile through another reader, piece by piece, so that its
// threads read, lay out and wait side by side. A request names an expert's address and one part of
// its length, and is done when its last piece is. Belongs to one thread, as any BlockReader.
#pragma once

#include <memory>
#include <unordered_map>

#include "engine/base/block_reader.h"
#include "engine/experts/laid_out_file.h"

namespace potluck {

class LaidOutReader final : public BlockReader {
 public:
  // All requests are for `file`, which must outlive the reader. `pieces` should have threads: they
  // lay out, too.
  LaidOutReader(const LaidOutFile& file, std::unique_ptr<BlockReader> pieces)
      : file_(file), pieces_(std::move(pieces)) {}

  void submit(std::span<const BlockRead> reads) override;
  void promote(uint64_t tag) override;
  void collect(std::vector<BlockReadDone>* done, bool wait) override;
  size_t outstanding() const override { return experts_.size(); }
  uint32_t depth() const override { return pieces_->depth(); }
  std::string_view name() const override { return pieces_->name(); }

 private:
  struct Expert {
    uint64_t first_piece = 0;  // tags of its pieces count from here
    uint32_t pieces = 0;
    uint32_t left = 0;
    Status status;     // the first failure
    Duration took{0};  // of all pieces together
  };

  const LaidOutFile& file_;
  std::unique_ptr<BlockReader> pieces_;
  std::unordered_map<uint64_t, Expert> experts_;     // by the owner's tag
  std::unordered_map<uint64_t, uint64_t> of_piece_;  // the owner's tag by the piece's
  uint64_t next_piece_ = 0;
  std::vector<BlockRead> requests_;
  std::vector<BlockReadDone> pieces_done_;
};

}  // namespace potluck
