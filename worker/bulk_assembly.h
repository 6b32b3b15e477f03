// BulkAssembly: puts the parts of one bulk answer together. Its length is known beforehand from
// something that was verified (the manifest) or bounded (limits.h); a part that says otherwise is
// never stored. Parts come in order; whatever does not continue what is there is left out, and
// silence makes the receiver ask again. Plain value; one thread.
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
    kIgnored,   // a repetition, or a part after a gap
    kBad,       // contradicts the length we know: `total`, or a range beyond it
  };

  explicit BulkAssembly(uint64_t total) : total_(total) {}

  Step add(const BulkData& data, ByteSpan part);
  // Forgets the bytes: the answer begins anew.
  void restart();
  ByteVector take() { return std::move(bytes_); }

  uint64_t received() const { return bytes_.size(); }
  uint64_t total() const { return total_; }

 private:
  uint64_t total_;
  ByteVector bytes_;
};

}  // namespace potluck
