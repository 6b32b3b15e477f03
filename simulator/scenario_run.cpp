#include "simulator/scenario_run.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/cluster/placement.h"
#include "coordinator/plan/planner.h"
#include "engine/kernels/activations.h"

namespace potluck::sim {
namespace {

// Prompts differ by where they begin in one long text.
constexpr uint32_t kPromptStep = 3;
// Between two looks while there is nothing to answer.
constexpr Duration kLook = std::chrono::milliseconds(50);
// An event has to do with tokens for so long, unless another one comes.
constexpr Duration kEventReach = std::chrono::minutes(5);
// Far more than any scenario needs.
constexpr uint64_t kScenarioSteps = 2'000'000'000;

Duration in_duration(double seconds) {
  return Duration(static_cast<Duration::rep>(seconds * 1e9));
}

struct TokenTime {
  TimePoint end{0};
  Duration took{0};
  bool first = false;  // of an answer: the prompt's time is in it
};

Duration median_of(std::vector<Duration> times) {
  if (times.empty()) return Duration{0};
  auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

class ScenarioRun {
 public:
  ScenarioRun(const PoolScenario& scenario, const ScenarioModels& models, uint64_t seed);

  ScenarioResult run();

 private:
  static uint32_t slices_of(const PoolScenario& scenario, const ScenarioModels& models);
  SimPoolOptions pool_options(uint64_t seed) const;
  Duration attention_of_layer() const;
  Duration local_call() const;

  void schedule_events();
  void apply(const ScenarioEvent& event);
  bool wait_until(const std::function<bool()>& condition, Duration limit);
  void wait_for_time(TimePoint time);
  void serve_coordinator();
  void ask(uint32_t number);
  bool answer_with_weights(uint32_t number, uint32_t* done);
  bool answer_of_shape(uint32_t number, uint32_t* done);
  Status compute_token(uint64_t token);
  Status compute_layer(const ManifestLayer& layer, uint64_t token);
  void token_done(uint32_t index, uint32_t* done);
  void end_and_settle();
  void judge();
  void sum_up();
  void attribute_lost_time();
  void fail(Verdict verdict, std::string what);

  const PoolScenario& scenario_;
  const ScenarioModels& models_;
  uint64_t seed_;
  uint32_t slices_;
  SimPool pool_;
  ScenarioDevices devices_;
  TimedExecutor executor_;
  std::optional<ExpertRoutes> routes_;
  ScenarioResult result_;
  std::optional<TimePoint> coordinator_back_at_;
  std::vector<TokenTime> times_;
  TimePoint token_began_{0};
  uint64_t tokens_drawn_ = 0;
  ActivationBuffer input_;
  ExpertSums sums_;
};

const PoolModel& pool_model_of(const ScenarioModels& models) {
  if (models.shape != nullptr) return *models.shape;
  return *models.with_weights;
}

PlanPool plan_pool_of(const PoolScenario& scenario, TensorType format) {
  PlanPool pool;
  pool.coordinator.products = {{format, scenario.coordinator_products, 0}};
  for (const DeviceKind& kind : scenario.devices) {
    DeviceFacts facts;
    facts.ram_bytes = kind.ram_bytes;
    facts.disk_bytes = kind.disk_bytes;
    facts.disk_rate = static_cast<double>(kind.disk_rate);
    facts.products = {{format, kind.products, 4 * kind.products}};
    facts.link_rate = static_cast<double>(kind.link.bytes_per_second);
    facts.round_trip = in_seconds(2 * (kind.link.least_delay + kind.link.mean_delay));
    pool.devices.insert(pool.devices.end(), kind.count, facts);
  }
  return pool;
}

Plan plan_of(const PoolScenario& scenario, const ShapeModel& shape) {
  PlanPool pool = plan_pool_of(scenario, shape.manifest().layers().front().shape.gate);
  PlannerOptions options;
  options.slices = scenario.slices;
  return make_plan(shape.plan(), pool, std::vector<std::string>(pool.devices.size()), options);
}

ScenarioRun::ScenarioRun(const PoolScenario& scenario, const ScenarioModels& models, uint64_t seed)
    : scenario_(scenario),
      models_(models),
      seed_(seed),
      slices_(slices_of(scenario, models)),
      pool_(pool_model_of(models), pool_options(seed)),
      devices_(pool_, scenario, models.shape.get(), slices_, seed),
      executor_(pool_, attention_of_layer(), local_call(), models.shape == nullptr) {
  if (models.shape == nullptr) return;
  const RouterConfig& router = models.shape->config().router;
  routes_.emplace(scenario.routes, router.experts, router.top_k, seed, models.trace);
}

uint32_t ScenarioRun::slices_of(const PoolScenario& scenario, const ScenarioModels& models) {
  if (scenario.slices > 0) return scenario.slices;
  return models.shape == nullptr ? 1 : plan_of(scenario, *models.shape).slices;
}

SimPoolOptions ScenarioRun::pool_options(uint64_t seed) const {
  SimPoolOptions options;
  options.seed = seed;
  options.slices = slices_;
  options.replicas = scenario_.replicas;
  options.top_k = scenario_.model.top_k;
  // Sums of devices without weights mean nothing: they cannot be compared.
  options.verify = scenario_.has_weights ? scenario_.verify : VerifyMode::kOff;
  options.most_steps = kScenarioSteps;
  options.longest_run = 4 * kScenarioTime;
  size_t founders = 0;
  for (const DeviceKind& kind : scenario_.devices) founders += kind.count;
  options.founding_workers = static_cast<uint32_t>(founders);
  return options;
}

Duration ScenarioRun::attention_of_layer() const {
  if (scenario_.attention > Duration::zero() || models_.shape == nullptr) {
    return scenario_.attention;
  }
  const PlanModel& plan = models_.shape->plan();
  double bytes = total_bytes(plan.head);
  double layers = 0;
  for (const PlanLayer& layer : plan.layers) {
    bytes += layer.count * (total_bytes(layer.dense) + total_bytes(layer.shared));
    layers += layer.count;
  }
  return in_duration(bytes / layers / static_cast<double>(scenario_.coordinator_products));
}

// A unit is read from the model file.
Duration ScenarioRun::local_call() const {
  const ManifestLayer& layer = pool_.manifest().layers().front();
  double bytes = static_cast<double>(
      unit_bytes(pool_.manifest(), {static_cast<uint16_t>(layer.layer), 0, 0}, slices_));
  if (models_.shape == nullptr && scenario_.as_if_expert_bytes > 0) {
    bytes = static_cast<double>(scenario_.as_if_expert_bytes) / slices_;
  }
  return in_duration(bytes / static_cast<double>(scenario_.coordinator_disk_rate));
}

void ScenarioRun::fail(Verdict verdict, std::string what) {
  pool_.note("FAILED: " + what);
  if (result_.verdict != Verdict::kFine) return;
  result_.verdict = verdict;
  result_.failure = std::move(what);
}

// --- events ---

void ScenarioRun::schedule_events() {
  TimePoint start = pool_.clock().now();
  for (const ScenarioEvent& event : scenario_.events) {
    pool_.schedule(start + event.at, [this, &event] { apply(event); });
  }
}

void ScenarioRun::apply(const ScenarioEvent& event) {
  result_.lost.push_back({pool_.clock().now(), name_of(event.kind), Duration{0}});
  if (!event.device.empty() && event.device != "*") {
    result_.lost.back().what += " of " + event.device;
  }
  if (event.kind == EventKind::kCoordinatorStall) {
    pool_.note(fmt::format("fault: the coordinator stalls for {:.6g} s", in_seconds(event.lasts)));
    pool_.stall_coordinator(event.lasts);
  } else if (event.kind == EventKind::kCoordinatorRestart) {
    executor_.ask_to_end();
    coordinator_back_at_ = pool_.clock().now() + event.lasts;
  } else {
    devices_.apply(event);
  }
}

// Not within an event: what runs on the coordinator has to have unwound.
void ScenarioRun::serve_coordinator() {
  if (!coordinator_back_at_) return;
  if (pool_.coordinator_runs()) {
    result_.workers_lost += pool_.core().cluster().workers_lost();
    pool_.stop_coordinator(seed_ % 2 == 0);
  }
  if (pool_.clock().now() < *coordinator_back_at_) return;
  coordinator_back_at_.reset();
  pool_.note("the coordinator starts again");
  pool_.start_coordinator();
  ++result_.coordinator_restarts;
}

bool ScenarioRun::wait_until(const std::function<bool()>& condition, Duration limit) {
  TimePoint end = pool_.clock().now() + limit;
  while (true) {
    serve_coordinator();
    if (pool_.coordinator_runs() && condition()) return true;
    if (pool_.clock().now() >= end) return false;
    pool_.run_for(std::min(kLook, end - pool_.clock().now()));
  }
}

void ScenarioRun::wait_for_time(TimePoint time) {
  while (pool_.clock().now() < time) {
    serve_coordinator();
    pool_.run_for(std::min(kLook, time - pool_.clock().now()));
  }
}

// --- answers ---

// An answer ends with the coordinator that was giving it, and is asked for again.
void ScenarioRun::ask(uint32_t number) {
  TimePoint start = pool_.clock().now();
  TimePoint deadline = start + scenario_.patience;
  token_began_ = start;
  pool_.note(fmt::format("question {}", number + 1));
  uint32_t done = 0;
  while (true) {
    bool runs = wait_until([] { return true; }, deadline - pool_.clock().now());
    if (!runs)
      return fail(Verdict::kLiveness, fmt::format("question {}: no coordinator", number + 1));
    executor_.begin(deadline);
    bool answered = models_.shape == nullptr ? answer_with_weights(number, &done)
                                             : answer_of_shape(number, &done);
    if (answered) break;
    if (!executor_.is_to_end()) return;
  }
  Duration took = pool_.clock().now() - start;
  result_.answering += took;
  pool_.note(fmt::format("answer {}: {} tokens in {:.3f} s", number + 1, scenario_.tokens,
                         in_seconds(took)));
}

// One that was computed again after a restart counts once.
void ScenarioRun::token_done(uint32_t index, uint32_t* done) {
  if (index < *done) return;
  ++*done;
  ++result_.tokens;
  TimePoint now = pool_.clock().now();
  times_.push_back({now, now - token_began_, index == 0});
  token_began_ = now;
}

bool ScenarioRun::answer_with_weights(uint32_t number, uint32_t* done) {
  const SimModel& model = *models_.with_weights;
  GenerateOptions options;
  std::vector<TokenId> text = model.prompt(scenario_.prompt + kPromptStep * number);
  options.prompt.assign(text.end() - scenario_.prompt, text.end());
  options.tokens = scenario_.tokens;
  uint32_t index = 0;
  options.on_token = [&] { token_done(index++, done); };
  Result<Generated> generated = model.generate(options, pool_.threads(), executor_);
  if (!generated) {
    if (executor_.is_to_end()) return false;
    bool late = !executor_.gave_up().empty();
    fail(late ? Verdict::kLiveness : Verdict::kCorrectness,
         fmt::format("question {}: {}", number + 1, generated.error().message));
    return false;
  }
  options.on_token = {};
  if (!(*generated == model.solo(options))) {
    fail(Verdict::kCorrectness,
         fmt::format("question {}: the pool's tokens differ from the solo run's", number + 1));
  }
  return true;
}

bool ScenarioRun::answer_of_shape(uint32_t number, uint32_t* done) {
  for (uint32_t index = 0; index < scenario_.tokens; ++index) {
    Status computed = compute_token(tokens_drawn_++);
    if (!computed) {
      if (!executor_.is_to_end()) {
        fail(Verdict::kLiveness,
             fmt::format("question {}: {}", number + 1, computed.error().message));
      }
      return false;
    }
    token_done(index, done);
  }
  return true;
}

Status ScenarioRun::compute_token(uint64_t token) {
  for (const ManifestLayer& layer : pool_.manifest().layers()) {
    (void)routes_->choose(token, layer.layer);
  }
  for (const ManifestLayer& layer : pool_.manifest().layers()) {
    if (Status computed = compute_layer(layer, token); !computed) return computed;
  }
  return {};
}

// What forward does in a layer, without the weights.
Status ScenarioRun::compute_layer(const ManifestLayer& layer, uint64_t token) {
  const std::vector<uint32_t>& experts = routes_->choose(token, layer.layer);
  std::vector<uint32_t> guessed = routes_->guess(token, layer.layer + 1);
  std::vector<float> weights(experts.size(), 1.0F / static_cast<float>(experts.size()));
  std::vector<int32_t> fraction_bits = {24};
  input_.reset(layer.shape.input_form(), 1, layer.shape.hidden);
  std::fill(input_.quants().begin(), input_.quants().end(), int8_t{1});
  std::fill(input_.scales().begin(), input_.scales().end(), 1.0F);
  std::fill(input_.values().begin(), input_.values().end(), 1.0F);
  sums_.reset(1, layer.shape.hidden);
  ExpertBatch batch;
  batch.layer = layer.layer;
  batch.top_k = static_cast<uint32_t>(experts.size());
  batch.input = input_.view();
  batch.fraction_bits = fraction_bits;
  batch.experts = experts;
  batch.weights = weights;
  if (executor_.read_ahead() == ReadAhead::kAll) batch.prefetch = guessed;
  ExpertExecutor::Ticket ticket = executor_.submit(batch, &sums_);
  while (true) {
    if (auto completed = executor_.take_completed(ticket)) return *completed;
    executor_.turn(kLook);
  }
}

// --- the end ---

void ScenarioRun::end_and_settle() {
  Duration last{0};
  for (const ScenarioEvent& event : scenario_.events) last = std::max(last, event.at + event.lasts);
  wait_for_time(last);
  devices_.end_faults();
  TimePoint start = pool_.clock().now();
  auto settled = [&] { return !pool_.core().dispatcher().next_deadline(); };
  if (!wait_until(settled, scenario_.patience)) {
    fail(Verdict::kLiveness, "an answer is awaited without end");
  }
  if (!wait_until([&] { return devices_.at_rest(); }, scenario_.patience)) {
    fail(Verdict::kLiveness, "the pool did not come to rest after the last fault");
  }
  result_.until_whole = pool_.clock().now() - start;
}

void ScenarioRun::judge() {
  std::vector<std::string> stalled = pool_.stalled_loops();
  std::vector<std::string> misjudged = pool_.misjudged();
  std::vector<std::string> all = pool_.violations();
  if (!misjudged.empty()) fail(Verdict::kCorrectness, misjudged.front());
  if (!stalled.empty()) fail(Verdict::kLiveness, stalled.front());
  if (!all.empty()) fail(Verdict::kCrash, all.front());
}

// What tokens took more than usual, by the last event before their end.
void ScenarioRun::attribute_lost_time() {
  std::vector<Duration> usual;
  for (const TokenTime& time : times_) {
    if (!time.first) usual.push_back(time.took);
    result_.slowest_token = std::max(result_.slowest_token, time.took);
  }
  result_.usual_token = median_of(usual);
  for (const TokenTime& time : times_) {
    auto after =
        std::upper_bound(result_.lost.begin(), result_.lost.end(), time.end,
                         [](TimePoint end, const LostTime& event) { return end < event.at; });
    if (after == result_.lost.begin()) continue;
    LostTime& event = *(after - 1);
    if (time.end - time.took > event.at + kEventReach) continue;
    event.lost += std::max(Duration{0}, time.took - result_.usual_token);
  }
}

void ScenarioRun::sum_up() {
  attribute_lost_time();
  result_.seed = seed_;
  result_.terms = executor_.terms();
  result_.slices = slices_;
  result_.virtual_time = pool_.clock().now();
  result_.devices = devices_.running_count();
  result_.tokens_asked = uint64_t{scenario_.questions} * scenario_.tokens;
  result_.days = devices_.days();
  if (pool_.coordinator_runs()) {
    result_.dispatch = pool_.core().dispatcher().statistics();
    result_.workers_lost += pool_.core().cluster().workers_lost();
    for (size_t i = 0; i < devices_.size(); ++i) {
      std::string why = pool_.core().shares().left_out(devices_.key(i));
      const WorkerRecord* record = pool_.core().cluster().worker(devices_.key(i));
      if (record != nullptr && record->quarantine) {
        why = "in quarantine: " + record->quarantine->reason;
      }
      if (!devices_.running(i)) why = "it does not run";
      if (!why.empty()) result_.left_out.push_back({devices_.name(i), why});
    }
  }
  if (models_.shape != nullptr) {
    result_.planned_rate = plan_of(scenario_, *models_.shape).decode_rate();
  }
  result_.log = pool_.log();
}

ScenarioResult ScenarioRun::run() {
  devices_.add_all_of_scenario();
  bool ready = wait_until([&] { return devices_.at_rest(); }, scenario_.patience);
  result_.until_ready = pool_.clock().now();
  if (ready) {
    pool_.note("the pool is ready");
    schedule_events();
    TimePoint start = pool_.clock().now();
    for (uint32_t i = 0; i < scenario_.questions && result_.verdict == Verdict::kFine; ++i) {
      wait_for_time(start + scenario_.first_question + i * scenario_.every);
      ask(i);
    }
    end_and_settle();
  } else {
    fail(Verdict::kLiveness, "the pool did not become ready");
  }
  judge();
  sum_up();
  return std::move(result_);
}

}  // namespace

const char* name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kFine:
      return "fine";
    case Verdict::kCrash:
      return "crash";
    case Verdict::kLiveness:
      return "liveness";
    case Verdict::kCorrectness:
      return "correctness";
  }
  return "unknown";
}

Result<ScenarioModels> make_models(const PoolScenario& scenario) {
  ScenarioModels models;
  Result<std::unique_ptr<ShapeModel>> shape = ShapeModel::make(scenario.model);
  if (!shape) return shape.error();
  if (scenario.has_weights) {
    // What cannot be loaded is an error here, and none of the simulation's.
    std::unique_ptr<Storage> storage = synthetic_storage(scenario.model);
    auto loaded = Model::load(*storage, kSyntheticPath, {});
    if (!loaded) return loaded.error();
    models.with_weights =
        std::make_unique<SimModel>(synthetic_storage(scenario.model), kSyntheticPath);
  } else {
    models.shape = std::move(*shape);
  }
  return models;
}

ScenarioResult run_scenario(const PoolScenario& scenario, const ScenarioModels& models,
                            uint64_t seed) {
  return ScenarioRun(scenario, models, seed).run();
}

}  // namespace potluck::sim
