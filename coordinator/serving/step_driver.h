// StepDriver: carries steps over an ExpertExecutor, as many at a time as there are Forward objects:
// while the experts of one are away, another computes its attention. It never waits. One thread,
// which owns the executor.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "coordinator/serving/completion.h"
#include "engine/model/step_run.h"

namespace potluck {

// Rows of one request in a step.
struct StepPart {
  CompletionId id = 0;
  KvCache* cache = nullptr;         // in no other step; stays in place until the part has ended
  std::span<const TokenId> tokens;  // those that follow what the cache holds; copied
  uint32_t logit_rows = 0;          // how many of the last of them want logits
};

struct EndedPart {
  CompletionId id = 0;
  uint32_t rows = 0;
  Status status;  // an error concerns this part alone, or the whole step
  // [logit_rows, vocabulary], if wanted and no error; valid until the next step begins.
  uint32_t logit_rows = 0;
  std::span<const float> logits = {};

  std::span<const float> logits_of(uint32_t row) const {
    const size_t vocabulary = logits.size() / logit_rows;
    return logits.subspan(row * vocabulary, vocabulary);
  }
};

class StepDriver {
 public:
  using PartSink = std::function<void(const EndedPart& part)>;

  // All must outlive the driver; at least one Forward object.
  StepDriver(std::span<Forward* const> forwards, ExpertExecutor& executor);

  bool has_room() const;
  bool is_busy() const;
  bool is_under_way(CompletionId id) const;
  // What is done of its part under way, in whole rows: layers are done for all rows at once.
  uint32_t rows_done(CompletionId id) const;

  // Begins a step; there must be room (CHECK). At least one part, each with at least one token.
  void begin(std::span<const StepPart> parts);
  // Takes the answers that are there, and tells the parts of steps that have ended. Returns whether
  // anything moved.
  bool poll(const PartSink& sink);
  // The part is not wanted any more, and the sink is not told of it. Returns whether the cache is
  // free at once: a step that has no other part ends here.
  bool give_up(CompletionId id);

 private:
  struct Part {
    CompletionId id = 0;
    uint32_t rows = 0;
    uint32_t logit_rows = 0;
    bool is_wanted = true;
  };
  struct Slot {
    Forward* forward = nullptr;
    std::vector<Part> parts;
    std::vector<ForwardRow> rows;
    std::optional<StepRun> run;
  };

  void end(Slot& slot, const PartSink& sink);
  static Status status_of(const Slot& slot, uint32_t first_row, uint32_t rows,
                          const Status& executor_status);

  ExpertExecutor& executor_;
  std::vector<std::unique_ptr<Slot>> slots_;  // runs stay in place
};

}  // namespace potluck
