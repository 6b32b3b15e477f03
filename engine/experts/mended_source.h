// MendedSource: a stored source beside the model file that its store was built from. A grain that
// the store cannot give (altered, unreadable, gone) is cut from the file again, handed out and put
// back: a damaged store costs time and nothing else. One thread.
#pragma once

#include <vector>

#include "engine/base/log_sink.h"
#include "engine/experts/grain_source.h"
#include "engine/experts/grain_store.h"
#include "engine/experts/stored_source.h"

namespace potluck {

class MendedSource final : public GrainSource {
 public:
  // All must outlive the source; `store` is the one that `stored` reads from. `log` (or null) is
  // told what was mended, kNotices times at most: a dying disk has much to say.
  MendedSource(StoredSource& stored, GrainStore& store, const Manifest& manifest,
               const GrainCutter& cutter, LogSink* log)
      : stored_(stored), store_(store), manifest_(manifest), cutter_(cutter), log_(log) {}
  static constexpr uint64_t kNotices = 8;

  void request(std::span<const GrainId> wave) override;
  // Also fails as the model file's reads do, and with kCorrupt when the file is not the one any
  // more that the manifest was made of.
  Status take(std::vector<Arrival>* arrivals) override;
  void prefetch(std::span<const GrainId> grains, Want want) override {
    stored_.prefetch(grains, want);
  }
  bool uses_disk() const override { return stored_.uses_disk(); }
  ReadAhead read_ahead() const override { return stored_.read_ahead(); }

  uint64_t mended() const { return mended_; }

 private:
  Result<GrainView> cut(GrainId id, const Error& reason);
  void put_back(GrainId id, ByteSpan grain, const Error& reason);

  StoredSource& stored_;
  GrainStore& store_;
  const Manifest& manifest_;
  const GrainCutter& cutter_;
  LogSink* log_;
  uint64_t mended_ = 0;

  std::vector<GrainId> wave_;
  std::vector<StoredSource::Failure> failures_;  // of one take()
};

}  // namespace potluck
