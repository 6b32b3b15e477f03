#include "coordinator/serving/completion_engine.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "coordinator/serving/admission.h"
#include "coordinator/serving/engine_request.h"
#include "engine/base/check.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

// How long the engine sleeps without requests before it looks at the stop flag.
constexpr std::chrono::milliseconds kIdleTurn{50};
// An answer ends a turn at once; this bounds how long a message may wait for one.
constexpr Duration kLongestTurn = std::chrono::milliseconds(20);

bool is_empty(const CompletionDelta& delta) {
  return delta.piece.reasoning.empty() && delta.piece.content.empty() &&
         delta.piece.calls.empty() && delta.piece.growth.empty() && delta.logprobs.empty() &&
         delta.tokens.empty();
}

std::vector<std::string> marks_of(const ChatTemplate* chat_template) {
  if (chat_template == nullptr) return {};
  return answer_marks(chat_template->answer_syntax());
}

// The context that the bytes hold, in whole chunks.
EngineOptions with_fitting_context(const ModelConfig& config, EngineOptions options) {
  CHECK(options.context > 0);
  KvPrice price(config, options.kv_type);
  if (options.kv_bytes == 0) options.kv_bytes = price.of(options.context);
  while (options.context > kAttentionChunk && price.of(options.context) > options.kv_bytes) {
    options.context = (options.context - 1) / kAttentionChunk * kAttentionChunk;
  }
  options.kv_bytes = std::max(options.kv_bytes, price.of(options.context));
  options.served.context = options.context;
  options.served.trained_context = config.trained_context;
  return options;
}

SchedulerOptions scheduler_options(const EngineOptions& options, const KvPrice& price,
                                   size_t steps) {
  SchedulerOptions made;
  made.prefill_chunk = std::max<uint32_t>(1, options.prefill_chunk.in_memory);
  made.prefill_beside = std::min(made.prefill_beside, made.prefill_chunk);
  made.most_active = std::max<uint32_t>(1, options.most_active);
  made.most_waiting = std::max<uint32_t>(1, options.most_waiting);
  made.steps = static_cast<uint32_t>(steps);
  made.price = price;
  made.budget = options.kv_bytes;
  return made;
}

}  // namespace

CompletionEngine::CompletionEngine(const EngineParts& parts, EngineOptions options)
    : parts_(parts),
      options_(with_fitting_context(parts.model.config(), std::move(options))),
      intake_(parts.model, parts.chat_template, options_.context,
              KvPrice(parts.model.config(), options_.kv_type), options_.kv_bytes,
              options_.local_seconds),
      supply_(parts.model.config(), options_.kv_type, options_.context, options_.kv_bytes,
              options_.store),
      constraints_(parts.model.tokenizer(), marks_of(parts.chat_template)),
      scheduler_(with_sharing(scheduler_options(options_, supply_.price(), parts.forwards.size()))),
      speculation_(options_.speculation.value_or(SpeculationRule::kOff)),
      driver_(parts.forwards, parts.executor),
      pace_(std::max<uint32_t>(1, options_.prefill_chunk.in_memory)) {}

CompletionEngine::~CompletionEngine() = default;

SchedulerOptions CompletionEngine::with_sharing(SchedulerOptions options) {
  options.held_bytes = [this] { return supply_.held_bytes(); };
  options.shared_bytes = [this](CompletionId id) {
    return supply_.shared_bytes(requests_.at(id)->session.tokens(), running(id));
  };
  return options;
}

// What waits is bounded here, where it comes in: a turn may take long, and bring many.
CompletionId CompletionEngine::submit(CompletionRequest request,
                                      std::shared_ptr<CompletionSink> sink) {
  uint64_t bytes = waiting_bytes(request);
  CompletionId id = 0;
  QueueFill queue{0, 0, options_.most_waiting_bytes};
  {
    MutexLock lock(mutex_);
    id = ++last_id_;
    queue.bytes = waiting_bytes_;
    if (queue.bytes == 0 || queue.bytes + bytes <= queue.most_bytes) {
      waiting_bytes_ += bytes;
      messages_.push_back({id, std::move(request), std::move(sink), bytes});
      has_messages_.notify_one();
      return id;
    }
  }
  sink->on_event(too_much_waits(queue, bytes, retry_after_));
  return id;
}

