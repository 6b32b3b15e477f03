#include "coordinator/cli/pool_forecast.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "coordinator/cli/directories.h"
#include "coordinator/plan/observed_correction.h"
#include "engine/kernels/kernels.h"

namespace potluck {
namespace {

std::string longest_part(const PhaseTime& time) {
  const std::array<std::pair<double, const char*>, 4> parts{
      {{time.attention, "the coordinator's own part"},
       {time.wire, "the network"},
       {time.compute, "products of the devices"},
       {time.disk, "disks of the devices"}}};
  return std::ranges::max_element(parts)->second;
}

std::optional<PlanModel> plan_model_of(const Model& model) {
  auto banks = find_expert_banks(model.file(), model.config());
  if (!banks) return std::nullopt;
  return plan_model(model.file().tensors(), model.config(), *banks);
}

}  // namespace

Result<PlanModel> read_plan_model(Storage& storage, const std::string& path) {
  Result<GgufModel> file = GgufModel::open(storage, path);
  if (!file) return file.error();
  Result<ModelConfig> config = read_config(*file);
  if (!config) return config.error();
  Result<std::vector<ExpertBank>> banks = find_expert_banks(*file, *config);
  if (!banks) return banks.error();
  return plan_model(file->tensors(), *config, *banks);
}

std::vector<ProductSpeed> measure_coordinator_products(const PlanModel& model, int threads,
                                                       const Environment& environment) {
  std::set<TensorType> formats;
  auto add = [&](const std::vector<FormatBytes>& parts) {
    for (const FormatBytes& part : parts) {
      if (block_format(part.format).quantized()) formats.insert(part.format);
    }
  };
  add(model.head);
  for (const PlanLayer& layer : model.layers) {
    add(layer.dense);
    add(layer.shared);
  }
  std::vector<ProductSpeed> products;
  Result<const KernelTable*> kernels = select_kernels("");
  if (!kernels) return products;
  ThreadPool pool(threads > 0 ? threads : default_threads(process_limits(environment.system)));
  for (const TensorType format : formats) {
    products.push_back(measure_product_speed(format, **kernels, pool, environment.clock));
  }
  return products;
}

std::optional<PhaseTime> expected_token_time(const PlanModel& model, const PoolView& view,
                                             const DeviceFacts& coordinator) {
  PlanPool pool;
  pool.coordinator = coordinator;
  std::vector<double> shares;
  const double others = 1 - view.own_share;
  for (const DeviceView& device : view.devices) {
    if (device.units_assigned == 0) continue;
    pool.devices.push_back(device.facts);
    shares.push_back(others * static_cast<double>(device.units_assigned) /
                     static_cast<double>(std::max<uint64_t>(1, view.units_assigned)));
  }
  if (pool.devices.empty()) return std::nullopt;
  if (view.own_share > 0 && view.own) {
    pool.devices.push_back(*view.own);
    shares.push_back(view.own_share);
  }
  CostOptions options;
  options.slices = std::max<uint32_t>(1, view.slices);
  pool = with_assumptions(pool);
  correct_by_observation(model, shares, &pool);
  return decode_time(model, pool, shares, options);
}

PoolForecast::PoolForecast(const Runtime& runtime, const Environment& environment)
    : clock_(environment.clock),
      model_(plan_model_of(runtime.model())),
      forecast_(std::make_shared<nlohmann::json>()) {
  if (model_) coordinator_.products = measure_coordinator_products(*model_, 0, environment);
}

const nlohmann::json& PoolForecast::look(const PoolView& view) {
  const TimePoint now = clock_.now();
  if (!model_ || (looked_at_ && now < *looked_at_ + kInterval)) return *forecast_;
  looked_at_ = now;
  *forecast_ = nullptr;
  const auto time = expected_token_time(*model_, view, coordinator_);
  if (time && time->total() > 0) {
    *forecast_ = {{"decode_tokens_per_second", 1 / time->total()},
                  {"attention_seconds", time->attention},
                  {"wire_seconds", time->wire},
                  {"products_seconds", time->compute},
                  {"disk_seconds", time->disk},
                  {"bottleneck", longest_part(*time)}};
  }
  return *forecast_;
}

}  // namespace potluck
