#include "simulator/sim_model.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/random.h"
#include "engine/experts/manifest_builder.h"
#include "engine/model/sampler.h"
#include "engine/model/step_run.h"

namespace potluck::sim {
namespace {

template <class T>
T must(Result<T> result) {
  if (!result) check_failed(result.error().message.c_str(), __FILE__, __LINE__);
  return std::move(*result);
}

}  // namespace

bool Generated::operator==(const Generated& other) const {
  return tokens == other.tokens && last_logits.size() == other.last_logits.size() &&
         std::memcmp(last_logits.data(), other.last_logits.data(),
                     last_logits.size() * sizeof(float)) == 0;
}

SimModel::SimModel(const std::string& path) : SimModel(make_system_storage(), path) {}

SimModel::SimModel(std::unique_ptr<Storage> storage, const std::string& path)
    : storage_(std::move(storage)),
      model_(must(Model::load(*storage_, path, {}))),
      kernels_(*must(select_kernels(""))),
      manifest_(std::make_unique<Manifest>(must(build_manifest(model_->cutter(), "sim")))),
      resident_(must(ResidentSource::load(model_->cutter(), {}))) {}

std::vector<TokenId> SimModel::prompt(uint32_t tokens) const {
  CounterRandom random(7);
  std::vector<TokenId> prompt;
  for (uint32_t i = 0; i < tokens; ++i) {
    prompt.push_back(static_cast<TokenId>(random.bits(i) % model_->config().vocabulary));
  }
  return prompt;
}

Result<Generated> SimModel::generate(const GenerateOptions& options, ThreadPool& threads,
                                     ExpertExecutor& executor) const {
  Forward forward(*model_, kernels_, threads);
  auto context = static_cast<uint32_t>(options.prompt.size()) + options.tokens + 1;
  KvCache cache(model_->config(), KvType::kF32, context);
  Generated generated;
  std::vector<TokenId> next = options.prompt;
  uint32_t position = 0;
  while (true) {
    for (size_t done = 0; done < next.size();) {
      size_t count = std::min<size_t>(options.prefill_chunk, next.size() - done);
      std::vector<ForwardRow> rows;
      for (size_t i = done; i < done + count; ++i) {
        rows.push_back({next[i], position++, &cache, i + 1 == next.size()});
      }
      Status step = run_step(forward, rows, executor);
      if (!step) return step.error();
      done += count;
    }
    if (generated.tokens.size() == options.tokens) break;
    next = {argmax(forward.logits(0))};
    generated.tokens.push_back(next[0]);
    if (options.on_token) options.on_token();
  }
  std::span<const float> logits = forward.logits(0);
  generated.last_logits.assign(logits.begin(), logits.end());
  return generated;
}

Generated SimModel::solo(const GenerateOptions& options) const {
  ThreadPool threads(1);
  ExpertCompute compute(kernels_, threads);
  LocalExecutor executor(model_->cutter(), *resident_, compute);
  return must(generate(options, threads, executor));
}

void SimModel::with_solo(const std::function<void(Forward&, ExpertExecutor&)>& use) const {
  ThreadPool threads(1);
  ExpertCompute compute(kernels_, threads);
  LocalExecutor executor(model_->cutter(), *resident_, compute);
  Forward forward(*model_, kernels_, threads);
  use(forward, executor);
}

}  // namespace potluck::sim
