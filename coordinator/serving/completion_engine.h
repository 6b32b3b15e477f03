// CompletionEngine: answers many requests at once with one model. Any thread submits and cancels;
// one thread, which owns the model's Forward objects and the executor, takes the turns in which
// everything happens, and in which sinks are told. A request's tokens do not depend on the company
// it keeps, on what was cancelled, or on where its prefix came from.
#pragma once

#include <atomic>
#include <deque>
#include <map>

#include "coordinator/runtime/prefill_chunk.h"
#include "coordinator/serving/cache_supply.h"
#include "coordinator/serving/completion_intake.h"
#include "coordinator/serving/constraint_supply.h"
#include "coordinator/serving/mask_queue.h"
#include "coordinator/serving/prefill_pace.h"
#include "coordinator/serving/scheduler.h"
#include "coordinator/serving/speculation.h"
#include "coordinator/serving/step_driver.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

// What the engine works with; all of it outlives the engine.
struct EngineParts {
  const Model& model;
  std::span<Forward* const> forwards;  // as many steps may be under way
  ExpertExecutor& executor;
  const Clock& clock;
  const ChatTemplate* chat_template = nullptr;  // or null: conversations are refused
};

struct EngineOptions {
  ServedModel served;  // what it says of itself; the context is filled in
  KvType kv_type = KvType::kF16;
  uint32_t context = 0;   // positions of a conversation, at least 1
  uint64_t kv_bytes = 0;  // for the caches of all of them; 0: for one as long as the context
  PrefillChunk prefill_chunk;
  uint32_t most_active = 16;
  uint32_t most_waiting = 64;
  // What requests hold while they wait, text and grammars; one by itself may have more.
  uint64_t most_waiting_bytes = 64 * kMiB;
  PrefixStore* store = nullptr;  // for what memory does not hold, or null; must outlive the engine
  CompletionIntake::LocalSeconds local_seconds;
  std::optional<SpeculationRule> speculation;  // nothing: none, or as its runtime says
};

class CompletionEngine final : public CompletionService {
 public:
  // A context that the bytes do not hold is cut down to what they do, one chunk of positions at
  // least.
  CompletionEngine(const EngineParts& parts, EngineOptions options);
  ~CompletionEngine() override;

  CompletionId submit(CompletionRequest request, std::shared_ptr<CompletionSink> sink) override;
  void cancel(CompletionId id) override;
  ServiceState state() const override { return state_; }
  const ServedModel& model() const override { return options_.served; }
  // As of the end of the last turn.
  ServiceFigures figures() const override;
  Result<std::vector<TokenId>> encode(const CompletionPrompt& prompt) const override;
  Result<std::string> decode(const std::vector<TokenId>& tokens) const override;

  // Any thread: from now on new requests are refused; those that are here are answered.
  void drain() { state_ = ServiceState::kDraining; }

  // The engine's thread: moves everything on by one piece; waits for experts, so long at most, if
  // nothing else can be done. Returns whether any request is left.
  bool turn(Duration longest);
  // Takes turns until the flag is set; sleeps while there is no request.
  void run_until(const std::atomic<bool>& stop);

  // Writes what is kept for later requests to the store, for so long at most. After the last turn;
  // any thread.
  SavedPrefixes save(Duration at_most) { return supply_.save(parts_.clock, at_most); }

  // The engine's thread: what is kept for later requests, what those at work have reserved, and
  // what all of that takes now.
  uint64_t kept_bytes() const { return supply_.kept().bytes(); }
  uint64_t reserved_bytes() const { return scheduler_.reserved_bytes(); }
  uint64_t mask_work() const { return mask_work_; }  // done so far for the forms of answers
  uint64_t taken_bytes() const { return options_.kv_bytes - free_bytes() + kept_bytes(); }

 private:
  // What other threads ask for, in order.
  struct Message {
    CompletionId id = 0;
    std::optional<CompletionRequest> request;  // nothing: it is cancelled
    std::shared_ptr<CompletionSink> sink;
    uint64_t bytes = 0;  // that it counts for while it waits
  };
  struct Request;

  void take_messages();
  void accept(Message message);
  void enqueue(Message message, PreparedRequest prepared);
  void cancel_now(CompletionId id);
  void count_waiting(uint64_t before, uint64_t now);
  void tell_places();
  uint32_t seconds_until(size_t ahead) const;

  bool take_ended_parts();
  void report_long_steps();
  uint32_t done_of(const Request& request) const;
  void apply(const EndedPart& part);
  void go_on(Request& request, const EndedPart& part);
  void choose(Request& request, const EndedPart& part);
  bool choose_row(Request& request, std::span<const float> logits);
  bool take_token(Request& request, std::span<const float> logits);
  void end_draft(Request& request, uint32_t chosen, TimePoint ended);
  bool go_on_masks();
  void note_pace(Request& request);
  void make_room();
  void start_waiting();
  void start(Request& request);
  bool go_on_reading();
  bool begin_steps();
  void draft();
  uint32_t most_drafted(const Request& request) const;
  void note_step(std::span<const StepPart> parts);
  void add_part(const PlannedRows& rows, std::vector<TokenId>* tokens,
                std::vector<StepPart>* parts);
  uint32_t next_rows(const Request& request) const;

  std::vector<RunningPrefix> running(CompletionId but) const;
  void publish();
  uint64_t free_bytes() const;  // of the budget, what requests have not taken
  void report(Request& request, CompletionDelta delta);
  void report_progress(Request& request);
  void finish(Request& request, CompletionDelta delta);
  void fail(Request& request, CompletionFault fault, const std::string& message);
  void end(Request& request);
  void remove(CompletionId id);
  void remove_ended();
  void keep_cache(Request& request);
  void checkpoint(Request& request, CheckpointKind kind);
  SchedulerOptions with_sharing(SchedulerOptions options);

  const EngineParts parts_;
  EngineOptions options_;
  CompletionIntake intake_;
  CacheSupply supply_;
  ConstraintSupply constraints_;
  Scheduler scheduler_;
  Speculation speculation_;
  StepDriver driver_;
  MaskQueue masks_;
  uint64_t mask_work_ = 0;
  ServiceFigures counts_;  // what is counted as it happens
  PrefillPace pace_;
  uint64_t prompt_parts_ = 0;  // begun so far
  std::map<CompletionId, std::unique_ptr<Request>> requests_;
  bool may_start_ = false;       // something changed for those that wait
  bool places_changed_ = false;  // likewise, in what they should be told
  uint64_t calls_ = 0;           // tool calls so far, for their ids
  double request_seconds_ = 0;   // how long one takes, smoothed; 0: unknown

  std::atomic<ServiceState> state_{ServiceState::kReady};
  std::atomic<uint32_t> retry_after_{1};  // seconds, for those that find the queue full
  mutable Mutex mutex_;
  Condition has_messages_;
  CompletionId last_id_ GUARDED_BY(mutex_) = 0;
  std::deque<Message> messages_ GUARDED_BY(mutex_);
  uint64_t waiting_bytes_ GUARDED_BY(mutex_) = 0;
  ServiceFigures figures_ GUARDED_BY(mutex_);
};

}  // namespace potluck
