#include "coordinator/serving/step_driver.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck {

StepDriver::StepDriver(std::span<Forward* const> forwards, ExpertExecutor& executor)
    : executor_(executor) {
  CHECK(!forwards.empty());
  for (Forward* forward : forwards) {
    slots_.push_back(std::make_unique<Slot>());
    slots_.back()->forward = forward;
  }
}

bool StepDriver::has_room() const {
  return std::ranges::any_of(slots_, [](const auto& slot) { return !slot->run; });
}

bool StepDriver::is_busy() const {
  return std::ranges::any_of(slots_, [](const auto& slot) { return slot->run.has_value(); });
}

bool StepDriver::is_under_way(CompletionId id) const {
  return std::ranges::any_of(slots_, [id](const auto& slot) {
    return slot->run &&
           std::ranges::any_of(slot->parts, [id](const Part& part) { return part.id == id; });
  });
}

uint32_t StepDriver::rows_done(CompletionId id) const {
  for (const auto& slot : slots_) {
    if (!slot->run) continue;
    auto part = std::ranges::find(slot->parts, id, &Part::id);
    if (part == slot->parts.end()) continue;
    return static_cast<uint32_t>(part->rows * slot->run->share_done());
  }
  return 0;
}

void StepDriver::begin(std::span<const StepPart> parts) {
  auto free = std::ranges::find_if(slots_, [](const auto& slot) { return !slot->run; });
  CHECK(free != slots_.end());
  Slot& slot = **free;
  slot.parts.clear();
  slot.rows.clear();
  for (const StepPart& part : parts) {
    auto count = static_cast<uint32_t>(part.tokens.size());
    CHECK(part.logit_rows <= count);
    slot.parts.push_back({part.id, count, part.logit_rows, true});
    uint32_t position = part.cache->length();
    for (uint32_t i = 0; i < count; ++i) {
      bool wants_logits = i + part.logit_rows >= count;
      slot.rows.push_back({part.tokens[i], position + i, part.cache, wants_logits});
    }
  }
  slot.run.emplace(*slot.forward, slot.rows, executor_);
}

bool StepDriver::poll(const PartSink& sink) {
  bool moved = false;
  for (auto& slot : slots_) {
    if (!slot->run) continue;
    moved = slot->run->poll() || moved;
    if (!slot->run->finished()) continue;
    end(*slot, sink);
    moved = true;
  }
  return moved;
}

void StepDriver::end(Slot& slot, const PartSink& sink) {
  if (!slot.run->status()) slot.run->fill_good_caches();
  Status executor_status = slot.run->reached_end() ? Status() : slot.run->status();
  slot.run.reset();
  uint32_t row = 0;
  uint32_t logits = 0;
  for (const Part& part : slot.parts) {
    EndedPart ended{part.id, part.rows, status_of(slot, row, part.rows, executor_status)};
    row += part.rows;
    if (part.logit_rows > 0 && ended.status) {
      ended.logit_rows = part.logit_rows;
      ended.logits = slot.forward->logits(logits, part.logit_rows);
    }
    logits += part.logit_rows;
    if (part.is_wanted) sink(ended);
  }
}

Status StepDriver::status_of(const Slot& slot, uint32_t first_row, uint32_t rows,
                             const Status& executor_status) {
  if (!executor_status) return executor_status;
  for (uint32_t row = first_row; row < first_row + rows; ++row) {
    Status status = slot.forward->row_status(row);
    if (!status) return status;
  }
  return {};
}

bool StepDriver::give_up(CompletionId id) {
  for (auto& slot : slots_) {
    if (!slot->run) continue;
    auto part = std::ranges::find(slot->parts, id, &Part::id);
    if (part == slot->parts.end()) continue;
    part->is_wanted = false;
    if (std::ranges::any_of(slot->parts, &Part::is_wanted)) return false;
    slot->run.reset();
    return true;
  }
  return true;
}

}  // namespace potluck
