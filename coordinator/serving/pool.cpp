#include "coordinator/serving/pool.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <unistd.h>

#include "engine/base/limits.h"
#include "engine/experts/manifest_builder.h"

namespace potluck {
namespace {

constexpr int64_t kInvitationSeconds = 24 * 3600;
// Bulk parts sent per turn of the loop: enough to keep a link busy, few enough that a compute
// message waits for one turn only.
constexpr size_t kBulkPartsPerTurn = 4;
// Nothing at all moved for so long while waiting for workers: something is wrong.
constexpr Duration kPatience = std::chrono::seconds(60);
constexpr Duration kWaitStep = std::chrono::milliseconds(50);

// The epoch of a coordinator that keeps state: one more at every start, so that workers notice.
Result<uint64_t> next_epoch(Storage& storage, const std::string& path) {
  uint64_t epoch = 0;
  if (storage.exists(path)) {
    Result<ByteVector> text = read_file(storage, path, 64);
    if (!text) return text.error();
    std::string_view digits = as_text(*text);
    auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), epoch);
    if (failure != std::errc()) {
      return Error{ErrorCode::kCorrupt, path + ": expected a number"};
    }
  }
  ++epoch;
  Status written = storage.write_atomic(path, as_bytes(std::to_string(epoch)));
  if (!written) return written.error();
  return epoch;
}

// Room for all experts in each worker, since it may have to stand in for the others, but never more
// than its part of 60 % of this machine's memory.
uint64_t default_worker_ram(const Manifest& manifest, uint32_t workers) {
  uint64_t everything = manifest.total_bytes() + 16 * manifest.largest_grain_bytes();
  auto physical =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return std::min(everything, physical / 10 * 6 / workers);
}

}  // namespace

Pool::Pool(PoolOptions options, const Model& model, ThreadPool& threads, Storage& storage,
           const Clock& clock, Entropy& entropy, DeviceKeys keys)
    : options_(std::move(options)),
      model_(model),
      threads_(threads),
      storage_(storage),
      clock_(clock),
      entropy_(entropy),
      keys_(std::move(keys)) {}

Result<std::unique_ptr<Pool>> Pool::open(PoolOptions options, const Model& model,
                                         const KernelTable& kernels, ThreadPool& threads,
                                         Storage& storage, const Clock& clock, Entropy& entropy,
                                         const Progress& progress) {
  Result<DeviceKeys> keys = options.state_directory.empty()
                                ? Result<DeviceKeys>(ephemeral_keys(entropy))
                                : load_or_create_keys(storage, options.state_directory, entropy);
  if (!keys) return keys.error();
  std::unique_ptr<Pool> pool(new Pool(std::move(options), model, threads, storage, clock, entropy,
                                      std::move(keys).value()));
  if (Status status = pool->load_identity(storage); !status) return status.error();
  if (Status status = pool->make_manifest(progress); !status) return status.error();
  if (Status status = pool->open_sockets(); !status) return status.error();
  pool->make_core(kernels);
  if (Status status = pool->start_local_workers(); !status) return status.error();
  return pool;
}

Status Pool::load_identity(Storage& storage) {
  if (options_.state_directory.empty()) {
    epoch_ = entropy_.next64() >> 1;
    return {};
  }
  Result<AllowList> list = AllowList::load(storage, options_.state_directory + "/members");
  if (!list) return list.error();
  allow_list_ = std::move(list).value();
  Result<uint64_t> epoch = next_epoch(storage, options_.state_directory + "/epoch");
  if (!epoch) return epoch.error();
  epoch_ = *epoch;
  return {};
}

// The weights are hashed the first time; later starts find the digests.
Status Pool::make_manifest(const Progress& progress) {
  std::optional<LayerRecords> records;
  if (!options_.records_directory.empty()) {
    auto fingerprint = model_.file().fingerprint();
    if (!fingerprint) return fingerprint.error();
    records.emplace(storage_, options_.records_directory, *fingerprint);
  }
  ManifestBuilder builder(model_.cutter(), threads_, nullptr, records ? &*records : nullptr);
  auto manifest = builder.build(model_.config().name, progress);
  if (!manifest) return manifest.error();
  manifest_ = std::make_unique<Manifest>(std::move(*manifest));
  signed_manifest_ = sign_manifest(*manifest_, keys_.signing);
  return {};
}

Status Pool::open_sockets() {
  auto transport =
      ZmqServerTransport::listen({keys_.curve, options_.listen_host, options_.port}, allow_list_);
  if (!transport) return transport.error();
  transport_ = std::move(transport).value();
  return {};
}