void CompletionEngine::count_waiting(uint64_t before, uint64_t now) {
  MutexLock lock(mutex_);
  waiting_bytes_ += now;
  waiting_bytes_ -= before;
}

void CompletionEngine::cancel(CompletionId id) {
  MutexLock lock(mutex_);
  messages_.push_back({id, std::nullopt, nullptr, 0});
  has_messages_.notify_one();
}

Result<std::vector<TokenId>> CompletionEngine::encode(const CompletionPrompt& prompt) const {
  return intake_.encode(prompt);
}

Result<std::string> CompletionEngine::decode(const std::vector<TokenId>& tokens) const {
  return intake_.decode(tokens);
}

bool CompletionEngine::turn(Duration longest) {
  take_messages();
  masks_.begin_turn();
  bool moved = take_ended_parts();
  bool masks_moved = go_on_masks();
  make_room();
  start_waiting();
  tell_places();
  moved = go_on_reading() || moved;
  moved = begin_steps() || moved;
  if (!moved && driver_.is_busy()) {
    parts_.executor.turn(masks_moved ? Duration::zero() : std::min(longest, kLongestTurn));
  }
  publish();
  return !requests_.empty();
}

void CompletionEngine::publish() {
  ServiceFigures now = counts_;
  const KvMemory& memory = supply_.memory();
  now.kv_budget_bytes = options_.kv_bytes;
  now.kv_free_bytes = free_bytes();
  now.kv_used_bytes = options_.kv_bytes - now.kv_free_bytes;
  now.kv_kept_bytes = kept_bytes();
  now.kv_free_bytes -= std::min(now.kv_free_bytes, now.kv_kept_bytes);
  now.kv_used_blocks = memory.held();
  now.kv_kept_blocks = memory.taken() - memory.held();
  now.kv_free_blocks = memory.free();
  now.dropped_blocks = supply_.kept().counts().dropped;
  now.saved_blocks = supply_.kept().counts().saved;
  now.restored_blocks = supply_.kept().counts().restored;
  now.disk_bytes = supply_.kept().disk_bytes();
  now.queue_requests = scheduler_.waiting();
  now.drafted_tokens = speculation_.counts().drafted;
  now.accepted_tokens = speculation_.counts().accepted;
  MutexLock lock(mutex_);
  figures_ = now;
}

ServiceFigures CompletionEngine::figures() const {
  MutexLock lock(mutex_);
  ServiceFigures figures = figures_;
  figures.queue_bytes = waiting_bytes_;
  return figures;
}

void CompletionEngine::run_until(const std::atomic<bool>& stop) {
  while (!stop) {
    if (turn(kLongestTurn)) continue;
    MutexLock lock(mutex_);
    if (messages_.empty() && !stop) has_messages_.wait_for(lock, kIdleTurn);
  }
}

void CompletionEngine::take_messages() {
  std::deque<Message> taken;
  {
    MutexLock lock(mutex_);
    taken.swap(messages_);
  }
  for (Message& message : taken) {
    if (message.request) {
      accept(std::move(message));
    } else {
      cancel_now(message.id);
    }
  }
}

void CompletionEngine::accept(Message message) {
  if (state_ != ServiceState::kReady) {
    count_waiting(message.bytes, 0);
    message.sink->on_event(CompletionFailed{
        CompletionFault::kUnavailable, "the server is shutting down: no new requests", 0, 0, 0});
    return;
  }
  std::variant<PreparedRequest, CompletionFailed> prepared;
  Status memory = guard_memory("a request", [&]() -> Status {
    prepared = intake_.prepare(*message.request);
    auto* ready = std::get_if<PreparedRequest>(&prepared);
    if (ready != nullptr && message.request->grammar != nullptr) {
      ready->task.constraint = constraints_.make(message.request->grammar, ready->entry);
    }
    return {};
  });
  if (!memory) {
    prepared = CompletionFailed{CompletionFault::kOverloaded, memory.error().message, 0, 0, 0};
  }
  if (auto* failed = std::get_if<CompletionFailed>(&prepared)) {
    count_waiting(message.bytes, 0);
    message.sink->on_event(std::move(*failed));
    return;
  }
  enqueue(std::move(message), std::get<PreparedRequest>(std::move(prepared)));
}

