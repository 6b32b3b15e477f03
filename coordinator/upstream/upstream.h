// Upstream: a server outside this pool to which requests may go, and when. Nothing leaves
// unless a table of the configuration says so. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace potluck {

enum class UpstreamStyle : uint8_t { kOpenAi, kAnthropic };

// Any of these is enough. Without any, no request goes there.
struct UpstreamRules {
  bool cannot_serve = false;                   // the pool refuses or is not there
  std::optional<uint32_t> queue_seconds = {};  // it would be the request's turn later than that
  std::optional<uint32_t> prompt_tokens = {};  // the prompt has more
  bool model = false;                          // the request names one of `models`

  bool any() const {
    return cannot_serve || queue_seconds.has_value() || prompt_tokens.has_value() || model;
  }
};

struct Upstream {
  std::string name;     // for headers, metrics and people: letters, digits, '.', '_' and '-'
  std::string address;  // "https://HOST/v1": what comes behind it is the API's
  UpstreamStyle style = UpstreamStyle::kOpenAi;
  std::string key;      // secret; empty: none is sent
  std::string ca_file;  // certificates to trust; empty: the system's
  // The first one is asked for where the request does not name one of them.
  std::vector<std::string> models;
  UpstreamRules rules;
  uint32_t at_once = 4;            // requests under way
  uint32_t silence_seconds = 120;  // without a byte: it counts as gone
  uint32_t answer_seconds = 1800;  // from the question to the end of the answer
};

}  // namespace potluck
