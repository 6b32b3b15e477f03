// TimedExecutor: the executor of a simulated pool's coordinator. Before each batch it lets the time
// pass that attention takes; after each it adds up where the time of the layer went. It gives a
// batch up when the coordinator is to end, or when the patience of the one who asks does. One
// thread.
#pragma once

#include <optional>
#include <string>

#include "simulator/sim_pool.h"

namespace potluck::sim {

// Where the time of tokens went; sums.
struct TimeTerms {
  Duration attention{0};  // the coordinator's own work
  Duration wire{0};       // of what was waited for: everything but the two below
  Duration disk{0};       // of the last answer of each layer
  Duration compute{0};
};

class TimedExecutor final : public ExpertExecutor {
 public:
  // The pool must outlive the object. `attention`: of one layer. `local_call`: what the coordinator
  // takes for a unit that is left to it. `has_weights`: else what is left to it is not computed.
  TimedExecutor(SimPool& pool, Duration attention, Duration local_call, bool has_weights)
      : pool_(pool), attention_(attention), local_call_(local_call), has_weights_(has_weights) {}

  // From now on nothing is waited for beyond that moment.
  void begin(TimePoint deadline);
  // The coordinator is to end as soon as it can; cleared by begin().
  void ask_to_end() { is_to_end_ = true; }
  bool is_to_end() const { return is_to_end_; }
  // Why it gave up since begin(); empty: it did not.
  const std::string& gave_up() const { return gave_up_; }
  const TimeTerms& terms() const { return terms_; }

  bool uses_disks() const override { return pool_.executor().uses_disks(); }
  ReadAhead read_ahead() const override { return pool_.executor().read_ahead(); }
  Ticket submit(const ExpertBatch& batch, ExpertSums* out) override;
  std::optional<Status> take_completed(Ticket ticket) override;
  void turn(Duration longest) override;
  void cancel(Ticket ticket) override { pool_.executor().cancel(ticket); }
  uint64_t distrusts() const override { return pool_.executor().distrusts(); }
  void step_repeated() override { pool_.executor().step_repeated(); }

 private:
  void charge_local_work();
  void add_up();

  SimPool& pool_;
  Duration attention_;
  Duration local_call_;
  bool has_weights_;
  TimePoint deadline_ = TimePoint::max();
  bool is_to_end_ = false;
  std::string gave_up_;
  TimePoint submitted_at_{0};
  uint64_t local_calls_ = 0;  // that were charged
  TimeTerms terms_;
};

}  // namespace potluck::sim