void CompletionEngine::enqueue(Message message, PreparedRequest prepared) {
  auto prompt_tokens = static_cast<uint32_t>(prepared.task.prompt.size());
  uint32_t answer = std::min(prepared.task.max_tokens, options_.context - prompt_tokens);
  auto before = scheduler_.enqueue({message.id, message.request->user, message.request->background,
                                    prompt_tokens, prompt_tokens + answer});
  if (!before) {
    count_waiting(message.bytes, 0);
    message.sink->on_event(too_many_wait({scheduler_.waiting(), 0, 0}, retry_after_));
    return;
  }
  // From here on it holds tokens in place of what they were written as.
  uint64_t bytes = settings_bytes(*message.request) + uint64_t{prompt_tokens} * sizeof(TokenId);
  count_waiting(message.bytes, bytes);
  auto request = std::make_unique<Request>(message.id, std::move(message.sink),
                                           parts_.model.tokenizer(), std::move(prepared));
  request->accepted = parts_.clock.now();
  request->usage.prompt_tokens = prompt_tokens;
  request->waiting_bytes = bytes;
  request->sink->on_event(CompletionAdmitted{prompt_tokens, *before});
  requests_.emplace(message.id, std::move(request));
  may_start_ = true;
  places_changed_ = true;
}

// Of a request that so many come before.
uint32_t CompletionEngine::seconds_until(size_t ahead) const {
  if (request_seconds_ == 0) return 0;
  double wait = request_seconds_ / options_.most_active * static_cast<double>(ahead);
  return static_cast<uint32_t>(std::clamp(std::ceil(wait), 1.0, 600.0));
}

// Those that were sent back have begun to answer, and are told nothing.
void CompletionEngine::tell_places() {
  if (!std::exchange(places_changed_, false)) return;
  std::vector<CompletionId> queue = scheduler_.queue();
  for (size_t ahead = 0; ahead < queue.size(); ++ahead) {
    Request& request = *requests_.at(queue[ahead]);
    if (request.has_ended || request.started || request.told_ahead == ahead) continue;
    request.told_ahead = static_cast<uint32_t>(ahead);
    request.sink->on_event(CompletionQueued{*request.told_ahead, seconds_until(ahead + 1)});
  }
  retry_after_ = std::max<uint32_t>(1, seconds_until(queue.size()));
}

void CompletionEngine::cancel_now(CompletionId id) {
  auto found = requests_.find(id);
  if (found == requests_.end() || found->second->has_ended) return;
  Request& request = *found->second;
  finish(request, request.session.end(FinishReason::kCancelled));
}

bool CompletionEngine::take_ended_parts() {
  bool moved = driver_.poll([this](const EndedPart& part) { apply(part); });
  if (moved) report_long_steps();
  remove_ended();
  return moved;
}

// A step of thousands of rows takes a minute; those that wait for it are told how far it is.
void CompletionEngine::report_long_steps() {
  constexpr uint32_t kRowsBetween = 256;
  for (auto& [id, request] : requests_) {
    if (request->has_ended || request->session.cache() == nullptr) continue;
    if (done_of(*request) >= request->told_done + kRowsBetween) report_progress(*request);
  }
}

uint32_t CompletionEngine::done_of(const Request& request) const {
  return request.session.computed() + driver_.rows_done(request.id);
}

