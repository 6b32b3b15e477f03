// EntryOrigin: what the cache of a StoredSource is filled from. An entry is what is read, kept and
// dropped as one, under a name: a grain of a store, or a whole expert of a model file (whose
// columns of down are strewn over all rows, so that a part of it costs as much to read). Used by
// the thread of the source.
#pragma once

#include "engine/base/hash.h"
#include "engine/base/storage.h"
#include "engine/experts/unit_id.h"

namespace potluck {

// Where a grain lies in its entry.
struct EntryPart {
  Digest entry;  // the name
  uint64_t entry_bytes = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

struct EntryPlace {
  const ReadableFile* file = nullptr;
  uint64_t offset = 0;
  uint64_t bytes = 0;       // of the entry
  uint64_t disk_bytes = 0;  // that are read for it
};

class EntryOrigin {
 public:
  virtual ~EntryOrigin() = default;
  virtual bool contains(GrainId id) const = 0;      // whether the model has such a grain
  virtual EntryPart part_of(GrainId id) const = 0;  // the grain must exist (CHECK)
  virtual uint64_t entries() const = 0;             // of the model
  virtual uint64_t largest_entry_bytes() const = 0;
  // Whether the entry of this grain, which exists, can be read now.
  virtual bool has(GrainId id) const = 0;
  virtual Result<EntryPlace> find(GrainId id) = 0;
  // Of an entry that was read: kCorrupt when these are not its bytes.
  virtual Status verify(const Digest& entry, ByteSpan bytes) = 0;
};

// The manifest, or the asker, contradicts what holds the entry.
Error other_length(const Digest& entry, uint64_t found, uint64_t expected);

}  // namespace potluck
