#include "coordinator/serving/http/openai_models.h"

#include "coordinator/serving/http/iso_time.h"
#include "coordinator/serving/http/json_object.h"

namespace potluck {

JsonValue model_json(const ServedModel& model) {
  return JsonObject()
      .add("id", model.id)
      .add("object", "model")
      .add("created", model.created)
      .add("owned_by", "potluck")
      // What Anthropic's API says of a model, under the same route.
      .add("type", "model")
      .add("display_name", model.id)
      .add("created_at", iso_time(model.created))
      .add("max_model_len", model.context)  // where agents look for the size of the context
      .add("meta", JsonObject()
                       .add("n_ctx", model.context)
                       .add("n_ctx_train", model.trained_context)
                       .add("n_params", model.parameters)
                       .add("size", model.file_bytes)
                       .add("architecture", model.architecture)
                       .add("quantization", model.quantization)
                       .take())
      .take();
}

JsonValue model_list_json(const ServedModel& model) {
  JsonValue::Array models;
  models.push_back(model_json(model));
  return JsonObject()
      .add("object", "list")
      .add("data", std::move(models))
      .add("has_more", false)
      .add("first_id", model.id)
      .add("last_id", model.id)
      .take();
}

}  // namespace potluck