void CompletionEngine::apply(const EndedPart& part) {
  Request& request = *requests_.at(part.id);
  may_start_ = true;
  scheduler_.apply(part.id, part.status ? part.rows : 0);
  if (part.status) {
    request.session.take_draft();
    go_on(request, part);
  } else if (request.session.drafted() > 0) {
    // Tokens that nothing has chosen must not fail it: once more, without them.
    (void)request.session.drop_draft();
    request.has_failed_draft = true;
  } else {
    fail(request, CompletionFault::kInternal, part.status.error().message);
  }
}

void CompletionEngine::go_on(Request& request, const EndedPart& part) {
  if (scheduler_.is_due(request.id)) return report_progress(request);
  Session& session = request.session;
  uint32_t computed = session.computed();
  bool is_lasting = computed == request.fork || supply_.is_regular_stop(computed);
  if (!session.due().empty()) {
    // It stopped here so that the next one may begin from this place.
    checkpoint(request, is_lasting ? CheckpointKind::kLasting : CheckpointKind::kTurn);
    scheduler_.go_on(request.id, next_rows(request), false);
    return report_progress(request);
  }
  if (is_lasting) checkpoint(request, CheckpointKind::kLasting);
  if (session.answer_tokens() == 0) {
    report_progress(request);
    request.prefilled = parts_.clock.now();
  }
  choose(request, part);
}

// Rows until its next stop.
uint32_t CompletionEngine::next_rows(const Request& request) const {
  uint32_t computed = request.session.computed();
  auto all = static_cast<uint32_t>(request.session.tokens().size());
  return supply_.next_stop(computed, request.fork, all) - computed;
}

// Without memory for it, later requests compute more; this one goes on.
void CompletionEngine::checkpoint(Request& request, CheckpointKind kind) {
  (void)supply_.keep(request.session.tokens(), *request.session.cache(), kind);
  supply_.shrink(free_bytes());
}

void CompletionEngine::note_pace(Request& request) {
  TimePoint now = parts_.clock.now();
  if (request.last_token) {
    bool with_prompts = request.beside_prompt || request.prompt_parts != prompt_parts_;
    pace_.note(now - *request.last_token, with_prompts);
    scheduler_.set_prefill_beside(pace_.rows());
  }
  request.last_token = now;
  request.prompt_parts = prompt_parts_;
  request.beside_prompt = std::ranges::any_of(requests_, [this](const auto& other) {
    return other.second->session.phase() == SessionPhase::kPrefill &&
           driver_.is_under_way(other.first);
  });
}

// Where it takes long to find out which tokens may come, the request waits, and others go on.
// Returns whether a token was chosen, and the answer goes on.
bool CompletionEngine::choose_row(Request& request, std::span<const float> logits) {
  Session& session = request.session;
  if (!session.needs_mask()) return take_token(request, logits);
  uint64_t budget = masks_.at_once();
  uint64_t work = session.prepare(budget);
  masks_.spend(work);
  mask_work_ += work;
  if (budget > 0 && session.is_prepared()) return take_token(request, logits);
  request.logits.assign(logits.begin(), logits.end());
  request.last_token.reset();  // a pause is not the pace of tokens
  masks_.add(request.id, work);
  return false;
}

bool CompletionEngine::go_on_masks() {
  bool moved = false;
  while (auto piece = masks_.next()) {
    Request& request = *requests_.at(piece->id);
    uint64_t work = request.session.prepare(piece->budget);
    masks_.spend(*piece, std::max<uint64_t>(1, work));
    mask_work_ += work;
    moved = true;
    if (!request.session.is_prepared()) continue;
    masks_.remove(piece->id);
    note_pace(request);
    if (take_token(request, std::exchange(request.logits, {}))) {
      scheduler_.go_on(request.id, 1, true);
    }
  }
  return moved;
}

bool CompletionEngine::take_token(Request& request, std::span<const float> logits) {
  uint64_t before = request.session.form_work();
  CompletionDelta delta = request.session.choose(logits);
  masks_.spend(request.session.form_work() - before);
  mask_work_ += request.session.form_work() - before;
  const std::string& fault = request.session.fault();
  if (!fault.empty()) {
    fail(request, CompletionFault::kInvalid, fault);
    return false;
  }
  if (request.session.phase() == SessionPhase::kDone) {
    finish(request, std::move(delta));
    return false;
  }
  report(request, std::move(delta));
  return true;
}

