#include "coordinator/serving/http/dashboard_routes.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "coordinator/serving/http/json_fields.h"
#include "coordinator/serving/http/json_object.h"
#include "coordinator/serving/http/page_origin.h"
#include "coordinator/serving/http/sse.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

constexpr std::string_view kPool = "/api/pool";
constexpr std::string_view kPoolPrefix = "/api/pool/";
// What may be asked for there, and the members of a question that are passed on.
constexpr std::array<std::string_view, 5> kVerbs{"admit", "refuse", "rename", "revoke", "invite"};
constexpr std::string_view kEvents = "events";
constexpr std::string_view kMap = "map";
constexpr std::array<std::string_view, 2> kViews{kEvents, kMap};
constexpr std::array<std::string_view, 3> kQuestionFields{"code", "device", "name"};
constexpr size_t kQuestionBytes = 4096;
constexpr uint32_t kAskAgainSeconds = 1;

std::string_view state_name(ServiceState state) {
  switch (state) {
    case ServiceState::kLoading:
      return "loading";
    case ServiceState::kReady:
      return "ready";
    case ServiceState::kDraining:
      return "stopping";
    case ServiceState::kFailed:
      break;
  }
  return "failed";
}

JsonValue loading_json(const LoadingProgress& progress) {
  return JsonObject()
      .add("stage", progress.stage)
      .add("done", progress.done)
      .add("total", progress.total)
      .take();
}

JsonValue served_model_json(const ServedModel& model) {
  return JsonObject()
      .add("id", model.id)
      .add("architecture", model.architecture)
      .add("quantization", model.quantization)
      .add("parameters", model.parameters)
      .add("file_bytes", model.file_bytes)
      .add("context", model.context)
      .add("has_template", model.has_template)
      .add("reasons", model.reasons)
      .take();
}

JsonValue upstreams_json(const std::vector<UpstreamFigures>& upstreams) {
  JsonValue::Array list;
  for (const UpstreamFigures& one : upstreams) {
    list.push_back(JsonObject()
                       .add("name", one.name)
                       .add("model", one.model)
                       .add("requests", one.requests)
                       .add("running", one.running)
                       .add("fell_back", one.fell_back)
                       .add("failed", one.failed)
                       .add("sent_bytes", one.sent_bytes)
                       .add("received_bytes", one.received_bytes)
                       .add("prompt_tokens", one.prompt_tokens)
                       .add("answer_tokens", one.answer_tokens)
                       .take());
  }
  return JsonValue{std::move(list)};
}

JsonValue service_json(const CompletionService& service, const ServiceMetrics& metrics) {
  const ServiceState state = service.state();
  const ServiceCounts counts = metrics.counts();
  const ServiceFigures figures = service.figures();
  JsonObject object;
  object.add("state", std::string(state_name(state)))
      .add("model", served_model_json(service.model()));
  if (state == ServiceState::kLoading) object.add("loading", loading_json(service.loading()));
  return object.add("requests_running", counts.running)
      .add("requests_waiting", counts.waiting)
      .add("requests_done", counts.done)
      .add("prompt_tokens", counts.prompt_tokens)
      .add("cached_tokens", counts.cached_tokens)
      .add("answer_tokens", counts.chosen_tokens)
      .add("kv_budget_bytes", figures.kv_budget_bytes)
      .add("kv_used_bytes", figures.kv_used_bytes)
      .add("kv_kept_bytes", figures.kv_kept_bytes)
      .add("prefix_queries", figures.prefix_queries)
      .add("prefix_hits", figures.prefix_hits)
      .add("drafted_tokens", figures.drafted_tokens)
      .add("accepted_tokens", figures.accepted_tokens)
      .add("preemptions", figures.preemptions)
      .add("upstreams", upstreams_json(figures.upstreams))
      .take();
}

HttpResponse text_json(std::string text) {
  HttpResponse response;
  response.headers = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
  response.body = std::move(text);
  return response;
}

// The question that a request asks; nothing where it is no such thing.
std::optional<std::string> question_of(const HttpRequest& request, const std::string& verb,
                                       std::optional<ApiError>* error) {
  JsonValue body;
  if (!request.body.empty()) *error = parse_body(request.body, &body);
  JsonObject question;
  question.add("verb", verb);
  if (!request.body.empty() && !*error) {
    JsonFields fields(body, "", error);
    for (const std::string_view name : kQuestionFields) {
      if (auto text = fields.text(name)) question.add(name, *std::move(text));
    }
  }
  if (*error) return std::nullopt;
  return write_json(question.take());
}

// What the pool answered, as an answer of this API.
void pass_on(const std::string& answer, const ApiReply& reply) {
  const auto parsed = parse_json(answer);
  const JsonValue::Object* members = parsed ? parsed->object() : nullptr;
  if (members == nullptr) return reply.error(from_status(500, "the pool gave no answer"));
  bool not_found = false;
  const std::string* error = nullptr;
  for (const auto& [name, value] : *members) {
    if (name == "error") error = value.text();
    if (name == "not_found")
      not_found = std::get_if<bool>(&value.data) && std::get<bool>(value.data);
  }
  if (error != nullptr) {
    return reply.error(from_status(not_found ? 404 : 400, *error));
  }
  reply.respond(text_json(answer));
}

}  // namespace

