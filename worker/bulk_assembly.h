// BulkAssembly: puts the parts of one bulk answer together. Its length is known beforehand from
// something that was verified (the manifest) or bounded (limits.h); a part that says otherwise is
// never stored. What has arrived stays even if the sender or the connection is lost: only the rest
// is asked for. Plain value; one thread.
#pragma once

#include <cstdint>

#include "engine/base/bytes.h"
#include "protocol/message.h"

namespace potluck {

class BulkAssembly {
 public:
  enum class Step {
    kTaken,     // the part continues what was there
    kComplete,  // and was the last one
    kIgnored,   // a repetition
    kGap,       // something before it was lost: what is missing is to be asked for again
    kBad,       // contradicts the length we know: `total`, or a range beyond it
  };

  explicit BulkAssembly(uint64_t total) : total_(total) {}

  // What is to be asked for next begins at asked(); the caller says how much of it was.
  uint64_t asked() const { return asked_; }
  bool all_asked() const { return asked_ == total_; }
  void ask(uint64_t bytes) { asked_ += bytes; }
  // What was asked for and has not come is lost.
  void ask_again() { asked_ = bytes_.size(); }

  Step add(const BulkData& data, ByteSpan part);
  // Forgets the bytes: they were not the right ones.
  void restart();
  ByteVector take();

  uint64_t received() const { return bytes_.size(); }
  uint64_t total() const { return total_; }

 private:
  uint64_t total_;
  uint64_t asked_ = 0;  // received() <= asked_ <= total_
  ByteVector bytes_;
};

}  // namespace potluck
