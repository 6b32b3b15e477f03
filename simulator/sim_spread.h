// SimSpread: how a simulated coordinator spreads its model: the real Spreader over a disk that
// outlives the coordinator's process, and a source that counts what is read of it. One thread.
#pragma once

#include <map>
#include <memory>

#include "simulator/pool_model.h"

#include "coordinator/spread/spreader.h"

namespace potluck::sim {

// The model file, as long as it can be reached.
class SimSource final : public ExpertSource {
 public:
  explicit SimSource(const PoolModel& model) : model_(model) {}

  Result<std::vector<CutOut>> read(std::span<const ExpertName> experts) override {
    std::vector<CutOut> cuts;
    if (!reachable_) return Error{ErrorCode::kIo, "the source cannot be reached"};
    const GrainCutter& cutter = model_.cutter();
    for (const ExpertName& name : experts) {
      CutOut cut;
      cut.name = name;
      cut.grains = std::make_shared<Buffer>(cutter.expert_bytes(name.layer));
      if (Status done = cutter.cut_expert(name.layer, name.expert, cut.grains->span()); !done) {
        return done.error();
      }
      ByteSpan rest = cut.grains->span();
      for (uint32_t grain = 0; grain < cutter.plan(name.layer).grains; ++grain) {
        const uint64_t bytes =
            cutter.grain_bytes({name.layer, name.expert, static_cast<uint16_t>(grain)});
        cut.digests.push_back(sha256(rest.first(bytes)));
        rest = rest.subspan(bytes);
      }
      ++reads_[name];
      cuts.push_back(std::move(cut));
    }
    return cuts;
  }

  void set_reachable(bool reachable) { reachable_ = reachable; }
  const std::map<ExpertName, uint32_t>& reads() const { return reads_; }

 private:
  const PoolModel& model_;
  bool reachable_ = true;
  std::map<ExpertName, uint32_t> reads_;
};

// What ends with the coordinator's process.
class SimSpread {
 public:
  SimSpread(const PoolModel& model, SpreadFolder& folder, SimSource& source, const SigningKey& key,
            uint32_t slices, uint32_t copies, uint64_t window_bytes)
      : outline_(outline_of(model.cutter(), "sim")),
        window_(model.cutter()),
        spreader_(folder, source, outline_, key, slices, copies, window_, window_bytes) {}

  const Manifest& outline() const { return outline_; }
  ExpertWindow& window() { return window_; }
  Spreader& spreader() { return spreader_; }

  // As PoolSpread does, without its thread.
  void turn(CoordinatorCore& core, size_t devices, TimePoint now) {
    if (now < look_at_) return;
    look_at_ = now + std::chrono::milliseconds(50);
    Spreader::Step step = spreader_.next(core, core.cluster().workers().size() >= devices, now);
    if (spreader_.book().counts().scarce > 0 && now - reminded_at_ >= std::chrono::seconds(3)) {
      reminded_at_ = now;
      core.assign_missing_again();
    }
    if (step.kind == Spreader::Step::Kind::kComplete) (void)spreader_.complete();
    if (step.kind != Spreader::Step::Kind::kRead || now < retry_at_) return;
    auto cuts = spreader_.read(step.experts);
    if (cuts && spreader_.record(*cuts)) {
      spreader_.take(*cuts, core);
    } else {
      retry_at_ = now + std::chrono::seconds(10);
    }
  }

 private:
  Manifest outline_;
  ExpertWindow window_;
  Spreader spreader_;
  TimePoint look_at_{0};
  TimePoint reminded_at_{0};
  TimePoint retry_at_{0};
};

}  // namespace potluck::sim