bool DashboardRoutes::has(std::string_view path) const {
  return enabled_ && (path == kPool || path.starts_with(kPoolPrefix) || pages_.has(path));
}

std::vector<RouteName> DashboardRoutes::list() {
  std::vector<RouteName> names{{std::string(kPool), "GET"}};
  for (const std::string_view verb : kViews)
    names.push_back({fmt::format("{}{}", kPoolPrefix, verb), "GET"});
  for (const std::string_view verb : kVerbs)
    names.push_back({fmt::format("{}{}", kPoolPrefix, verb), "POST"});
  return names;
}

void DashboardRoutes::handle(const HttpRequest& request, const std::string& path,
                             const ApiReply& reply) {
  const std::string verb =
      path.starts_with(kPoolPrefix) ? path.substr(kPoolPrefix.size()) : std::string();
  const bool changes = std::ranges::find(kVerbs, verb) != kVerbs.end();
  const std::string_view method = changes ? "POST" : "GET";
  if (request.method != method) {
    HttpResponse response =
        error_response(from_status(405, fmt::format("{} is answered for {} alone", path, method)));
    response.headers.emplace_back("Allow", std::string(method));
    return reply.respond(std::move(response));
  }
  if (auto page = pages_.find(path, request.headers)) return reply.respond(*std::move(page));
  if (!admit(request, reply)) return;
  if (changes) return ask(request, verb, reply);
  if (path == kPool) return reply.respond(text_json(state()));
  if (verb == kEvents) return watch(reply);
  if (verb == kMap) {
    std::string map = board_->report().map;
    return reply.respond(text_json(map.empty() ? "{}" : std::move(map)));
  }
  reply.error(not_found(fmt::format("there is nothing at {}", path), "unknown_url"));
}

void DashboardRoutes::open_pool(PoolControl control) {
  MutexLock lock(mutex_);
  control_ = std::make_shared<const PoolControl>(std::move(control));
}

void DashboardRoutes::publish(PoolReport report) {
  board_->publish(std::move(report));
  if (board_->watchers() > 0) board_->send("data: " + state() + "\n\n");
}

bool DashboardRoutes::shown_to(const HttpHeaders& request) {
  const bool keys = keys_.required();
  return (keys || open_) && !origin_fault(request, keys);
}

bool DashboardRoutes::admit(const HttpRequest& request, const ApiReply& reply) {
  const bool keys = keys_.required();
  if (!keys && !open_) {
    reply.error(from_status(403,
                            "others reach this port, so the pool is shown to those with a key "
                            "alone: make one with 'potluck keys add NAME'"));
    return false;
  }
  if (keys && !keys_.admit(request.headers)) {
    reply.error(missing_key());
    return false;
  }
  const auto fault = origin_fault(request.headers, keys);
  if (fault) reply.error(from_status(403, *fault));
  return !fault;
}

// The first event is the pool as it is known now.
void DashboardRoutes::watch(const ApiReply& reply) {
  if (board_->watchers() >= PoolBoard::kMostWatchers) {
    return reply.error(unavailable("too many pages watch the pool", kAskAgainSeconds));
  }
  reply.start_stream(kSseContentType, kSseComment);
  reply.exchange().write("data: " + state() + "\n\n");
  // Between the question and the answer the server may have begun to stop.
  if (!board_->watch(reply.shared_exchange())) reply.exchange().end();
}

// Forms of other sites can send text, but no JSON.
void DashboardRoutes::ask(const HttpRequest& request, const std::string& verb,
                          const ApiReply& reply) {
  const std::string* type = find_header(request.headers, "content-type");
  if (type == nullptr || !type->starts_with("application/json")) {
    return reply.error(invalid_request("", "expected a body of the type application/json"));
  }
  if (request.body.size() > kQuestionBytes) {
    return reply.error(from_status(413, "the body is too long"));
  }
  std::optional<ApiError> error;
  auto question = question_of(request, verb, &error);
  if (!question) return reply.error(*error);
  std::shared_ptr<const PoolControl> control;
  {
    MutexLock lock(mutex_);
    control = control_;
  }
  if (!control) return reply.error(unavailable("there is no pool yet", kAskAgainSeconds));
  // It may wait for a disk, which this thread must not.
  const bool taken = side_.run([control, asked = *std::move(question), reply] {
    const Status done = guard_memory("a request", [&]() -> Status {
      pass_on((*control)(asked), reply);
      return {};
    });
    if (!done) reply.error(unavailable(done.error().message, kAskAgainSeconds));
  });
  if (!taken) reply.error(unavailable("too many requests wait", kAskAgainSeconds));
}

std::string DashboardRoutes::service() const {
  return write_json(service_json(service_, metrics_));
}

std::string DashboardRoutes::state() const {
  const PoolReport report = board_->report();
  return fmt::format(R"({{"version": {}, "service": {}, "pool": {}}})", kStateVersion, service(),
                     report.pool.empty() ? "null" : report.pool);
}

}  // namespace potluck
