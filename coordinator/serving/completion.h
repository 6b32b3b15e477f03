// Completion: what every API asks of the model, and what it is told: one request, one stream of
// events. The HTTP APIs translate to and from these types and know nothing of steps, caches or
// workers; a CompletionService knows nothing of HTTP.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/chat/answer_stream.h"
#include "engine/chat/conversation_values.h"
#include "engine/grammar/grammar.h"
#include "engine/model/sampler.h"

namespace potluck {

// What is continued: a conversation through the model's chat template, or text or tokens as they
// stand.
using CompletionPrompt = std::variant<Conversation, std::string, std::vector<TokenId>>;

struct CompletionRequest {
  CompletionPrompt prompt;
  uint32_t max_tokens = 0;   // 0: as many as the context has room for
  bool prompt_only = false;  // nothing is answered; the prompt is there for the next request
  SamplingSettings sampling;
  // The text ends before the first of them; reasoning and tool calls are not looked into. Empty
  // ones are ignored.
  std::vector<std::string> stop;
  std::optional<uint32_t> top_logprobs;  // log-probabilities are wanted, with so many alternatives
  bool ignore_end = false;               // goes on after an end-of-text token
  // What the answer may be, with the entries of an AnswerEntry; null: anything. Where it has to end
  // by it, it does.
  std::shared_ptr<const Grammar> grammar;
  bool background = false;  // waits for those that are not
  std::string user;         // requests of one user share a turn; may be empty
  std::string model = {};   // as the client wrote it; may be empty
  bool local = false;       // it must not leave this pool
  size_t siblings = 0;      // further choices of the same question
};

struct TokenLogprob {
  std::string bytes;  // of the token; need not be whole UTF-8
  double logprob = 0;
};

struct ChosenLogprob {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;  // the likeliest first
};

struct CompletionUsage {
  uint32_t prompt_tokens = 0;
  uint32_t cached_tokens = 0;  // of the prompt: not computed again
  uint32_t completion_tokens = 0;
};

enum class FinishReason : uint8_t { kStop, kStopString, kLength, kToolCalls, kCancelled };

// The prompt was encoded and fits; it is computed from now on, or soon.
struct CompletionAdmitted {
  uint32_t prompt_tokens = 0;
  uint32_t waiting = 0;  // requests that come first
  // Where the request left this pool: the name of the server that answers it, and of the model
  // that this was asked for; the name of one that was asked in vain before.
  std::string upstream = {};
  std::string upstream_model = {};
  std::string upstream_failed = {};
};

// It waits, and so many come first now. Told when that changes, until it starts.
struct CompletionQueued {
  uint32_t ahead = 0;
  uint32_t seconds = 0;  // until it starts, by what earlier requests took; 0: unknown
};

// So much of the prompt is computed.
struct CompletionProgress {
  uint32_t done = 0;
  uint32_t total = 0;
};

// What has been added to the answer. The text is whole UTF-8. Calls are whole and have ids. The
// last one may have tokens without any text.
struct CompletionDelta {
  AnswerPiece piece;
  std::vector<ChosenLogprob> logprobs = {};  // of the tokens whose text this is, if wanted
  std::vector<TokenId> tokens = {};          // chosen since the one before
};

struct CompletionFinished {
  FinishReason reason = FinishReason::kStop;
  std::string stop_string;  // the one that was met, for kStopString
  CompletionUsage usage;
  double prefill_seconds = 0;
  double decode_seconds = 0;
  uint32_t decode_steps = 0;  // tokens of the answer that were computed
};

enum class CompletionFault : uint8_t {
  kInvalid,      // the request cannot be answered as it is: message says why
  kTooLong,      // the prompt does not fit into the context
  kOverloaded,   // too many wait; try again later
  kUnavailable,  // loading, draining, or experts are missing
  kInternal,
};

struct CompletionFailed {
  CompletionFault fault = CompletionFault::kInternal;
  std::string message;
  uint32_t prompt_tokens = 0;        // kTooLong: of the prompt,
  uint32_t context = 0;              // and what there is room for
  uint32_t retry_after_seconds = 0;  // 0: unknown
  std::string upstream_failed = {};  // as above
};

// Admitted, then queued, then progress and deltas, then finished. Failed may take the place of any
// of them and is the last, as finished is.
using CompletionEvent = std::variant<CompletionAdmitted, CompletionQueued, CompletionProgress,
                                     CompletionDelta, CompletionFinished, CompletionFailed>;

// Told the events of one request, in order, by the service's thread; what is refused at once, by
// the thread that submits it. Must not block.
class CompletionSink {
 public:
  virtual ~CompletionSink() = default;
  virtual void on_event(const CompletionEvent& event) = 0;
};

struct ServedModel {
  std::string id;           // what clients call it
  int64_t created = 0;      // unix seconds
  uint64_t parameters = 0;  // elements of all tensors
  uint64_t file_bytes = 0;
  uint32_t context = 0;  // positions of a conversation here
  uint32_t trained_context = 0;
  std::string architecture;
  std::string quantization;
  bool has_template = false;
  bool calls_tools = false;  // its template writes tool calls in a known syntax
  bool reasons = false;      // its template marks reasoning
  AnswerSyntax syntax = {};  // in which form
};

enum class ServiceState : uint8_t { kLoading, kReady, kDraining, kFailed };

// What is being done before the first request can be answered.
struct LoadingProgress {
  std::string stage;  // for people
  uint64_t done = 0;
  uint64_t total = 0;  // 0: unknown
};

// Of one server outside this pool: what was sent there, and what came of it.
struct UpstreamFigures {
  std::string name;
  std::string model;
  uint64_t requests = 0;
  uint64_t running = 0;
  uint64_t fell_back = 0;  // it did not answer, and the pool did
  uint64_t failed = 0;     // it did not answer, or not to the end, and the client was told
  uint64_t sent_bytes = 0;
  uint64_t received_bytes = 0;
  uint64_t prompt_tokens = 0;  // as it counts them
  uint64_t answer_tokens = 0;
};

// What a service has and has done, for those who watch over it. Counts are since its start, and of
// all requests, no matter where they came from.
struct ServiceFigures {
  // Keys and values, and recurrent states: all that there may be, what requests have, what is kept
  // for later ones, and what is free.
  uint64_t kv_budget_bytes = 0;
  uint64_t kv_used_bytes = 0;
  uint64_t kv_kept_bytes = 0;
  uint64_t kv_free_bytes = 0;
  // Blocks of positions, of which a cache is made.
  uint64_t kv_used_blocks = 0;  // that requests have; those that several share count once
  uint64_t kv_kept_blocks = 0;  // that no request has
  uint64_t kv_free_blocks = 0;
  uint64_t prefix_queries = 0;   // tokens of prompts that were looked up
  uint64_t prefix_hits = 0;      // of these, tokens that were there
  uint64_t dropped_blocks = 0;   // that were kept, and are not any more
  uint64_t saved_blocks = 0;     // written to disk
  uint64_t restored_blocks = 0;  // read from there
  uint64_t disk_bytes = 0;       // that is kept there
  uint64_t queue_requests = 0;   // that wait
  uint64_t queue_bytes = 0;      // that these hold
  uint64_t drafted_tokens = 0;   // computed in case they come next
  uint64_t accepted_tokens = 0;  // of these, those that did
  uint64_t preemptions = 0;      // requests that gave their memory to others, and wait again
  std::vector<UpstreamFigures> upstreams = {};
};

using CompletionId = uint64_t;

// Any thread may call.
class CompletionService {
 public:
  virtual ~CompletionService() = default;

  // Answers at once; everything else, refusals included, is told to the sink.
  virtual CompletionId submit(CompletionRequest request, std::shared_ptr<CompletionSink> sink) = 0;
  // Ends the request within a step; the sink is told "cancelled" unless it has ended already.
  virtual void cancel(CompletionId id) = 0;

  virtual ServiceState state() const = 0;
  // Of use while the state is kLoading.
  virtual LoadingProgress loading() const { return {}; }
  virtual const ServedModel& model() const = 0;
  virtual ServiceFigures figures() const { return {}; }
  // For /tokenize and /v1/messages/count_tokens.
  virtual Result<std::vector<TokenId>> encode(const CompletionPrompt& prompt) const = 0;
  virtual Result<std::string> decode(const std::vector<TokenId>& tokens) const = 0;
};

}  // namespace potluck
