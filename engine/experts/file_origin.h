// FileOrigin: experts of a model file, named by their numbers. They come whole: the columns of down
// that a grain has are strewn over all rows, so that a part of an expert costs as much to read.
#pragma once

#include "engine/experts/entry_origin.h"
#include "engine/experts/laid_out_file.h"

namespace potluck {

class FileOrigin final : public EntryOrigin {
 public:
  // Both must outlive it.
  FileOrigin(const LaidOutFile& file, const GrainCutter& cutter) : file_(file), cutter_(cutter) {}

  bool contains(GrainId id) const override;
  EntryPart part_of(GrainId id) const override;
  uint64_t entries() const override;
  uint64_t largest_entry_bytes() const override;
  bool has(GrainId) const override { return true; }
  Result<EntryPlace> find(GrainId id) override;
  Status verify(const Digest&, ByteSpan) override { return {}; }  // the file did so while reading

 private:
  const LaidOutFile& file_;
  const GrainCutter& cutter_;
};

}  // namespace potluck
