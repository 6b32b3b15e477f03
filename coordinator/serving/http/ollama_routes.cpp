// The routes of Ollama's API.
#include "coordinator/serving/http/ollama_answer.h"
#include "coordinator/serving/http/ollama_request.h"
#include "coordinator/serving/http/routes.h"

namespace potluck {

// Clients compare it with the version that they need.
void ApiRoutes::ollama_version(const Call& call) {
  call.reply.json(JsonObject().add("version", "0.13.0").add("server", options_.fingerprint).take());
}

void ApiRoutes::ollama_tags(const Call& call) {
  call.reply.json(potluck::ollama_tags(service_.model()));
}

// There is one model, whatever it is called.
void ApiRoutes::ollama_show(const Call& call) {
  if (body_of(call)) call.reply.json(potluck::ollama_show(service_.model()));
}

void ApiRoutes::ollama_running(const Call& call) {
  call.reply.json(potluck::ollama_running(service_.model()));
}

void ApiRoutes::ollama_chat(const Call& call) {
  answer_ollama(call, false);
}

void ApiRoutes::ollama_generate(const Call& call) {
  answer_ollama(call, true);
}

void ApiRoutes::answer_ollama(const Call& call, bool generate) {
  const auto body = body_of(call);
  if (!body) return;
  OllamaParsed parsed =
      generate ? parse_ollama_generate(*body, setting()) : parse_ollama_chat(*body, setting());
  if (const auto* error = std::get_if<ApiError>(&parsed)) return call.reply.error(*error);
  auto& asked = std::get<OllamaRequest>(parsed);
  using Form = OllamaWriter::Form;
  auto writer = std::make_unique<OllamaWriter>(
      identity(""), generate ? Form::kGenerate : Form::kChat, asked.stream);
  if (asked.only_load) return call.reply.json(writer->loaded());
  run(call, *body, std::move(asked.request), std::move(writer));
}

}  // namespace potluck
