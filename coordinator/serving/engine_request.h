// What the CompletionEngine knows of a request that is with it. Internal to the engine; its thread.
#pragma once

#include "coordinator/serving/call_ids.h"
#include "coordinator/serving/completion_engine.h"

namespace potluck {

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
  uint32_t fork = 0;                 // where others part from it
  bool is_reading = false;           // from disk, what it begins with
  std::vector<KvBlock> blocks = {};  // of that, what is there
  uint32_t decode_steps = 0;
  TimePoint accepted{0};
  std::optional<TimePoint> started;
  std::optional<TimePoint> prefilled;
  uint64_t waiting_bytes = 0;  // that it counts for until it starts
  std::optional<uint32_t> told_ahead;
  uint32_t told_done = 0;          // of its prompt
  std::vector<float> logits = {};  // of its next token, while what may come is found out
  bool has_begun = false;          // with a cache
  bool has_ended = false;          // the sink was told so; a step may still have its rows
  CallIds call_ids = {};
  // Its last step: when it began, and what shared it.
  TimePoint step_begun{0};
  uint32_t step_answers = 0;
  uint32_t step_rows = 0;
  bool has_failed_draft = false;  // a drafted token may have been at fault: the next step has none

  // When its last token was chosen, how many parts of prompts had begun then, and whether one was
  // still under way.
  std::optional<TimePoint> last_token;
  uint64_t prompt_parts = 0;
  bool beside_prompt = false;
};

}  // namespace potluck
