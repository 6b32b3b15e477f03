// LaidOutReader: reads experts of a LaidOutFile through another reader, piece by piece, into
// buffers of its own, and lays out what has come while the next pieces come. A request names an
// expert's address and is given the whole expert's memory; it is done when its last piece is laid
// out.
//
// The owner's thread and the others of its pool lay out, part by part, in collect(). Between two
// calls what has come waits in its buffer; there are more buffers than reads at the device, so that
// the disk goes on. Belongs to one thread, as any BlockReader.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>

#include "engine/base/block_reader.h"
#include "engine/base/direct_buffer.h"
#include "engine/base/read_queue.h"
#include "engine/base/thread_pool.h"
#include "engine/experts/laid_out_file.h"

namespace potluck {

class LaidOutReader final : public BlockReader {
 public:
  // All requests are for `file`, which must outlive the reader, as must `threads`, which the owner
  // uses for other work between calls. Buffers take about `memory_bytes`, but no fewer than the
  // disk needs, and no more than help.
  LaidOutReader(const LaidOutFile& file, std::unique_ptr<BlockReader> pieces, ThreadPool& threads,
                uint64_t memory_bytes = 0);

  // What it takes beside the experts' memory.
  uint64_t buffer_bytes() { return buffers_.span().size(); }

  void submit(std::span<const BlockRead> reads) override;
  void promote(uint64_t tag) override;
  void collect(std::vector<BlockReadDone>* done, bool wait) override;
  size_t outstanding() const override { return experts_.size(); }
  uint32_t depth() const override { return pieces_->depth(); }
  std::string_view name() const override { return pieces_->name(); }

 private:
  struct Expert {
    uint64_t address = 0;
    MutableByteSpan memory;
    uint32_t left = 0;  // pieces that are not laid out
    Status status;      // the first failure
    Duration took{0};   // of all pieces together
  };
  // Of the expert whose pieces are being given to the reader.
  struct Cut {
    BlockRead read;
    uint32_t next = 0;
    uint32_t pieces = 0;
  };
  // A piece that has a buffer; its number is its tag.
  struct Slot {
    uint64_t owner = 0;  // the tag of its expert
    LaidOutFile::PieceId id;
    LaidOutFile::PieceRead read;
    bool busy = false;
  };
  struct Part {
    uint32_t slot = 0;
    uint32_t part = 0;
    Status status;
  };

  MutableByteSpan buffer(uint32_t slot);
  void start_pieces();
  void lay_out_landed();
  void finish_piece(uint32_t slot, std::vector<BlockReadDone>* done);

  const LaidOutFile& file_;
  ThreadPool& threads_;
  std::unordered_map<uint64_t, Expert> experts_;  // by the owner's tag
  ReadQueue waiting_;                             // experts of which no piece has a buffer
  std::optional<Cut> cut_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> vacant_;
  std::vector<BlockRead> requests_;
  std::vector<BlockReadDone> landed_;
  std::vector<Part> parts_;
  DirectBuffer buffers_;
  // Last: its destructor waits for reads into the buffers.
  std::unique_ptr<BlockReader> pieces_;
};

}  // namespace potluck
