// Sampling settings out of a request of OpenAI's API, with the extensions of other servers. Pure.
#pragma once

#include "coordinator/serving/http/json_fields.h"
#include "engine/model/sampler.h"

namespace potluck {

// `settings` holds what is used where the request says nothing.
void read_sampling(JsonFields& fields, SamplingSettings* settings);

}  // namespace potluck
