// ReluctantExecutor: holds the answers of another executor back: each turn lets one out, the last
// one first. What is held back is not in its place either. For tests that have several steps under
// way. One thread.
#pragma once

#include <map>
#include <optional>
#include <utility>

#include <gtest/gtest.h>

#include "engine/experts/executor.h"

namespace potluck::test {

class ReluctantExecutor final : public ExpertExecutor {
 public:
  explicit ReluctantExecutor(ExpertExecutor& executor) : executor_(executor) {}

  Ticket submit(const ExpertBatch& batch, ExpertSums* out) override {
    Held held;
    held.out = out;
    Ticket ticket = executor_.submit(batch, &held.sums);
    held_.emplace(ticket, std::move(held));
    most_under_way = std::max(most_under_way, held_.size());
    return ticket;
  }
  std::optional<Status> take_completed(Ticket ticket) override {
    auto held = held_.find(ticket);
    EXPECT_NE(held, held_.end()) << "the ticket has ended";
    if (!held->second.let_out) return std::nullopt;
    ++answers;
    if (answers == spoils) held->second.sums.sums[0] += int64_t{1} << 30;
    if (spoils != 0 && answers == spoils + 1) ++found_wrong;  // it is known an answer later
    *held->second.out = std::move(held->second.sums);
    held_.erase(held);
    if (fails && *fails == ticket) return Error{ErrorCode::kIo, "as the test wants"};
    return executor_.take_completed(ticket);
  }
  uint64_t distrusts() const override { return found_wrong; }
  void step_repeated() override { ++repeated; }
  void turn(Duration) override {
    ++turns;
    for (auto held = held_.rbegin(); held != held_.rend(); ++held) {
      if (std::exchange(held->second.let_out, true)) continue;
      return;
    }
    ADD_FAILURE() << "a turn with nothing under way";
  }
  void cancel(Ticket ticket) override {
    EXPECT_EQ(held_.erase(ticket), 1u);
    executor_.cancel(ticket);
  }
  size_t under_way() const { return held_.size(); }

  std::optional<Ticket> fails;
  size_t spoils = 0;  // which answer is wrong and looks good, from 1; 0: none
  size_t answers = 0;
  uint64_t found_wrong = 0;
  size_t repeated = 0;  // steps
  size_t most_under_way = 0;
  size_t turns = 0;

 private:
  struct Held {
    ExpertSums sums;
    ExpertSums* out = nullptr;
    bool let_out = false;
  };

  ExpertExecutor& executor_;
  std::map<Ticket, Held> held_;
};

}  // namespace potluck::test
