// SoloEngine: a model and everything that runs it in one process, for tests and benchmarks. What
// the command line wires for solo runs, with the choices that must not show in the results as
// options. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/experts/expert_compute.h"
#include "engine/model/forward.h"
#include "engine/model/scoring.h"

namespace potluck::test {

struct SoloOptions {
  std::string kernels;  // empty: the best
  int threads = 1;
  bool resident = true;  // experts laid out once; else straight from the model file
  // Or from where this says.
  std::function<std::unique_ptr<GrainSource>(const Model& model, ThreadPool& threads)> source{};
};

class SoloEngine {
 public:
  // The model file must be good (CHECK).
  SoloEngine(const std::string& path, const SoloOptions& options)
      : storage_(make_system_storage()),
        model_(must(Model::load(*storage_, path, {}))),
        kernels_(*must(select_kernels(options.kernels))),
        pool_(options.threads),
        source_(make_source(options)),
        compute_(kernels_, pool_),
        executor_(model_->cutter(), *source_, compute_),
        forward_(*model_, kernels_, pool_) {}

  const Model& model() const { return *model_; }
  const ModelConfig& config() const { return model_->config(); }
  Forward& forward() { return forward_; }
  // Another one, for a step beside one of the first.
  std::unique_ptr<Forward> new_forward() {
    return std::make_unique<Forward>(*model_, kernels_, pool_);
  }
  ExpertExecutor& executor() { return executor_; }

  ScoringRun scoring(KvCache& cache, uint32_t prefill_chunk) {
    return {config(), forward_, executor_, cache, prefill_chunk, {}};
  }

 private:
  template <class T>
  static T must(Result<T> result) {
    if (!result) check_failed(result.error().message.c_str(), __FILE__, __LINE__);
    return std::move(*result);
  }

  std::unique_ptr<GrainSource> make_source(const SoloOptions& options) {
    constexpr uint64_t kFewExperts = 4 * kMiB;
    if (options.source) return options.source(*model_, pool_);
    if (!options.resident) return std::make_unique<GgufSource>(model_->cutter(), kFewExperts);
    return must(ResidentSource::load(model_->cutter(), {}));
  }

  std::unique_ptr<Storage> storage_;
  std::unique_ptr<Model> model_;
  const KernelTable& kernels_;
  ThreadPool pool_;
  std::unique_ptr<GrainSource> source_;
  ExpertCompute compute_;
  LocalExecutor executor_;
  Forward forward_;
};

}  // namespace potluck::test