void Pool::make_core(const KernelTable& kernels) {
  CoordinatorCoreOptions core;
  core.membership.epoch = epoch_;
  core.membership.slices = options_.slices;
  core.membership.self_test = kernel_self_test(kernels);
  core.membership.compute_endpoint = transport_->compute_endpoint();
  core.membership.bulk_endpoint = transport_->bulk_endpoint();
  core.membership.founding_workers = options_.local_workers;
  core.membership.max_workers = limits::kWorkers;
  core.serve_rate = options_.serve_rate;
  core_ = std::make_unique<CoordinatorCore>(core, signed_manifest_, *manifest_, model_.cutter(),
                                            allow_list_, invitations_, clock_);
  last_resort_ = std::make_unique<GgufSource>(model_.cutter(), options_.last_resort_bytes);
  compute_ = std::make_unique<ExpertCompute>(kernels, threads_);
  executor_ = std::make_unique<RemoteExecutor>(*core_, *this, model_.cutter(), *last_resort_,
                                               *compute_, clock_, options_.prefetch);
}

Status Pool::start_local_workers() {
  if (options_.local.ram_bytes == 0 && options_.local_workers > 0) {
    options_.local.ram_bytes = default_worker_ram(*manifest_, options_.local_workers);
  }
  local_ = std::make_unique<LocalWorkers>(options_.local, storage_);
  for (uint32_t i = 0; i < options_.local_workers; ++i) {
    if (Status status = local_->start(invite().token()); !status) return status;
  }
  return {};
}

Pool::~Pool() {
  if (local_ != nullptr) local_->stop();
}

Invitation Pool::invite() {
  Invitation blank;
  blank.coordinator = keys_.curve.public_key;
  blank.signing_key = keys_.signing.public_key();
  blank.join_endpoint = transport_->join_endpoint();
  return invitations_.issue(blank, clock_.unix_seconds() + kInvitationSeconds, entropy_);
}

void Pool::pump(Duration timeout) {
  transport_->open_join(invitations_.open_count() > 0);
  send_outgoing();
  if (std::optional<TimePoint> bulk = core_->next_bulk()) {
    timeout = std::clamp(*bulk - clock_.now(), Duration(0), std::max(timeout, Duration(0)));
  }
  std::optional<Envelope> envelope = transport_->receive(timeout);
  while (envelope.has_value()) {
    core_->on_frames(*envelope);
    envelope = transport_->receive(Duration(0));
  }
  core_->on_tick();
  send_outgoing();
  report_notices();
}

void Pool::send_outgoing() {
  for (Outgoing& outgoing : core_->take_outgoing(kBulkPartsPerTurn)) {
    Frames frames{encode_header(outgoing.message), std::move(outgoing.tensor)};
    Status sent = transport_->send(outgoing.peer, outgoing.channel, std::move(frames));
    if (!sent && outgoing.channel == Channel::kCompute) {
      core_->on_unreachable(outgoing.peer, sent.error().message);
    }
    if (!sent && outgoing.channel == Channel::kBulk) {
      core_->on_bulk_not_sent(outgoing, sent.error().code != ErrorCode::kLimit);
    }
  }
}

void Pool::report_notices() {
  for (const std::string& text : core_->take_notices()) {
    if (options_.notice) options_.notice(text);
  }
}

bool Pool::ready(uint32_t workers) const {
  const ClusterState& state = cluster();
  return state.workers().size() >= workers && state.units_ready() == state.units_assigned();
}

Status Pool::wait_until_ready(uint32_t workers, const Progress& progress) {
  TimePoint last_change = clock_.now();
  uint64_t last_mark = 0;
  while (!ready(workers)) {
    pump(kWaitStep);
    const ClusterState& state = cluster();
    if (local_->running() < local_->started()) {
      return Error{ErrorCode::kIo, "a worker process ended before it was ready"};
    }
    uint64_t mark = state.workers().size() + state.units_ready() + bytes_delivered();
    if (mark != last_mark) last_change = clock_.now();
    last_mark = mark;
    if (clock_.now() - last_change > kPatience) {
      return Error{
          ErrorCode::kTimeout,
          fmt::format("waiting for workers: {} of {} joined, {} of {} units ready, and "
                      "nothing moved for {} s",
                      state.workers().size(), workers, state.units_ready(), state.units_assigned(),
                      std::chrono::duration_cast<std::chrono::seconds>(kPatience).count())};
    }
    if (progress) progress(state.units_ready(), state.units_assigned());
  }
  return {};
}

}  // namespace potluck
