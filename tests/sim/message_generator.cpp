#include "tests/sim/message_generator.h"

#include <algorithm>
#include <limits>

#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "protocol/codec.h"

namespace potluck::sim {
namespace {

constexpr size_t kRemembered = 16;
constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();

template <class T>
void remember(std::deque<T>& list, const T& value) {
  list.push_back(value);
  if (list.size() > kRemembered) list.pop_front();
}

}  // namespace

MessageGenerator::MessageGenerator(uint64_t seed, const Manifest& manifest,
                                   const GrainCutter& cutter,
                                   std::span<const SignedManifest> manifests)
    : random_(seed), manifest_(manifest), cutter_(cutter), manifests_(manifests) {
  keys_.emplace_back();
  secrets_.emplace_back();
}

void MessageGenerator::hear(const Message& message) {
  if (const auto* m = std::get_if<Welcome>(&message)) epoch_ = m->epoch;
  if (const auto* m = std::get_if<Compute>(&message)) remember(asked_, *m);
  if (const auto* m = std::get_if<FetchGrain>(&message)) remember(fetches_, *m);
  if (const auto* m = std::get_if<FetchManifest>(&message)) {
    remember(manifest_fetches_, m->manifest);
  }
  if (const auto* m = std::get_if<Heartbeat>(&message)) last_beat_ = m->sequence;
  if (const auto* m = std::get_if<Hello>(&message)) self_test_ = m->self_test;
  if (const auto* m = std::get_if<Assignment>(&message)) {
    version_ = m->version;
    slices_ = m->slices;
    assigned_ = m->units;
  }
  if (const auto* m = std::get_if<Roster>(&message)) {
    roster_version_ = m->version;
    for (const RosterPeer& peer : m->peers) {
      if (keys_.size() < 2 * kRemembered) keys_.push_back(peer.key);
    }
  }
}

uint64_t MessageGenerator::near(uint64_t valid) {
  switch (pick(8)) {
    case 0:
      return 0;
    case 1:
      return kMost;
    case 2:
      return kMost - pick(3);
    case 3:
      return valid + 1;
    case 4:
      return valid - 1;
    case 5:
      return pick(2 * std::max<uint64_t>(valid, 2) & ~(uint64_t{1} << 63));
    default:
      return valid;
  }
}

uint32_t MessageGenerator::near32(uint64_t valid, uint32_t most) {
  return static_cast<uint32_t>(std::min<uint64_t>(near(valid), most));
}

std::string MessageGenerator::text() {
  constexpr size_t kLengths[] = {0, 1, 5, 20, limits::kTextBytes};
  return std::string(kLengths[pick(20) == 0 ? 4 : pick(4)], one_in(4) ? '\n' : 'x');
}

std::string MessageGenerator::endpoint() {
  return one_in(4) ? "" : "tcp://127.0.0.1:" + std::to_string(1 + pick(9000));
}

GrainId MessageGenerator::grain() {
  const ManifestLayer& layer = manifest_.layers()[pick(manifest_.layers().size())];
  return {static_cast<uint16_t>(layer.layer), static_cast<uint16_t>(pick(layer.experts)),
          static_cast<uint16_t>(pick(layer.plan.grains))};
}

Digest MessageGenerator::digest() {
  if (one_in(10)) return sha256(as_bytes(std::to_string(pick(1000))));
  if (one_in(6)) return sha256(manifest().body);
  return manifest_.digest_of(grain());
}

PeerKey MessageGenerator::key() {
  return keys_[pick(keys_.size())];
}

const SignedManifest& MessageGenerator::manifest() {
  return manifests_[one_in(3) ? pick(manifests_.size()) : 0];
}

UnitId MessageGenerator::unit() {
  if (!assigned_.empty() && !one_in(3)) return assigned_[pick(assigned_.size())];
  GrainId id = grain();
  UnitId unit{id.layer, id.expert, static_cast<uint16_t>(pick(slices_))};
  if (one_in(8)) unit.layer = static_cast<uint16_t>(near32(unit.layer, limits::kLayers - 1));
  if (one_in(8)) unit.expert = static_cast<uint16_t>(near32(unit.expert, limits::kExperts - 1));
  if (one_in(8)) unit.slice = static_cast<uint16_t>(near32(unit.slice, limits::kSlices - 1));
  return unit;
}

std::vector<UnitId> MessageGenerator::units() {
  if (one_in(3)) return assigned_;
  std::vector<UnitId> list;
  uint64_t count = one_in(50) ? pick(20'000) : pick(8);
  for (uint64_t i = 0; i < count; ++i) list.push_back(unit());
  return list;
}

std::vector<UnitId> MessageGenerator::all_units(uint32_t slices) const {
  std::vector<UnitId> list;
  for (const ManifestLayer& layer : manifest_.layers()) {
    for (uint32_t expert = 0; expert < layer.experts; ++expert) {
      for (uint32_t slice = 0; slice < std::min(slices, layer.plan.grains); ++slice) {
        list.push_back({static_cast<uint16_t>(layer.layer), static_cast<uint16_t>(expert),
                        static_cast<uint16_t>(slice)});
      }
    }
  }
  return list;
}

WorkId MessageGenerator::work() {
  WorkId work{epoch(), near(next_request_), grain().layer, 0};
  if (!asked_.empty() && !one_in(8)) work = asked_[pick(asked_.size())].work;
  if (one_in(8)) work.request = near(work.request);
  if (one_in(8)) work.layer = near32(work.layer, limits::kLayers - 1);
  if (one_in(8)) work.attempt = near32(work.attempt, ~0u);
  return work;
}

Message MessageGenerator::hello() {
  Hello hello{kProtocolVersion, kArithmeticVersion, self_test_, text(), text(), kGiB, kGiB,
              endpoint()};
  if (one_in(12)) hello.protocol_version = near32(kProtocolVersion, ~0u);
  if (one_in(12)) hello.arithmetic_version = near32(kArithmeticVersion, ~0u);
  if (one_in(12)) hello.self_test = digest();
  if (one_in(3)) hello.ram_bytes = near(kMiB);
  if (one_in(3)) hello.disk_bytes = near(kMiB);
  return hello;
}

Message MessageGenerator::welcome() {
  const SignedManifest& announced = manifest();
  Welcome welcome{epoch(), near32(1, ~0u), sha256(announced.body), announced.body.size(), 1000};
  if (one_in(12)) welcome.manifest = digest();
  if (one_in(12)) {
    welcome.manifest_bytes =
        std::min<uint64_t>(near(announced.body.size()), limits::kManifestBytes);
  }
  if (one_in(8)) welcome.heartbeat_ms = near32(1000, ~0u);
  epoch_ = welcome.epoch;
  return welcome;
}

Message MessageGenerator::assignment() {
  Assignment assignment{epoch(), ++version_, slices_, {}, roster_version_, {}};
  if (one_in(4)) assignment.slices = 1 + near32(slices_, limits::kSlices - 1);
  if (one_in(8)) assignment.version = near(version_);
  if (one_in(8)) assignment.roster = near(roster_version_);
  slices_ = assignment.slices;
  assignment.units = one_in(3) ? units() : all_units(slices_);
  std::erase_if(assignment.units, [&](UnitId id) { return id.slice >= slices_; });
  if (one_in(3)) {
    assignment.holders.resize(assignment.units.size());
    for (auto& holders : assignment.holders) {
      for (uint64_t i = pick(4); i > 0; --i) {
        holders.push_back(static_cast<uint16_t>(pick(one_in(4) ? limits::kWorkers : 4)));
      }
    }
  }
  assigned_ = assignment.units;
  return assignment;
}

Message MessageGenerator::roster() {
  Roster roster{epoch(), ++roster_version_, {}};
  if (one_in(8)) roster.version = near(roster_version_);
  uint64_t count = one_in(10) ? limits::kWorkers : pick(6);
  for (uint64_t i = 0; i < count; ++i) {
    PeerKey peer = key();
    if (one_in(3)) peer.bytes.fill(static_cast<uint8_t>(pick(256)));
    roster.peers.push_back({peer, endpoint(), text()});
  }
  return roster;
}

Message MessageGenerator::residency() {
  Residency residency{epoch(), version_, units(), {}};
  if (one_in(8)) residency.version = near(version_);
  if (one_in(3)) residency.lost = units();
  if (one_in(4)) residency.room_bytes = near(kMiB);
  return residency;
}

Message MessageGenerator::source_report() {
  SourceReport report{epoch(), near(kMiB), near(kMiB), {}};
  uint64_t count = one_in(20) ? limits::kSourcesPerReport : pick(5);
  for (uint64_t i = 0; i < count; ++i) report.peers.push_back({key(), near(kMiB), one_in(2)});
  return report;
}

Said MessageGenerator::compute() {
  const ManifestLayer& layer = manifest_.layers()[pick(manifest_.layers().size())];
  Compute request;
  request.work = {epoch(), one_in(8) ? near(next_request_) : next_request_++, layer.layer, 0};
  request.slices = slices_;
  request.form = layer.shape.input_form();
  request.columns = layer.shape.hidden;
  uint64_t rows = one_in(30) ? 1 + pick(512) : 1 + pick(4);
  for (uint64_t r = 0; r < rows; ++r) {
    ComputeRow row{static_cast<int32_t>(pick(40)), {}};
    for (uint64_t c = 1 + pick(4); c > 0; --c) {
      row.calls.push_back({static_cast<uint16_t>(pick(layer.experts)),
                           static_cast<uint16_t>(pick(slices_)), 0.25F});
    }
    request.rows.push_back(std::move(row));
  }
  if (one_in(4)) request.predicted = units();
  std::erase_if(request.predicted, [&](UnitId id) { return id.slice >= slices_; });
  ByteVector tensor(rows * activation_wire_bytes(request.form, request.columns));
  for (std::byte& byte : tensor) byte = static_cast<std::byte>(pick(100));
  if (one_in(8)) request.work.layer = near32(layer.layer, limits::kLayers - 1);
  if (one_in(8)) request.columns = std::max(1u, near32(request.columns, limits::kHidden));
  if (one_in(8)) request.slices = 1 + near32(slices_, limits::kSlices - 1);
  if (one_in(8)) request.form = static_cast<ActivationForm>(pick(3));
  ComputeRow& row = request.rows[pick(rows)];
  if (one_in(8)) row.fraction_bits = one_in(2) ? kMinFractionBits : kMaxFractionBits;
  UnitCall& call = row.calls[pick(row.calls.size())];
  if (one_in(8)) call.expert = static_cast<uint16_t>(near32(call.expert, limits::kExperts - 1));
  if (one_in(8)) call.weight = one_in(2) ? std::numeric_limits<float>::max() : -0.0F;
  if (one_in(8)) tensor.resize(near32(tensor.size(), static_cast<uint32_t>(2 * tensor.size())));
  if (one_in(8) && !tensor.empty()) tensor[pick(tensor.size())] = std::byte{0x80};
  return {std::move(request), std::move(tensor)};
}

// Never wrong sums with the right checksum, flags and length.
Said MessageGenerator::partial() {
  Partial partial;
  partial.work = work();
  partial.status = static_cast<PartialStatus>(pick(4));
  partial.lost = units();
  partial.text = text();
  partial.timings = {near(1000),     near(1000),     near(1000),
                     near32(1, ~0u), near32(1, ~0u), near(1000)};
  size_t rows = asked_.empty() ? pick(4) : asked_.back().rows.size();
  partial.row_flags.resize(near32(rows, limits::kRowsPerMessage));
  for (uint8_t& flag : partial.row_flags) flag = static_cast<uint8_t>(pick(2));
  ByteVector tensor(pick(one_in(20) ? 100'000 : 2'000));
  for (std::byte& byte : tensor) byte = static_cast<std::byte>(pick(256));
  if (partial.status == PartialStatus::kOk) {
    partial.checksum = checksum_of(partial.work, partial.row_flags, tensor) + 1 + pick(2);
  }
  return {std::move(partial), std::move(tensor)};
}

Said MessageGenerator::bulk(const Digest& digest, ByteSpan whole, const Signature& signature) {
  BulkData data{digest, !one_in(8), 0, whole.size(), signature};
  ByteVector bytes(whole.begin(), whole.end());
  if (one_in(8)) data.offset = std::min(near(whole.size() / 2), limits::kManifestBytes);
  if (one_in(8)) data.total = std::min(near(whole.size()), limits::kManifestBytes);
  if (one_in(8)) bytes.resize(pick(bytes.size() + 2));
  if (one_in(8) && !bytes.empty()) bytes[pick(bytes.size())] ^= std::byte{1};
  data.total = std::max(data.total, data.offset);
  return {std::move(data), std::move(bytes)};
}

Said MessageGenerator::grain_data(const FetchGrain& fetch) {
  if (!manifest_.contains(fetch.grain)) return {BulkData{fetch.digest, false}, {}};
  ByteVector bytes(cutter_.grain_bytes(fetch.grain));
  if (!cutter_.cut(fetch.grain, bytes)) bytes.clear();
  return bulk(fetch.digest, bytes, {});
}

Said MessageGenerator::any_bulk() {
  if (!one_in(4)) {
    GrainId id = grain();
    return grain_data({one_in(8) ? digest() : manifest_.digest_of(id), id});
  }
  const SignedManifest& sent = manifest();
  return bulk(sha256(sent.body), sent.body, sent.signature);
}

Said MessageGenerator::answer() {
  switch (pick(4)) {
    case 0:
      if (!asked_.empty()) return partial();
      break;
    case 1:
      if (!fetches_.empty()) return grain_data(fetches_[pick(fetches_.size())]);
      break;
    case 2:
      for (const SignedManifest& sent : manifests_) {
        Digest name = sha256(sent.body);
        if (std::find(manifest_fetches_.begin(), manifest_fetches_.end(), name) !=
            manifest_fetches_.end()) {
          return bulk(name, sent.body, sent.signature);
        }
      }
      break;
    default:
      break;
  }
  return {Heartbeat{epoch(), one_in(8) ? near(last_beat_) : last_beat_, one_in(8)}, {}};
}

Said MessageGenerator::make(size_t kind) {
  switch (kind) {
    case 0:
      return {hello(), {}};
    case 1:
      return {welcome(), {}};
    case 2:
      return {Refusal{static_cast<RefusalReason>(pick(6)), text()}, {}};
    case 3:
      return {assignment(), {}};
    case 4:
      return {residency(), {}};
    case 5:
      return compute();
    case 6:
      return partial();
    case 7:
      return {Heartbeat{epoch(), near(last_beat_), one_in(2)}, {}};
    case 8:
      return {Goodbye{epoch(), text()}, {}};
    case 9:
      return {FetchManifest{digest()}, {}};
    case 10: {
      GrainId id = grain();
      FetchGrain fetch{one_in(8) ? digest() : manifest_.digest_of(id), id};
      if (one_in(8)) fetch.grain = grain();
      return {fetch, {}};
    }
    case 11:
      return any_bulk();
    case 12: {
      JoinRequest request{secrets_[pick(secrets_.size())], text()};
      if (one_in(3)) request.secret[pick(32)] ^= 1;
      return {request, {}};
    }
    case 13:
      return {JoinAccept{"tcp://127.0.0.1:7002", "tcp://127.0.0.1:7003"}, {}};
    case 14:
      return {roster(), {}};
    default:
      return {source_report(), {}};
  }
}

}  // namespace potluck::sim
