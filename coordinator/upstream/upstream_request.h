// A request of this server's own form as other servers take it: the body of OpenAI's Chat
// Completions or of Anthropic's Messages, always as a stream. Pure; any thread.
#pragma once

#include <string>

#include "coordinator/serving/completion.h"
#include "coordinator/upstream/upstream.h"

namespace potluck {

// What of the request cannot be passed on in that style, by the name that clients know it by; empty
// if all can. Nothing is left out in silence, but what only this server could do: a seed, and
// `enable_thinking`.
std::string unfit_part(const CompletionRequest& request, UpstreamStyle style);

// Of a request that fits.
std::string upstream_body(const CompletionRequest& request, UpstreamStyle style,
                          const std::string& model);

// The model to ask for: the one that the request names, if it is one of the upstream's.
const std::string& upstream_model(const Upstream& upstream, const std::string& asked);

}  // namespace potluck
