// PrefixStore: keys, values and checkpoints of earlier requests on disk, for when memory is short
// and for after a restart. Two files of equal slots, one for blocks and one for checkpoints; each
// slot has a head, which names the tokens, and the bytes. Both are bound to a model, a KV type and
// a version of the arithmetic; what is damaged or belongs to something else is left out with a
// line. Nothing is synced: what a power cut tears is damaged, and computed again. Every call reads
// or writes one slot at most. Owned by the command that serves, used by the CompletionEngine's
// thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/log_sink.h"
#include "engine/base/storage.h"
#include "engine/tokenizer/tokenizer.h"

namespace potluck {

// What a slot holds: of all tokens up to `parent`, and of those that follow, in whole or up to the
// position of a checkpoint.
struct PrefixName {
  Digest parent{};     // name of the tokens before `begin`; zeros: there are none
  uint32_t begin = 0;  // position
  std::vector<TokenId> tokens;

  // The name of the tokens to their end.
  Digest digest() const;
};

enum class PrefixPart : uint8_t { kBlock, kCheckpoint };

struct PrefixStoreOptions {
  std::string directory;  // is made if need be
  uint64_t quota = 0;     // bytes
  Digest binding{};       // what the content is of, and in which form
  uint64_t block_bytes = 0;
  uint64_t checkpoint_bytes = 0;  // 0: there are none
};

class PrefixStore {
 public:
  struct Found {
    PrefixPart part = PrefixPart::kBlock;
    uint32_t slot = 0;
    uint64_t order = 0;  // the later it was written, the larger
    PrefixName name;
  };

  // The storage and the sink, which may be null, must outlive the store. Fails if the directory
  // cannot be used, or another process uses it.
  static Result<std::unique_ptr<PrefixStore>> open(Storage& storage, PrefixStoreOptions options,
                                                   LogSink* log);
  ~PrefixStore();

  // What was there when it was opened.
  const std::vector<Found>& found() const { return found_; }

  // Whether one more of these may be written.
  bool has_room(PrefixPart part) const;
  // The slot, or nothing if that failed: then a line has said so, and nothing is written for a
  // while. `bytes`: those of this part.
  std::optional<uint32_t> write(PrefixPart part, const PrefixName& name, ByteSpan bytes);
  // Whether all of it is there as it was written; else a line says so, and the slot is free.
  bool read(PrefixPart part, uint32_t slot, const PrefixName& name, MutableByteSpan bytes);
  void remove(PrefixPart part, uint32_t slot);
  uint64_t bytes() const;  // that slots in use take

 private:
  struct File;

  PrefixStore(Storage& storage, PrefixStoreOptions options, LogSink* log);
  Status open_file(PrefixPart part);
  void scan(PrefixPart part);
  File& file(PrefixPart part) { return *files_[static_cast<size_t>(part)]; }
  const File& file(PrefixPart part) const { return *files_[static_cast<size_t>(part)]; }
  uint64_t slot_bytes(PrefixPart part) const;
  std::string path(PrefixPart part) const;
  void warn(const std::string& message);
  void drop(PrefixPart part, uint32_t slot, const std::string& why);

  Storage& storage_;
  PrefixStoreOptions options_;
  LogSink* log_;
  std::unique_ptr<StorageLock> lock_;
  std::unique_ptr<File> files_[2];
  std::vector<Found> found_;
  uint64_t writes_ = 0;  // so far, those of earlier runs included
  uint32_t pause_ = 0;   // writes that are refused after one has failed
};

}  // namespace potluck
