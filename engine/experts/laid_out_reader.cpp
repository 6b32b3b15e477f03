#include "engine/experts/laid_out_reader.h"

namespace potluck {

void LaidOutReader::submit(std::span<const BlockRead> reads) {
  requests_.clear();
  for (const BlockRead& read : reads) {
    Expert& expert = experts_[read.tag];
    expert = {next_piece_, file_.pieces_at(read.offset), 0, {}, Duration(0)};
    expert.left = expert.pieces;
    for (uint32_t i = 0; i < expert.pieces; ++i) {
      BlockRead piece = read;
      piece.offset = read.offset + i;
      piece.tag = next_piece_++;
      of_piece_[piece.tag] = read.tag;
      requests_.push_back(piece);
    }
  }
  pieces_->submit(requests_);
}

void LaidOutReader::promote(uint64_t tag) {
  auto found = experts_.find(tag);
  if (found == experts_.end()) return;
  const Expert& expert = found->second;
  for (uint32_t i = 0; i < expert.pieces; ++i) pieces_->promote(expert.first_piece + i);
}

// With `wait`, until an expert is complete: its pieces are read in order, so that is soon.
void LaidOutReader::collect(std::vector<BlockReadDone>* done, bool wait) {
  size_t before = done->size();
  do {
    pieces_done_.clear();
    pieces_->collect(&pieces_done_, wait);
    for (BlockReadDone& piece : pieces_done_) {
      auto owner = of_piece_.extract(piece.tag);
      Expert& expert = experts_.at(owner.mapped());
      expert.took += piece.took;
      if (expert.status && !piece.status) expert.status = std::move(piece.status);
      if (--expert.left > 0) continue;
      done->push_back({owner.mapped(), std::move(expert.status), expert.took});
      experts_.erase(owner.mapped());
    }
  } while (wait && done->size() == before && !experts_.empty());
}

}  // namespace potluck
