#include "engine/experts/laid_out_reader.h"

#include <algorithm>

namespace potluck {
namespace {

// For each read at the device one more at least that waits its turn there or to be laid out: reads
// that began together end together.
constexpr uint64_t kBuffersPerRead = 2;
// The disk goes on for as long as there are buffers, however late the owner comes back: on a busy
// machine that takes tens of milliseconds.
constexpr uint64_t kMostBuffers = 64;

uint64_t buffers_for(const LaidOutFile& file, uint32_t depth, uint64_t memory_bytes) {
  uint64_t least = depth * kBuffersPerRead;
  return std::clamp(memory_bytes / file.buffer_bytes(), least, std::max(least, kMostBuffers));
}

}  // namespace

LaidOutReader::LaidOutReader(const LaidOutFile& file, std::unique_ptr<BlockReader> pieces,
                             ThreadPool& threads, uint64_t memory_bytes)
    : file_(file),
      threads_(threads),
      slots_(buffers_for(file, pieces->depth(), memory_bytes)),
      // Whole huge pages: reads into others had half of the rate.
      buffers_(round_up<uint64_t>(slots_.size() * file.buffer_bytes(), Buffer::kHugePage),
               "pieces of experts on their way"),
      pieces_(std::move(pieces)) {
  for (size_t i = slots_.size(); i > 0; --i) vacant_.push_back(static_cast<uint32_t>(i - 1));
}

MutableByteSpan LaidOutReader::buffer(uint32_t slot) {
  return buffers_.span().subspan(slot * file_.buffer_bytes(), slots_[slot].read.bytes);
}

void LaidOutReader::submit(std::span<const BlockRead> reads) {
  for (const BlockRead& read : reads) {
    CHECK(read.parts.size() == 1);
    experts_[read.tag] = {
        read.offset, read.parts.span().front(), file_.pieces_at(read.offset), {}, Duration(0)};
    waiting_.push(read);
  }
  start_pieces();
}

// As many as have buffers.
void LaidOutReader::start_pieces() {
  requests_.clear();
  while (!vacant_.empty()) {
    if (!cut_) {
      std::optional<BlockRead> next = waiting_.pop();
      if (!next) break;
      cut_ = Cut{*next, 0, file_.pieces_at(next->offset)};
    }
    uint32_t index = vacant_.back();
    vacant_.pop_back();
    Slot& slot = slots_[index];
    slot = {cut_->read.tag, {cut_->read.offset, cut_->next}, {}, true};
    slot.read = file_.piece_read(slot.id);
    requests_.push_back(
        {slot.read.file, slot.read.offset, buffer(index), index, cut_->read.prefetch});
    if (++cut_->next == cut_->pieces) cut_.reset();
  }
  pieces_->submit(requests_);
}

void LaidOutReader::promote(uint64_t tag) {
  waiting_.promote(tag);
  if (cut_ && cut_->read.tag == tag) cut_->read.prefetch = false;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].busy && slots_[i].owner == tag) pieces_->promote(i);
  }
}

// With `wait`, until an expert is complete: its pieces are read in order, so that is soon. Reads
// for the buffers that are free start before anything is laid out.
void LaidOutReader::collect(std::vector<BlockReadDone>* done, bool wait) {
  size_t before = done->size();
  do {
    landed_.clear();
    pieces_->collect(&landed_, wait);
    lay_out_landed();
    for (const BlockReadDone& piece : landed_) {
      finish_piece(static_cast<uint32_t>(piece.tag), done);
    }
    start_pieces();
  } while (wait && done->size() == before && !experts_.empty());
}

void LaidOutReader::lay_out_landed() {
  parts_.clear();
  for (BlockReadDone& piece : landed_) {
    auto index = static_cast<uint32_t>(piece.tag);
    const Slot& slot = slots_[index];
    Expert& expert = experts_.at(slot.owner);
    expert.took += piece.took;
    if (expert.status && !piece.status) expert.status = std::move(piece.status);
    if (!expert.status) continue;
    for (uint32_t part = 0; part < slot.read.parts; ++part) parts_.push_back({index, part, {}});
  }
  threads_.run(parts_.size(), [this](size_t task, int) {
    Part& part = parts_[task];
    const Slot& slot = slots_[part.slot];
    part.status = file_.lay_out(slot.id, part.part, buffer(part.slot),
                                experts_.find(slot.owner)->second.memory);
  });
  for (Part& part : parts_) {
    Expert& expert = experts_.at(slots_[part.slot].owner);
    if (expert.status && !part.status) expert.status = std::move(part.status);
  }
}

void LaidOutReader::finish_piece(uint32_t slot, std::vector<BlockReadDone>* done) {
  slots_[slot].busy = false;
  vacant_.push_back(slot);
  auto expert = experts_.find(slots_[slot].owner);
  if (--expert->second.left > 0) return;
  done->push_back({expert->first, std::move(expert->second.status), expert->second.took});
  experts_.erase(expert);
}

}  // namespace potluck