// Gives the memory of one request to the others. It computes again what does not stay kept; its
// tokens are the same.
void CompletionEngine::make_room() {
  auto victim = scheduler_.victim();
  if (!victim) return;
  Request& request = *requests_.at(*victim);
  ++counts_.preemptions;
  masks_.remove(*victim);
  request.logits = {};
  scheduler_.requeue(*victim, static_cast<uint32_t>(request.session.tokens().size()));
  places_changed_ = true;
  speculation_.forget(*victim);
  keep_cache(request);
  request.last_token.reset();  // a pause is not the pace of tokens
  may_start_ = true;
}

void CompletionEngine::start_waiting() {
  if (!std::exchange(may_start_, false)) return;
  auto may_start = [this](CompletionId id) {
    const Request& request = *requests_.at(id);
    return !request.has_ended && !supply_.should_wait(request.session.tokens(), running(id));
  };
  while (auto id = scheduler_.next(may_start)) start(*requests_.at(*id));
}

void CompletionEngine::start(Request& request) {
  Session& session = request.session;
  if (!request.started) request.started = parts_.clock.now();
  count_waiting(std::exchange(request.waiting_bytes, 0), 0);
  places_changed_ = true;
  auto started = supply_.start(session.tokens(), running(request.id), &request.blocks);
  if (!started) return fail(request, CompletionFault::kOverloaded, started.error().message);
  request.is_reading = started->cache == nullptr;
  if (request.is_reading) {
    auto taken = static_cast<uint32_t>(request.blocks.size()) * kKvBlockPositions;
    scheduler_.prepare(request.id, taken);
    return supply_.shrink(free_bytes());
  }
  uint32_t length = started->cache->length();
  request.fork = started->fork;
  session.start(std::move(started->cache));
  scheduler_.start(request.id, length, next_rows(request));
  supply_.shrink(free_bytes());
  if (std::exchange(request.has_begun, true)) return;
  request.usage.cached_tokens = length;
  counts_.prefix_queries += request.usage.prompt_tokens;
  counts_.prefix_hits += length;
  if (length > 0) report_progress(request);
}

// One part at a time: others are answered meanwhile.
bool CompletionEngine::go_on_reading() {
  auto reads = [](const auto& entry) {
    return entry.second->is_reading && !entry.second->has_ended;
  };
  auto reading = std::ranges::find_if(requests_, reads);
  if (reading == requests_.end()) return false;
  start(*reading->second);
  remove_ended();
  return true;
}

bool CompletionEngine::begin_steps() {
  bool moved = false;
  if (driver_.has_room()) {
    scheduler_.set_prefill_chunk(options_.prefill_chunk.rows(parts_.executor.uses_disks()));
  }
  while (driver_.has_room()) {
    draft();
    std::vector<PlannedRows> planned = scheduler_.plan();
    if (planned.empty()) break;
    std::vector<StepPart> parts;
    std::vector<std::vector<TokenId>> tokens(planned.size());
    for (size_t i = 0; i < planned.size(); ++i) add_part(planned[i], &tokens[i], &parts);
    note_step(parts);
    // What answers have grown by is no longer free for what is kept.
    supply_.shrink(free_bytes());
    if (!parts.empty()) driver_.begin(parts);
    moved = true;
  }
  remove_ended();
  return moved;
}

void CompletionEngine::add_part(const PlannedRows& rows, std::vector<TokenId>* tokens,
                                std::vector<StepPart>* parts) {
  Request& request = *requests_.at(rows.id);
  Session& session = request.session;
  const auto due = static_cast<uint32_t>(session.due().size());
  if (Status room = supply_.extend(*session.cache(), session.computed() + rows.rows); !room) {
    scheduler_.apply(rows.id, 0);
    return fail(request, CompletionFault::kOverloaded, room.error().message);
  }
  if (session.phase() == SessionPhase::kPrefill) ++prompt_parts_;
  *tokens = session.step_tokens(rows.rows);
  const uint32_t logit_rows = rows.rows < due ? 0 : 1 + rows.rows - due;
  parts->push_back({rows.id, session.cache(), *tokens, logit_rows});
}

