#include "coordinator/serving/completion_engine.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

// How long the engine sleeps without requests before it looks at the stop flag.
constexpr std::chrono::milliseconds kIdleTurn{50};
// An answer ends a turn at once; this bounds how long a message may wait for one.
constexpr Duration kLongestTurn = std::chrono::milliseconds(20);

double seconds(Duration time) {
  return std::chrono::duration<double>(time).count();
}

bool is_empty(const CompletionDelta& delta) {
  return delta.piece.reasoning.empty() && delta.piece.content.empty() &&
         delta.piece.calls.empty() && delta.logprobs.empty() && delta.tokens.empty();
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
  made.prefill_chunk = std::max<uint32_t>(1, options.prefill_chunk);
  made.prefill_beside = std::min(made.prefill_beside, made.prefill_chunk);
  made.most_active = std::max<uint32_t>(1, options.most_active);
  made.most_waiting = std::max<uint32_t>(1, options.most_waiting);
  made.steps = static_cast<uint32_t>(steps);
  made.price = price;
  made.budget = options.kv_bytes;
  return made;
}

}  // namespace

struct CompletionEngine::Request {
  Request(CompletionId number, std::shared_ptr<CompletionSink> told, const Tokenizer* tokenizer,
          PreparedRequest prepared)
      : id(number),
        sink(std::move(told)),
        session(tokenizer, std::move(prepared.task), std::move(prepared.reader)) {}

  CompletionId id;
  std::shared_ptr<CompletionSink> sink;
  Session session;
  CompletionUsage usage;
  uint32_t held = 0;  // positions of the cache that have ever been filled
  uint32_t uses = 0;  // of the cache that was taken over
  uint32_t decode_steps = 0;
  TimePoint accepted{0};
  std::optional<TimePoint> started;
  std::optional<TimePoint> prefilled;
  bool has_ended = false;  // the sink was told so; a step may still have its rows

  // When its last token was chosen, how many parts of prompts had begun then, and whether one was
  // still under way.
  std::optional<TimePoint> last_token;
  uint64_t prompt_parts = 0;
  bool beside_prompt = false;
};

CompletionEngine::CompletionEngine(const EngineParts& parts, EngineOptions options)
    : parts_(parts),
      options_(with_fitting_context(parts.model.config(), std::move(options))),
      intake_(parts.model, parts.chat_template, options_.context, options_.local_seconds),
      supply_(parts.model.config(), options_.kv_type, options_.context),
      constraints_(parts.model.tokenizer(), marks_of(parts.chat_template)),
      scheduler_(scheduler_options(options_, supply_.price(), parts.forwards.size())),
      driver_(parts.forwards, parts.executor),
      pace_(std::max<uint32_t>(1, options_.prefill_chunk)) {}

CompletionEngine::~CompletionEngine() = default;

CompletionId CompletionEngine::submit(CompletionRequest request,
                                      std::shared_ptr<CompletionSink> sink) {
  MutexLock lock(mutex_);
  CompletionId id = ++last_id_;
  messages_.push_back({id, std::move(request), std::move(sink)});
  has_messages_.notify_one();
  return id;
}

void CompletionEngine::cancel(CompletionId id) {
  MutexLock lock(mutex_);
  messages_.push_back({id, std::nullopt, nullptr});
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
  bool moved = take_ended_parts();
  make_room();
  start_waiting();
  moved = begin_steps() || moved;
  if (!moved && driver_.is_busy()) parts_.executor.turn(std::min(longest, kLongestTurn));
  return !requests_.empty();
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
    double wait =
        request_seconds_ / options_.most_active * static_cast<double>(scheduler_.waiting());
    auto retry_after = static_cast<uint32_t>(std::clamp(std::ceil(wait), 1.0, 600.0));
    std::string text = fmt::format("{} requests wait already, which is the most; try again later",
                                   scheduler_.waiting());
    message.sink->on_event(
        CompletionFailed{CompletionFault::kOverloaded, std::move(text), 0, 0, retry_after});
    return;
  }
  auto request = std::make_unique<Request>(message.id, std::move(message.sink),
                                           parts_.model.tokenizer(), std::move(prepared));
  request->accepted = parts_.clock.now();
  request->usage.prompt_tokens = prompt_tokens;
  request->sink->on_event(CompletionAdmitted{prompt_tokens, *before});
  requests_.emplace(message.id, std::move(request));
  may_start_ = true;
}

void CompletionEngine::cancel_now(CompletionId id) {
  auto found = requests_.find(id);
  if (found == requests_.end() || found->second->has_ended) return;
  Request& request = *found->second;
  finish(request, request.session.end(FinishReason::kCancelled));
}

bool CompletionEngine::take_ended_parts() {
  bool moved = driver_.poll([this](const EndedPart& part) { apply(part); });
  remove_ended();
  return moved;
}

