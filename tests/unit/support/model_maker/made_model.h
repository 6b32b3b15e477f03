// A made model in a test: written, loaded and run. One thread.
#pragma once

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/model/step_run.h"
#include "tests/support/model_maker/writer.h"
#include "tests/support/solo_engine.h"
#include "tests/support/temporary_directory.h"

namespace potluck::test {

// Keeps what is written, up to `capacity`; then fails as a full disk does.
class MemorySink final : public ByteSink {
 public:
  explicit MemorySink(uint64_t capacity = UINT64_MAX) : capacity_(capacity) {}

  Status write(ByteSpan bytes) override {
    if (bytes_.size() + bytes.size() > capacity_) return Error{ErrorCode::kIo, "no space left"};
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return {};
  }
  const ByteVector& bytes() const { return bytes_; }

 private:
  uint64_t capacity_;
  ByteVector bytes_;
};

inline ModelShape must_shape(std::string_view preset) {
  Result<ModelShape> shape = make_shape(preset);
  CHECK(shape.ok());
  return *shape;
}

// The presets that are not for benchmarks: one or two of every family.
inline std::vector<std::string> tiny_presets() {
  std::vector<std::string> names;
  for (const Preset& preset : presets()) {
    if (preset.description.starts_with("tiny")) names.emplace_back(preset.name);
  }
  return names;
}

// The shape must be good (CHECK).
inline ModelPlan must_plan(const ModelShape& shape) {
  Result<ModelPlan> plan = plan_model(shape);
  if (!plan) check_failed(plan.error().message.c_str(), __FILE__, __LINE__);
  return std::move(*plan);
}

// The bytes of the file.
inline ByteVector make_bytes(const ModelPlan& plan) {
  MemorySink sink;
  CHECK(write_model(plan, sink, {}).ok());
  CHECK(sink.bytes().size() == plan.file_bytes());
  return sink.bytes();
}

// Random ones, the same for the same seed.
inline std::vector<TokenId> some_tokens(uint32_t count, uint32_t vocabulary, uint64_t seed = 9) {
  std::vector<TokenId> tokens;
  for (uint32_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<TokenId>(CounterRandom(seed).bits(i) % vocabulary));
  }
  return tokens;
}

inline double deviation_of(std::span<const float> values) {
  double squares = 0;
  for (float value : values) squares += double{value} * value;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

// Counts which experts each layer asks for, and passes the batch on.
class CountingExecutor final : public ExpertExecutor {
 public:
  explicit CountingExecutor(ExpertExecutor& next) : next_(next) {}

  Ticket submit(const ExpertBatch& batch, ExpertSums* out) override {
    for (uint32_t expert : batch.experts) ++uses_[batch.layer][expert];
    return next_.submit(batch, out);
  }
  std::optional<Status> take_completed(Ticket ticket) override {
    return next_.take_completed(ticket);
  }
  void turn(Duration longest) override { next_.turn(longest); }
  void cancel(Ticket ticket) override { next_.cancel(ticket); }

  // Layer -> expert -> uses.
  std::map<uint32_t, std::map<uint32_t, uint64_t>>& uses() { return uses_; }

 private:
  ExpertExecutor& next_;
  std::map<uint32_t, std::map<uint32_t, uint64_t>> uses_;
};

class MadeModel {
 public:
  explicit MadeModel(const ModelShape& shape) {
    std::unique_ptr<Storage> storage = make_system_storage();
    const ModelPlan plan = must_plan(shape);
    CHECK(write_model_file(plan, *storage, directory_ / "made.gguf", {}).ok());
    engine_ = std::make_unique<SoloEngine>(directory_ / "made.gguf", SoloOptions{});
    counting_ = std::make_unique<CountingExecutor>(engine_->executor());
  }

  const Model& model() const { return engine_->model(); }
  CountingExecutor& executor() { return *counting_; }

  // The tokens of one session; logits after the last. All rows want logits, so that the last layer,
  // too, asks for the experts of all.
  Result<std::vector<float>> run(std::span<const TokenId> tokens) {
    KvCache cache(engine_->config(), KvType::kF32, static_cast<uint32_t>(tokens.size()));
    std::vector<ForwardRow> rows;
    for (uint32_t p = 0; p < tokens.size(); ++p) {
      rows.push_back({tokens[p], p, &cache, true});
    }
    Status ran = run_step(engine_->forward(), rows, *counting_);
    if (!ran) return ran.error();
    std::span<const float> logits =
        engine_->forward().logits(static_cast<uint32_t>(tokens.size()) - 1);
    return std::vector<float>(logits.begin(), logits.end());
  }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<SoloEngine> engine_;
  std::unique_ptr<CountingExecutor> counting_;
};

}  // namespace potluck::test
