// /v1/models: the one model that is served. Pure.
#pragma once

#include "coordinator/serving/completion.h"
#include "engine/template/json.h"

namespace potluck {

JsonValue model_json(const ServedModel& model);
JsonValue model_list_json(const ServedModel& model);

}  // namespace potluck
