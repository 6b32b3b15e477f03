#include "engine/base/inline_reader.h"

namespace potluck {

void InlineBlockReader::submit(std::span<const BlockRead> reads) {
  for (const BlockRead& read : reads) queue_.push(read);
  outstanding_ += reads.size();
}

// Reads happen here and not in submit(), so that promote() finds something to move, as with a real
// disk.
void InlineBlockReader::collect(std::vector<BlockReadDone>* done, bool) {
  while (std::optional<BlockRead> read = queue_.pop()) {
    TimePoint start = clock_.now();
    Status status = read->file->read_parts_at(read->offset, read->parts.span());
    done->push_back({read->tag, std::move(status), clock_.now() - start});
  }
  outstanding_ = 0;
}

}  // namespace potluck
