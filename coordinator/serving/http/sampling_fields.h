// Sampling settings and stop texts out of a request: the names that the APIs share, with the
// extensions of other servers. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "coordinator/serving/http/json_fields.h"
#include "coordinator/serving/http/request_setting.h"
#include "engine/model/sampler.h"

namespace potluck {

// `settings` holds what is used where the request says nothing.
void read_sampling(JsonFields& fields, SamplingSettings* settings);
SamplingSettings read_sampling(JsonFields& fields, const RequestSetting& setting);

// A text, or a few of them, before which an answer ends.
std::vector<std::string> read_stop(JsonFields& fields, std::string_view key);

}  // namespace potluck