void CompletionEngine::apply(const EndedPart& part) {
  Request& request = *requests_.at(part.id);
  may_start_ = true;
  scheduler_.apply(part.id, part.status ? part.rows : 0);
  request.held = std::max(request.held, request.session.computed());
  if (part.status) {
    go_on(request, part);
  } else {
    fail(request, CompletionFault::kInternal, part.status.error().message);
  }
}

void CompletionEngine::go_on(Request& request, const EndedPart& part) {
  if (scheduler_.is_due(request.id)) return report_progress(request);
  Session& session = request.session;
  auto left = static_cast<uint32_t>(session.due().size());
  if (left > 0) {
    // Others part from this prompt here: the next one may begin from this place.
    session.cache()->checkpoint();
    scheduler_.go_on(request.id, left, false);
    return report_progress(request);
  }
  if (session.answer_tokens() > 0) {
    ++request.decode_steps;
  } else {
    report_progress(request);
    // The next turn of the conversation goes on from here.
    session.cache()->checkpoint();
    request.prefilled = parts_.clock.now();
  }
  choose(request, part.logits);
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

void CompletionEngine::choose(Request& request, std::span<const float> logits) {
  note_pace(request);
  CompletionDelta delta = request.session.choose(logits);
  const std::string& fault = request.session.fault();
  if (!fault.empty()) return fail(request, CompletionFault::kInvalid, fault);
  if (request.session.phase() == SessionPhase::kDone) return finish(request, std::move(delta));
  scheduler_.go_on(request.id, 1, true);
  report(request, std::move(delta));
}

// Gives the memory of one request to the others. It computes again what does not stay kept; its
// tokens are the same.
void CompletionEngine::make_room() {
  auto victim = scheduler_.victim();
  if (!victim) return;
  Request& request = *requests_.at(*victim);
  scheduler_.requeue(*victim, static_cast<uint32_t>(request.session.tokens().size()));
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
  auto started = supply_.start(session.tokens(), running(request.id), free_bytes(),
                               scheduler_.starting_bytes(request.id));
  if (!started) return fail(request, CompletionFault::kOverloaded, started.error().message);
  uint32_t length = started->cache->length();
  auto all = static_cast<uint32_t>(session.tokens().size());
  request.held = started->held;
  request.uses = started->uses;
  session.start(std::move(started->cache));
  uint32_t due_until = started->fork > 0 ? started->fork : all;
  scheduler_.start(request.id, length, request.held, due_until - length);
  // What was taken over may hold more memory than what it starts with.
  supply_.shrink(free_bytes());
  if (request.started) return;
  request.started = parts_.clock.now();
  request.usage.cached_tokens = length;
  if (length > 0) report_progress(request);
}

bool CompletionEngine::begin_steps() {
  bool moved = false;
  while (driver_.has_room()) {
    std::vector<PlannedRows> planned = scheduler_.plan();
    if (planned.empty()) break;
    std::vector<StepPart> parts;
    for (const PlannedRows& rows : planned) {
      Session& session = requests_.at(rows.id)->session;
      std::span<const TokenId> due = session.due();
      if (session.phase() == SessionPhase::kPrefill) ++prompt_parts_;
      parts.push_back({rows.id, session.cache(), due.first(rows.rows), rows.rows == due.size()});
    }
    // What answers have grown by is no longer free for what is kept.
    supply_.shrink(free_bytes());
    driver_.begin(parts);
    moved = true;
  }
  return moved;
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

uint64_t CompletionEngine::free_bytes() const {
  return options_.kv_bytes - std::min(options_.kv_bytes, scheduler_.reserved_bytes());
}

void CompletionEngine::report(Request& request, CompletionDelta delta) {
  for (ToolCall& call : delta.piece.calls) call.id = fmt::format("call_{}", ++calls_);
  if (!is_empty(delta)) request.sink->on_event(std::move(delta));
}

void CompletionEngine::report_progress(Request& request) {
  if (request.session.answer_tokens() > 0) return;
  request.sink->on_event(
      CompletionProgress{request.session.computed(), request.usage.prompt_tokens});
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
  finished.prefill_seconds = seconds(prefilled - started);
  finished.decode_seconds = seconds(now - prefilled);
  finished.decode_steps = request.decode_steps;
  double whole = seconds(now - request.accepted);
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
  keep_cache(request);
  requests_.erase(id);
  may_start_ = true;
}

void CompletionEngine::keep_cache(Request& request) {
  std::unique_ptr<KvCache> cache = request.session.release();
  if (cache == nullptr) return;
  KeptPrefix prefix;
  const std::vector<TokenId>& tokens = request.session.tokens();
  prefix.tokens.assign(tokens.begin(), tokens.begin() + cache->length());
  prefix.prompt_tokens = request.session.prompt_tokens();
  prefix.held = std::max(request.held, cache->length());
  prefix.uses = request.uses;
  prefix.cache = std::move(cache);
  supply_.keep(std::move(prefix), free_bytes());
}

}  // namespace potluck
