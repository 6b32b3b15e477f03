#include "coordinator/serving/http/openai_models.h"

#include "coordinator/serving/http/json_object.h"

namespace potluck {

JsonValue model_json(const ServedModel& model) {
  return JsonObject()
      .add("id", model.id)
      .add("object", "model")
      .add("created", model.created)
      .add("owned_by", "potluck")
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
  return JsonObject().add("object", "list").add("data", std::move(models)).take();
}

}  // namespace potluck
