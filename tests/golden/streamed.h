// Experts that are streamed through a cache of a few, from a store in memory or from the model file
// itself: for SoloOptions::source. One thread.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "coordinator/runtime/streamed_experts.h"
#include "tests/support/layered_storage.h"
#include "tests/support/solo_engine.h"

namespace potluck::test {

class Streamed final : public GrainSource {
 public:
  Streamed(const Model& model, ThreadPool& threads, bool store) {
    uint64_t largest = 0;
    for (const ExpertBank& bank : model.banks()) {
      largest = std::max(largest, model.cutter().expert_bytes(bank.layer));
    }
    StreamOptions options{.store_directory = "store",
                          .store_wanted = store,
                          // Experts are read again and again.
                          .ram_bytes = 3 * largest,
                          .reader = {.choice = ReaderChoice::kThreads, .depth = 3},
                          .read_ahead = ReadAhead::kAll};
    auto opened = StreamedExperts::open(model, options, threads, storage_, clock_, {});
    CHECK(opened.ok());
    experts_ = std::move(*opened);
    CHECK(experts_->from_store() == store);
  }

  void request(std::span<const GrainId> wave) override { experts_->source().request(wave); }
  Status take(std::vector<Arrival>* arrivals) override { return experts_->source().take(arrivals); }
  void prefetch(std::span<const GrainId> grains, Want want) override {
    experts_->source().prefetch(grains, want);
  }
  bool uses_disk() const override { return experts_->source().uses_disk(); }
  ReadAhead read_ahead() const override { return experts_->source().read_ahead(); }

 private:
  LayeredStorage storage_;
  SystemClock clock_;
  std::unique_ptr<StreamedExperts> experts_;
};

inline SoloOptions streamed_options(bool store) {
  SoloOptions options;
  options.threads = 2;
  options.source = [store](const Model& model, ThreadPool& threads) {
    return std::make_unique<Streamed>(model, threads, store);
  };
  return options;
}

}  // namespace potluck::test
