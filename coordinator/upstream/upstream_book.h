// UpstreamBook: which upstream takes a request on an occasion, and what has become of those that
// went there. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/serving/completion.h"
#include "coordinator/upstream/upstream.h"
#include "engine/base/clock.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

enum class UpstreamReason : uint8_t { kModel, kCannotServe, kQueue, kPrompt };

struct UpstreamOccasion {
  UpstreamReason reason = UpstreamReason::kModel;
  uint32_t amount = 0;     // seconds of waiting, tokens of the prompt
  std::string model = {};  // that was asked for
};

// Why the request goes there, for the log: "its prompt has 9000 tokens, more than 8000".
std::string describe(const UpstreamOccasion& occasion, const UpstreamRules& rules);

class UpstreamBook {
 public:
  // After one that failed, no other request tries it for a while unless it asks for it by name.
  static constexpr Duration kPause = std::chrono::seconds(15);

  // The clock must outlive the book.
  UpstreamBook(std::vector<Upstream> upstreams, const Clock* clock);

  const Upstream& upstream(size_t index) const { return upstreams_[index]; }
  // Some upstream takes requests that do not ask for it by name.
  bool has_overflow() const;
  // The one that has this model and is asked by name.
  std::optional<size_t> find_model(const std::string& model) const;

  // The first one with a rule for the occasion and room, which counts as under way until ended().
  std::optional<size_t> choose(const UpstreamOccasion& occasion);
  // The same, of this one.
  bool take(size_t index);
  void sent(size_t index, uint64_t bytes);
  enum class Outcome : uint8_t { kAnswered, kFellBack, kFailed, kCancelled };
  void ended(size_t index, Outcome outcome, const CompletionUsage& usage, uint64_t received_bytes);

  std::vector<UpstreamFigures> figures() const;

 private:
  bool matches(const UpstreamRules& rules, const UpstreamOccasion& occasion) const;

  const std::vector<Upstream> upstreams_;
  const Clock& clock_;
  mutable Mutex mutex_;
  std::vector<UpstreamFigures> figures_ GUARDED_BY(mutex_);
  std::vector<std::optional<TimePoint>> failed_at_ GUARDED_BY(mutex_);
};

}  // namespace potluck
