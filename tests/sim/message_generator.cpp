#include "tests/sim/message_generator.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "protocol/codec.h"

namespace potluck::sim {
namespace {

constexpr size_t kRemembered = 16;
// Units named in one message: far more than the small model has.
constexpr size_t kMostUnits = 20'000;
constexpr uint64_t kManifestPart = kMiB;
constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();

template <class T>
void remember(std::deque<T>& list, std::type_identity_t<T> value) {
  list.push_back(std::move(value));
  if (list.size() > kRemembered) list.pop_front();
}

}  // namespace

MessageGenerator::MessageGenerator(uint64_t seed, const GrainCutter& cutter,
                                   std::span<const ManifestOffer> offers, HonestAnswers& answers)
    : random_(seed), cutter_(cutter), offers_(offers), answers_(answers) {
  keys_.emplace_back();
  secrets_.emplace_back();
}

void MessageGenerator::hear(const Frames& frames) {
  Result<Message> decoded = decode_header(frames.header);
  if (!decoded) return;
  const Message& message = *decoded;
  if (const auto* m = std::get_if<Welcome>(&message)) epoch_ = m->epoch;
  if (const auto* m = std::get_if<Compute>(&message)) remember(asked_, {*m, frames.tensor});
  if (const auto* m = std::get_if<FetchGrain>(&message)) remember(fetches_, *m);
  if (const auto* m = std::get_if<FetchManifest>(&message)) {
    if (manifest_fetches_.size() < kRemembered) manifest_fetches_[m->manifest] = 0;
  }
  if (const auto* m = std::get_if<Heartbeat>(&message)) last_beat_ = m->sequence;
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

void MessageGenerator::forget() {
  asked_ = {};
  fetches_ = {};
  manifest_fetches_.clear();
  assigned_ = std::vector<UnitId>();  // = {} would keep the memory
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

// A manifest without layers names nothing: then of the real model.
const ManifestLayer& MessageGenerator::layer() {
  auto layers = manifest().layers();
  if (layers.empty()) layers = offers_[0].manifest.layers();
  return layers[pick(layers.size())];
}

GrainId MessageGenerator::grain() {
  const ManifestLayer& of = layer();
  return {static_cast<uint16_t>(of.layer), static_cast<uint16_t>(pick(of.experts)),
          static_cast<uint16_t>(pick(of.plan.grains))};
}

Digest MessageGenerator::digest() {
  if (one_in(10)) return sha256(as_bytes(std::to_string(pick(1000))));
  if (one_in(6)) return offer().name;
  GrainId id = grain();
  return manifest().contains(id) ? manifest().digest_of(id) : offers_[0].name;
}

PeerKey MessageGenerator::key() {
  return keys_[pick(keys_.size())];
}

const ManifestOffer& MessageGenerator::offer() {
  return offers_[one_in(2) ? pick(offers_.size()) : 0];
}

UnitId MessageGenerator::unit() {
  if (!assigned_.empty() && !one_in(3)) return assigned_[pick(assigned_.size())];
  GrainId id = grain();
  UnitId unit{id.layer, id.expert, static_cast<uint16_t>(pick(slices_))};
  if (wrong()) unit.layer = static_cast<uint16_t>(near32(unit.layer, limits::kLayers - 1));
  if (wrong()) unit.expert = static_cast<uint16_t>(near32(unit.expert, limits::kExperts - 1));
  if (wrong()) unit.slice = static_cast<uint16_t>(near32(unit.slice, limits::kSlices - 1));
  return unit;
}

std::vector<UnitId> MessageGenerator::units() {
  if (one_in(3)) return assigned_;
  std::vector<UnitId> list;
  uint64_t count = one_in(50) ? pick(kMostUnits) : pick(8);
  for (uint64_t i = 0; i < count; ++i) list.push_back(unit());
  return list;
}

std::vector<UnitId> MessageGenerator::all_units(uint32_t slices) const {
  std::vector<UnitId> list;
  for (const ManifestLayer& of : manifest().layers()) {
    for (uint32_t expert = 0; expert < of.experts; ++expert) {
      for (uint32_t slice = 0; slice < std::min(slices, of.plan.grains); ++slice) {
        if (list.size() == kMostUnits) return list;
        list.push_back({static_cast<uint16_t>(of.layer), static_cast<uint16_t>(expert),
                        static_cast<uint16_t>(slice)});
      }
    }
  }
  return list;
}

WorkId MessageGenerator::work() {
  WorkId work{epoch(), near(next_request_), grain().layer, 0};
  if (!asked_.empty() && !wrong()) work = asked_[pick(asked_.size())].request.work;
  if (wrong()) work.request = near(work.request);
  if (wrong()) work.layer = near32(work.layer, limits::kLayers - 1);
  if (wrong()) work.attempt = near32(work.attempt, ~0u);
  return work;
}

// One digest differs; parts are missing, unknown, out of order or as many as a message may hold.
void MessageGenerator::spoil_self_test(std::vector<KernelDigest>* kernels) {
  if (wrong()) (*kernels)[pick(kernels->size())].digest = digest();
  if (wrong()) kernels->pop_back();
  if (wrong()) kernels->push_back({static_cast<KernelPart>(near32(~0u, ~0u)), digest()});
  if (wrong()) kernels->push_back(kernels->front());
  if (wrong()) kernels->resize(limits::kKernelDigests);
}

Message MessageGenerator::hello() {
  Hello hello{kProtocolVersion, kArithmeticVersion, self_test_, text(), text(), kGiB, kGiB,
              endpoint()};
  if (wrong()) hello.protocol_version = near32(kProtocolVersion, ~0u);
  if (wrong()) hello.arithmetic_version = near32(kArithmeticVersion, ~0u);
  spoil_self_test(&hello.kernels);
  if (wrong()) hello.ram_bytes = near(kMiB);
  if (wrong()) hello.disk_bytes = near(kMiB);
  return hello;
}

Message MessageGenerator::welcome() {
  const ManifestOffer& chosen = offer();
  announced_ = static_cast<size_t>(&chosen - offers_.data());
  uint64_t bytes = chosen.sent.body.size();
  Welcome welcome{epoch(), near32(1, ~0u), chosen.name, bytes, 1000};
  if (wrong()) welcome.manifest = digest();
  if (wrong()) welcome.manifest_bytes = std::min<uint64_t>(near(bytes), limits::kManifestBytes);
  if (wrong()) welcome.heartbeat_ms = near32(1000, ~0u);
  epoch_ = welcome.epoch;
  return welcome;
}

Message MessageGenerator::assignment() {
  Assignment assignment{epoch(), ++version_, slices_, {}, roster_version_, {}};
  if (wrong()) assignment.slices = 1 + near32(slices_, limits::kSlices - 1);
  if (wrong()) assignment.version = near(version_);
  if (wrong()) assignment.roster = near(roster_version_);
  slices_ = assignment.slices;
  assignment.units = wrong() ? units() : all_units(slices_);
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
  if (wrong()) roster.version = near(roster_version_);
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
  if (wrong()) residency.version = near(version_);
  if (one_in(3)) residency.lost = units();
  if (one_in(4)) residency.room_bytes = near(kMiB);
  if (one_in(4)) residency.text = text();
  return residency;
}

Message MessageGenerator::source_report() {
  SourceReport report{epoch(), near(kMiB), near(kMiB), {}};
  uint64_t count = one_in(20) ? limits::kSourcesPerReport : pick(5);
  for (uint64_t i = 0; i < count; ++i) report.peers.push_back({key(), near(kMiB), one_in(2)});
  return report;
}

Message MessageGenerator::health_report() {
  HealthReport report{epoch(), static_cast<uint8_t>(pick(101)), text(), {}, one_in(2), {}};
  report.battery_percent = static_cast<uint8_t>(pick(256));
  report.celsius = static_cast<int16_t>(near(50));
  if (one_in(3)) report.pause_seconds = static_cast<uint32_t>(near(20));
  if (one_in(2)) {
    report.use = {near(kMiB), near(kGiB), near(kGiB), near(kGiB),
                  static_cast<uint32_t>(near(5000))};
  }
  return report;
}

// Now and then as fast as nothing is, or in formats that do not exist.
Message MessageGenerator::device_speed() {
  DeviceSpeed speed{epoch(), static_cast<uint32_t>(near(8)), near(kGiB), {}};
  for (uint32_t format = 0; format < pick(40); format += 1 + static_cast<uint32_t>(pick(12))) {
    speed.products.push_back({static_cast<TensorType>(format), near(kGiB), near(kGiB)});
  }
  return speed;
}

Compute MessageGenerator::valid_compute(const ManifestLayer& of) {
  Compute request;
  request.work = {epoch(), wrong() ? near(next_request_) : next_request_++, of.layer, 0};
  request.slices = slices_;
  request.form = of.shape.input_form();
  request.columns = of.shape.hidden;
  uint64_t rows = one_in(30) ? 1 + pick(512) : 1 + pick(4);
  for (uint64_t r = 0; r < rows; ++r) {
    ComputeRow row{static_cast<int32_t>(pick(40)), {}};
    for (uint64_t c = 1 + pick(4); c > 0; --c) {
      row.calls.push_back(
          {static_cast<uint16_t>(pick(of.experts)), static_cast<uint16_t>(pick(slices_)), 0.25F});
    }
    request.rows.push_back(std::move(row));
  }
  return request;
}

void MessageGenerator::spoil(Compute* request, ByteVector* tensor) {
  if (one_in(8)) request->work.layer = near32(request->work.layer, limits::kLayers - 1);
  if (one_in(8)) request->columns = std::max(1u, near32(request->columns, limits::kHidden));
  if (one_in(8)) request->slices = 1 + near32(slices_, limits::kSlices - 1);
  if (one_in(8)) request->form = static_cast<ActivationForm>(pick(3));
  ComputeRow& row = request->rows[pick(request->rows.size())];
  if (one_in(8)) row.fraction_bits = one_in(2) ? kMinFractionBits : kMaxFractionBits;
  UnitCall& call = row.calls[pick(row.calls.size())];
  if (one_in(8)) call.expert = static_cast<uint16_t>(near32(call.expert, limits::kExperts - 1));
  if (one_in(8)) call.weight = one_in(2) ? std::numeric_limits<float>::max() : -0.0F;
  auto bytes = static_cast<uint32_t>(tensor->size());
  if (one_in(8)) tensor->resize(near32(bytes, 2 * bytes));
  if (one_in(8) && !tensor->empty()) (*tensor)[pick(tensor->size())] = std::byte{0x80};
}

Said MessageGenerator::compute() {
  Compute request = valid_compute(layer());
  if (one_in(4)) request.prefetch = units();
  std::erase_if(request.prefetch, [&](UnitId id) { return id.slice >= slices_; });
  ByteVector tensor(request.rows.size() * activation_wire_bytes(request.form, request.columns));
  for (std::byte& byte : tensor) byte = static_cast<std::byte>(pick(100));
  if (wrong()) spoil(&request, &tensor);
  return {std::move(request), std::move(tensor)};
}

Said MessageGenerator::partial() {
  if (asked_.empty() || one_in(2)) return refused_partial();
  const Asked& asked = asked_[pick(asked_.size())];
  return true_partial(asked.request, asked.tensor);
}

// Computed as any worker would; or the same in a form that no worker sends, with the right
// checksum, so that it reaches those who look at the form.
Said MessageGenerator::true_partial(const Compute& request, ByteSpan tensor) {
  Said said = answers_.answer(request, tensor);
  auto& partial = std::get<Partial>(said.message);
  if (!wrong()) return said;
  switch (pick(5)) {
    case 0:
      said.tensor.resize(pick(said.tensor.size()));
      break;
    case 1:
      said.tensor.resize(said.tensor.size() + 1 + pick(1000));
      break;
    case 2:
      said.tensor.front() = std::byte{65};  // more bits than a sum has
      break;
    case 3:
      partial.row_flags.resize(partial.row_flags.size() + 1);
      break;
    default:
      partial.work.attempt += 1;
      break;
  }
  partial.checksum = checksum_of(partial.work, partial.row_flags, said.tensor);
  return said;
}

// Of any form and content; what claims to be sums has another checksum.
Said MessageGenerator::refused_partial() {
  Partial partial;
  partial.work = work();
  partial.status = static_cast<PartialStatus>(pick(4));
  partial.lost = units();
  partial.text = text();
  partial.timings = {near(1000),     near(1000),     near(1000),
                     near32(1, ~0u), near32(1, ~0u), near(1000)};
  size_t rows = asked_.empty() ? pick(4) : asked_.back().request.rows.size();
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
  BulkData data{digest, !wrong(), 0, whole.size(), signature};
  ByteVector bytes(whole.begin(), whole.end());
  if (wrong()) data.offset = std::min(near(whole.size() / 2), limits::kManifestBytes);
  if (wrong()) data.total = std::min(near(whole.size()), limits::kManifestBytes);
  if (wrong()) bytes.resize(pick(bytes.size() + 2));
  if (wrong() && !bytes.empty()) bytes[pick(bytes.size())] ^= std::byte{1};
  data.total = std::max(data.total, data.offset);
  return {std::move(data), std::move(bytes)};
}

// Grains of made-up digests have the length that the manifest gives them, and any content.
Said MessageGenerator::grain_data(const FetchGrain& fetch) {
  const Manifest& real = offers_[0].manifest;
  if (real.contains(fetch.grain) && real.digest_of(fetch.grain) == fetch.digest) {
    ByteVector bytes(cutter_.grain_bytes(fetch.grain));
    if (!cutter_.cut(fetch.grain, bytes)) bytes.clear();
    return bulk(fetch.digest, bytes, {});
  }
  if (!manifest().contains(fetch.grain)) return {BulkData{fetch.digest, false}, {}};
  return bulk(fetch.digest, ByteVector(manifest().grain_bytes(fetch.grain)), {});
}

// The next part of it; small ones are sent whole, and spoiled now and then.
Said MessageGenerator::manifest_part(const ManifestOffer& offered) {
  const SignedManifest& sent = offered.sent;
  ByteSpan body(sent.body);
  if (body.size() <= kManifestPart) return bulk(offered.name, body, sent.signature);
  uint64_t& offset = manifest_fetches_[offered.name];
  if (offset >= body.size()) offset = 0;
  ByteSpan part = body.subspan(offset, std::min(kManifestPart, body.size() - offset));
  BulkData data{offered.name, true, offset, body.size(), sent.signature};
  offset += part.size();
  return {std::move(data), {part.begin(), part.end()}};
}

Said MessageGenerator::any_bulk() {
  if (one_in(4)) return manifest_part(offer());
  GrainId id = grain();
  bool named = !wrong() && manifest().contains(id);
  return grain_data({named ? manifest().digest_of(id) : digest(), id});
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
      for (const ManifestOffer& offered : offers_) {
        if (manifest_fetches_.contains(offered.name)) return manifest_part(offered);
      }
      break;
    default:
      break;
  }
  return {Heartbeat{epoch(), wrong() ? near(last_beat_) : last_beat_, wrong()}, {}};
}

std::optional<Said> MessageGenerator::answer_to(const Frames& frames) {
  Result<Message> asked = decode_header(frames.header);
  if (!asked) return std::nullopt;
  if (const auto* compute = std::get_if<Compute>(&*asked)) {
    return true_partial(*compute, frames.tensor);
  }
  if (const auto* fetch = std::get_if<FetchGrain>(&*asked)) return grain_data(*fetch);
  if (const auto* fetch = std::get_if<FetchManifest>(&*asked)) {
    for (const ManifestOffer& offered : offers_) {
      if (offered.name == fetch->manifest) return manifest_part(offered);
    }
    return Said{BulkData{fetch->manifest, false}, {}};
  }
  const auto* beat = std::get_if<Heartbeat>(&*asked);
  if (beat != nullptr && beat->reply_wanted) {
    return Said{Heartbeat{epoch(), beat->sequence, false}, {}};
  }
  if (std::holds_alternative<JoinRequest>(*asked)) return make(kind_of<JoinAccept>());
  if (std::holds_alternative<PairRequest>(*asked)) return make(kind_of<PairChallenge>());
  if (std::holds_alternative<PairReveal>(*asked)) {
    return make(one_in(3) ? kind_of<JoinAccept>() : kind_of<PairPending>());
  }
  return std::nullopt;
}

Said MessageGenerator::all_ready() {
  return {Residency{epoch(), version_, assigned_, {}}, {}};
}

Message MessageGenerator::join_request() {
  JoinRequest request{secrets_[pick(secrets_.size())], text()};
  if (wrong()) request.secret[pick(request.secret.size())] ^= 1;
  return request;
}

Message MessageGenerator::join_accept() {
  PoolPlace place{"tcp://127.0.0.1:7001", "tcp://127.0.0.1:7002", "tcp://127.0.0.1:7003"};
  JoinAccept accept{place.compute, place.bulk, {}, {}};
  if (wrong()) accept.signing_key.fill(1);
  for (uint64_t i = pick(3); i > 0; --i) accept.places.push_back(place);
  return accept;
}

// The same always, so that what was committed to fits.
PairNonce MessageGenerator::pair_nonce() {
  PairNonce nonce{};
  if (wrong()) nonce[pick(nonce.size())] = 1;
  return nonce;
}

Said MessageGenerator::fetch_grain() {
  GrainId id = grain();
  bool named = !wrong() && manifest().contains(id);
  FetchGrain fetch{named ? manifest().digest_of(id) : digest(), id};
  if (wrong()) fetch.grain = grain();
  return {fetch, {}};
}

Said MessageGenerator::make(size_t kind) {
  switch (kind) {
    case kind_of<Hello>():
      return {hello(), {}};
    case kind_of<Welcome>():
      return {welcome(), {}};
    case kind_of<Refusal>():
      return {Refusal{static_cast<RefusalReason>(pick(6)), text()}, {}};
    case kind_of<Assignment>():
      return {assignment(), {}};
    case kind_of<Residency>():
      return {residency(), {}};
    case kind_of<Compute>():
      return compute();
    case kind_of<Partial>():
      return partial();
    case kind_of<Heartbeat>():
      return {Heartbeat{epoch(), near(last_beat_), one_in(2)}, {}};
    case kind_of<Goodbye>():
      return {Goodbye{epoch(), text(), one_in(2)}, {}};
    case kind_of<FetchManifest>():
      return {FetchManifest{wrong() ? digest() : offers_[0].name}, {}};
    case kind_of<FetchGrain>():
      return fetch_grain();
    case kind_of<BulkData>():
      return any_bulk();
    case kind_of<JoinRequest>():
      return {join_request(), {}};
    case kind_of<JoinAccept>():
      return {join_accept(), {}};
    case kind_of<PairRequest>():
      return {PairRequest{pairing_commitment(pair_, pair_nonce()), text()}, {}};
    case kind_of<PairChallenge>():
      return {PairChallenge{pair_nonce(), text()}, {}};
    case kind_of<PairReveal>():
      return {PairReveal{pair_nonce()}, {}};
    case kind_of<PairPending>():
      return {PairPending{static_cast<uint32_t>(pick(400))}, {}};
    case kind_of<Roster>():
      return {roster(), {}};
    case kind_of<SourceReport>():
      return {source_report(), {}};
    case kind_of<HealthReport>():
      return {health_report(), {}};
    case kind_of<DeviceSpeed>():
      return {device_speed(), {}};
    default:
      CHECK(false && "a kind of message without a case");
  }
}

}  // namespace potluck::sim