std::vector<RunningPrefix> CompletionEngine::running(CompletionId but) const {
  std::vector<RunningPrefix> prefixes;
  for (const auto& [id, request] : requests_) {
    const KvCache* cache = request->session.cache();
    if (id == but || cache == nullptr || request->has_ended) continue;
    prefixes.push_back({request->session.tokens(), request->session.prompt_tokens(), cache});
  }
  return prefixes;
}

// What they have reserved, but not taken, is kept until they do.
uint64_t CompletionEngine::free_bytes() const {
  uint64_t taken = supply_.held_bytes() + scheduler_.active() * supply_.price().fixed;
  return options_.kv_bytes - std::min(options_.kv_bytes, taken);
}

void CompletionEngine::report(Request& request, CompletionDelta delta) {
  request.call_ids.give(&delta.piece, &calls_);
  if (!is_empty(delta)) request.sink->on_event(std::move(delta));
}

void CompletionEngine::report_progress(Request& request) {
  if (request.session.answer_tokens() > 0) return;
  request.told_done = done_of(request);
  request.sink->on_event(CompletionProgress{request.told_done, request.usage.prompt_tokens});
}

void CompletionEngine::finish(Request& request, CompletionDelta delta) {
  report(request, std::move(delta));
  TimePoint now = parts_.clock.now();
  TimePoint started = request.started.value_or(now);
  TimePoint prefilled = request.prefilled.value_or(now);
  CompletionFinished finished;
  finished.reason = request.session.finish_reason();
  finished.stop_string = request.session.stop_string();
  finished.usage = request.usage;
  finished.usage.completion_tokens = request.session.answer_tokens();
  finished.prefill_seconds = in_seconds(prefilled - started);
  finished.decode_seconds = in_seconds(now - prefilled);
  finished.decode_steps = request.decode_steps;
  double whole = in_seconds(now - request.accepted);
  if (finished.reason != FinishReason::kCancelled) {
    request_seconds_ = request_seconds_ == 0 ? whole : 0.8 * request_seconds_ + 0.2 * whole;
  }
  request.sink->on_event(std::move(finished));
  end(request);
}

void CompletionEngine::fail(Request& request, CompletionFault fault, const std::string& message) {
  request.sink->on_event(CompletionFailed{fault, message, 0, 0, 0});
  end(request);
}

// The cache is free once no step has rows of it any more.
void CompletionEngine::end(Request& request) {
  request.has_ended = true;
  masks_.remove(request.id);
  speculation_.forget(request.id);
  driver_.give_up(request.id);
  may_start_ = true;
}

void CompletionEngine::remove_ended() {
  for (auto request = requests_.begin(); request != requests_.end();) {
    CompletionId id = request->first;
    bool is_free = request->second->has_ended && !driver_.is_under_way(id);
    ++request;
    if (is_free) remove(id);
  }
}

void CompletionEngine::remove(CompletionId id) {
  Request& request = *requests_.at(id);
  scheduler_.remove(id);
  count_waiting(request.waiting_bytes, 0);
  places_changed_ = true;
  keep_cache(request);
  requests_.erase(id);
  may_start_ = true;
}

void CompletionEngine::keep_cache(Request& request) {
  std::unique_ptr<KvCache> cache = request.session.release();
  // Without memory for what describes it, it is computed again.
  if (cache != nullptr) {
    (void)supply_.keep(request.session.tokens(), *cache, CheckpointKind::kTurn);
  }
  cache.reset();
  // Of one that ends while it reads.
  request.blocks.clear();
  supply_.shrink(free_bytes());
}

}  // namespace potluck
