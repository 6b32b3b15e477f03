// GrainSource: where the bytes of grains come from when experts are computed. Three kinds: all of
// them in memory (solo), a store on disk behind a bounded cache (stored_source.h), and the GGUF
// file itself (the coordinator's last resort). Used by one thread.
//
// Grains are asked for in waves, so that a disk can be given many reads at once and what is in
// memory already is computed meanwhile:
//
//   request(wave) -> take() -> compute what came, drop the views -> take() .. until all have come
#pragma once

#include <memory>

#include "engine/base/buffer.h"
#include "engine/experts/grain_cutter.h"
#include "engine/experts/manifest.h"
#include "engine/experts/want.h"

namespace potluck {

// Bytes that stay in place while the view is alive.
struct GrainView {
  ByteSpan bytes;
  std::shared_ptr<const void> pin;
};

class GrainSource {
 public:
  struct Arrival {
    size_t index;  // of the wave
    GrainView view;
  };

  virtual ~GrainSource() = default;

  // Asks for the grains of a wave, each named once. Grains of the last wave that have not arrived
  // are no longer wanted; its views stay valid.
  virtual void request(std::span<const GrainId> wave) = 0;
  // Appends grains of the wave that are there, each once: at least one while some have not come; it
  // waits for the disk if it must. After an error the wave is over.
  // kLimit: the source's memory is taken by views that are alive. Release some and ask again; with
  // none alive, the budget cannot hold a grain at all.
  virtual Status take(std::vector<Arrival>* arrivals) = 0;
  // Grains that a later wave may ask for, most urgent first: a hint, which takes the place of the
  // last one. kSoon or kPerhaps.
  virtual void prefetch(std::span<const GrainId> grains, Want want) = 0;
  // Which of such hints do anything.
  virtual ReadAhead read_ahead() const = 0;
  // Whether grains leave memory and are read from a disk again.
  virtual bool uses_disk() const = 0;

  // A wave of one.
  Result<GrainView> get(GrainId id);
};

// A source that has a grain at once or not at all.
class ImmediateSource : public GrainSource {
 public:
  void request(std::span<const GrainId> wave) final;
  Status take(std::vector<Arrival>* arrivals) final;
  void prefetch(std::span<const GrainId>, Want) final {}
  ReadAhead read_ahead() const final { return ReadAhead::kOff; }
  bool uses_disk() const final { return false; }

 protected:
  virtual Result<GrainView> fetch(GrainId id) = 0;  // errors as in take()

 private:
  std::vector<GrainId> wave_;
  size_t taken_ = 0;
};

// Every expert of the model, laid out once while loading. Its views end where the padding of grains
// would begin: that is for disks.
class ResidentSource final : public ImmediateSource {
 public:
  // kLimit when memory does not suffice.
  static Result<std::unique_ptr<ResidentSource>> load(const GrainCutter& cutter,
                                                      const Progress& progress);
  uint64_t bytes() const;
  // What bytes() will be, before anything is read.
  static uint64_t bytes_for(const GrainCutter& cutter);

 private:
  ResidentSource() = default;
  Status load_all(const GrainCutter& cutter, const Progress& progress);
  Result<GrainView> fetch(GrainId id) override;

  struct Layer {
    Buffer grains;  // [experts, grains of one expert], without padding
    uint64_t expert_bytes = 0;
    std::vector<uint64_t> offsets;  // of each grain inside an expert, and the end
  };
  std::vector<Layer> layers_;  // by layer; empty for layers without experts
};

// Straight from the model file, laying an expert out on demand: slow, the same bits. Keeps the last
// few experts it laid out.
class GgufSource final : public ImmediateSource {
 public:
  // `budget_bytes` bounds what is kept; at least one expert is. The cutter must outlive the source.
  GgufSource(const GrainCutter& cutter, uint64_t budget_bytes);
  ~GgufSource() override;

  Result<GrainView> fetch(GrainId id) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace potluck
