#include "tests/unit/protocol/sample_messages.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"

namespace potluck {
namespace {

constexpr uint64_t kMax64 = std::numeric_limits<uint64_t>::max();
constexpr uint32_t kMax32 = std::numeric_limits<uint32_t>::max();

template <class Bytes>
Bytes filled(uint8_t first) {
  Bytes bytes{};
  for (uint8_t& byte : bytes) byte = first++;
  return bytes;
}

Digest digest(uint8_t first) {
  return Digest{filled<std::array<uint8_t, 32>>(first)};
}

std::vector<KernelDigest> kernels(uint32_t count) {
  std::vector<KernelDigest> list;
  for (uint32_t i = 0; i < count; ++i) {
    list.push_back({KernelPart{kMax32 - count + 1 + i}, digest(static_cast<uint8_t>(i))});
  }
  return list;
}

std::vector<UnitId> units(uint32_t count) {
  std::vector<UnitId> list;
  for (uint32_t i = 0; i < count; ++i) {
    list.push_back({static_cast<uint16_t>((limits::kLayers - 1 - i) % limits::kLayers),
                    static_cast<uint16_t>((limits::kExperts - 1 - i) % limits::kExperts),
                    static_cast<uint16_t>(i % limits::kSlices)});
  }
  return list;
}

WorkId largest_work() {
  return {kMax64, kMax64 - 1, limits::kLayers - 1, kMax32};
}

Compute compute(uint32_t rows, uint32_t calls_per_row) {
  Compute m;
  m.work = largest_work();
  m.slices = limits::kSlices;
  m.form = ActivationForm::kQ8Block32;
  m.columns = limits::kHidden;
  for (uint32_t r = 0; r < rows; ++r) {
    ComputeRow row{r % 2 == 0 ? kMaxFractionBits : kMinFractionBits, {}};
    for (uint32_t c = 0; c < calls_per_row; ++c) {
      row.calls.push_back({static_cast<uint16_t>(limits::kExperts - 1 - c % limits::kExperts),
                           static_cast<uint16_t>(c % limits::kSlices),
                           c % 3 == 0 ? -std::numeric_limits<float>::max() : 0x1p-149F});
    }
    m.rows.push_back(row);
  }
  return m;
}

void add_compute(std::vector<Message>& list) {
  Compute smallest;
  smallest.columns = 1;
  smallest.rows = {{0, {{0, 0, 0.0F}}}};
  list.emplace_back(smallest);
  Compute usual = compute(8, 4);
  usual.form = ActivationForm::kQ8Block256;
  usual.columns = 2048;
  usual.prefetch = units(17);
  list.emplace_back(usual);
  list.emplace_back(
      compute(limits::kRowsPerMessage, limits::kCallsPerMessage / limits::kRowsPerMessage));
  Compute one_long_row = compute(1, 65535);
  one_long_row.form = ActivationForm::kF32;
  list.emplace_back(one_long_row);
}

void add_partial(std::vector<Message>& list) {
  list.emplace_back(Partial{});
  Partial largest;
  largest.work = largest_work();
  largest.status = PartialStatus::kStale;
  largest.row_flags.assign(limits::kRowsPerMessage, 1);
  largest.row_flags[7] = 0;
  largest.lost = units(1000);
  largest.timings = {kMax64,     kMax64 - 1, kMax64 - 2, kMax32,
                     kMax32 - 1, kMax64 - 3, kMax32 - 2, kMax32 - 3};
  largest.checksum = kMax64 - 3;
  largest.text.assign(limits::kTextBytes, 'x');
  list.emplace_back(largest);
}

bool units_fit(const std::vector<UnitId>& list, uint32_t slices) {
  for (const UnitId& unit : list) {
    if (unit.layer >= limits::kLayers || unit.expert >= limits::kExperts) return false;
    if (unit.slice >= slices) return false;
  }
  return true;
}

bool slices_fit(uint32_t slices) {
  return slices >= 1 && slices <= limits::kSlices;
}

bool endpoint_fits(const std::string& endpoint) {
  return endpoint.empty() || endpoint.starts_with("tcp://");
}

bool fits(const Hello& m) {
  auto unordered = [](const KernelDigest& a, const KernelDigest& b) { return a.part >= b.part; };
  if (m.kernels.size() > limits::kKernelDigests) return false;
  if (std::adjacent_find(m.kernels.begin(), m.kernels.end(), unordered) != m.kernels.end()) {
    return false;
  }
  return endpoint_fits(m.bulk_endpoint) && m.name.size() <= limits::kTextBytes &&
         m.software.size() <= limits::kTextBytes;
}
bool fits(const Welcome& m) {
  return m.manifest_bytes <= limits::kManifestBytes;
}
bool fits(const Refusal& m) {
  return m.reason <= RefusalReason::kProtocol && m.message.size() <= limits::kTextBytes;
}
bool fits(const Assignment& m) {
  for (const auto& holders : m.holders) {
    if (holders.size() > limits::kHoldersPerUnit) return false;
    for (uint16_t holder : holders) {
      if (holder >= limits::kWorkers) return false;
    }
  }
  if (!m.holders.empty() && m.holders.size() != m.units.size()) return false;
  return slices_fit(m.slices) && units_fit(m.units, m.slices);
}
bool fits(const Residency& m) {
  return units_fit(m.ready, limits::kSlices) && units_fit(m.lost, limits::kSlices) &&
         m.text.size() <= limits::kTextBytes;
}
bool fits(const Compute& m) {
  size_t calls = 0;
  for (const ComputeRow& row : m.rows) {
    if (row.calls.empty() || std::abs(row.fraction_bits) > 512) return false;
    calls += row.calls.size();
    for (const UnitCall& call : row.calls) {
      if (call.expert >= limits::kExperts || call.slice >= m.slices) return false;
      if (!std::isfinite(call.weight)) return false;
    }
  }
  bool whole = m.form != ActivationForm::kQ8Block256 || m.columns % 256 == 0;
  return whole && m.form <= ActivationForm::kQ8Block256 && slices_fit(m.slices) && m.columns >= 1 &&
         m.columns <= limits::kHidden && m.work.layer < limits::kLayers && !m.rows.empty() &&
         m.rows.size() <= limits::kRowsPerMessage && calls <= limits::kCallsPerMessage &&
         units_fit(m.prefetch, m.slices);
}
bool fits(const Partial& m) {
  for (uint8_t flag : m.row_flags) {
    if (flag > 1) return false;
  }
  return m.work.layer < limits::kLayers && m.status <= PartialStatus::kStale &&
         m.row_flags.size() <= limits::kRowsPerMessage && units_fit(m.lost, limits::kSlices) &&
         m.text.size() <= limits::kTextBytes;
}
bool fits(const Heartbeat&) {
  return true;
}
bool fits(const Goodbye& m) {
  return m.text.size() <= limits::kTextBytes;
}
bool part_fits(uint64_t offset, uint32_t length) {
  return offset < limits::kBulkBytes && length >= 1 && length <= limits::kBulkPartBytes;
}
bool fits(const FetchManifest& m) {
  return part_fits(m.offset, m.length);
}
bool fits(const FetchGrain& m) {
  return m.grain.layer < limits::kLayers && m.grain.expert < limits::kExperts &&
         part_fits(m.offset, m.length);
}
bool fits(const BulkData& m) {
  return m.total <= limits::kBulkBytes && m.offset <= m.total;
}
bool fits(const JoinRequest& m) {
  return m.name.size() <= limits::kTextBytes;
}
bool fits(const JoinAccept& m) {
  for (const PoolPlace& place : m.places) {
    if (!place.join.starts_with("tcp://") || !place.compute.starts_with("tcp://") ||
        !place.bulk.starts_with("tcp://")) {
      return false;
    }
  }
  return m.compute_endpoint.starts_with("tcp://") && m.bulk_endpoint.starts_with("tcp://") &&
         m.places.size() <= limits::kPoolPlaces;
}

bool fits(const PairRequest& m) {
  return m.name.size() <= limits::kTextBytes;
}
bool fits(const PairChallenge& m) {
  return m.name.size() <= limits::kTextBytes;
}
bool fits(const PairReveal&) {
  return true;
}
bool fits(const PairPending&) {
  return true;
}
bool fits(const Roster& m) {
  for (const RosterPeer& peer : m.peers) {
    if (!endpoint_fits(peer.bulk_endpoint) || peer.name.size() > limits::kTextBytes) return false;
  }
  return m.peers.size() <= limits::kWorkers;
}
bool fits(const SourceReport& m) {
  return m.peers.size() <= limits::kSourcesPerReport;
}
bool fits(const HealthReport& m) {
  return m.share <= 100 && m.text.size() <= limits::kTextBytes;
}

bool fits(const DeviceSpeed& m) {
  for (size_t i = 1; i < m.products.size(); ++i) {
    if (m.products[i].format <= m.products[i - 1].format) return false;
  }
  return m.products.size() <= limits::kKernelDigests;
}

void add_joining(std::vector<Message>& list) {
  JoinAccept accept{"tcp://a:1", "tcp://a:2", filled<SigningPublicKey>(8), {}};
  for (uint32_t i = 0; i < limits::kPoolPlaces; ++i) {
    accept.places.push_back({"tcp://a:7700", "tcp://[2001:db8::1]:7701", "tcp://b.c:65535"});
  }
  list.emplace_back(accept);
  list.emplace_back(PairRequest{});
  list.emplace_back(PairRequest{digest(9), std::string(limits::kTextBytes, 'n')});
  list.emplace_back(PairChallenge{});
  list.emplace_back(PairChallenge{filled<PairNonce>(10), "kitchen"});
  list.emplace_back(PairReveal{filled<PairNonce>(11)});
  list.emplace_back(PairPending{});
  list.emplace_back(Goodbye{1, "", true});
  list.emplace_back(PairPending{kMax32});
}

// Of a large pool; the digests of the samples depend on it.
constexpr uint32_t kManyWorkers = 256;

void add_peer_delivery(std::vector<Message>& list) {
  auto key = [](uint8_t first) { return PeerKey{filled<std::array<uint8_t, 32>>(first)}; };
  list.emplace_back(Roster{});
  list.emplace_back(Roster{3, 2, {{key(1), "tcp://10.0.0.3:7701", "laptop"}, {key(2), "", ""}}});
  Roster largest{kMax64, kMax64, {}};
  for (uint32_t i = 0; i < kManyWorkers; ++i) {
    largest.peers.push_back({key(static_cast<uint8_t>(i)), "tcp://[fe80::1%25eth0]:65535",
                             std::string(limits::kTextBytes, 'n')});
  }
  list.emplace_back(largest);
  for (uint32_t count : {3u, 5000u}) {
    Assignment assignment{kMax64, kMax64 - 1, limits::kSlices, units(count), kMax64 - 2, {}};
    for (uint32_t i = 0; i < count; ++i) {
      assignment.holders.emplace_back(i % (limits::kHoldersPerUnit + 1),
                                      static_cast<uint16_t>(kManyWorkers - 1));
    }
    list.emplace_back(assignment);
  }
  list.emplace_back(SourceReport{});
  list.emplace_back(SourceReport{1, 2, 3, {{key(4), 5, true}, {key(6), 7, false}}});
  SourceReport most{kMax64, kMax64, kMax64, {}};
  most.peers.assign(4 * size_t{kManyWorkers}, {key(9), kMax64, true});
  list.emplace_back(most);
  list.emplace_back(HealthReport{});
  list.emplace_back(HealthReport{kMax64, 25, "its battery is at 12 %", 12, true, -40});
  list.emplace_back(HealthReport{1, 0, std::string(limits::kTextBytes, 'n'), 254, false, 32767});
  HealthReport pausing{1, 100, "pauses soon: its battery is at 12 %", 12, true, 40, 20, {}};
  pausing.use = {256 * kMiB, kMax64, 64 * kMiB, 4 * kGiB, 3500};
  list.emplace_back(pausing);
  list.emplace_back(DeviceSpeed{});
  list.emplace_back(DeviceSpeed{1, 8, 2'500'000'000, {{TensorType::kQ4_K, 20, 300}}});
  DeviceSpeed fastest{kMax64, kMax32, kMax64, {}};
  for (uint32_t i = 0; i < limits::kKernelDigests; ++i) {
    fastest.products.push_back({static_cast<TensorType>(i), kMax64, kMax64});
  }
  list.emplace_back(fastest);
}

}  // namespace

std::vector<Message> sample_messages() {
  const std::string longest(limits::kTextBytes, 'n');
  std::vector<Message> list = {
      Hello{},
      Hello{kMax32,
            kMax32,
            {{KernelPart{0}, digest(1)}, {KernelPart{kMax32}, digest(2)}},
            "",
            "",
            0,
            0,
            ""},
      Hello{kMax32, kMax32, kernels(limits::kKernelDigests), longest, longest, kMax64, kMax64,
            "tcp://worker.lan:7701"},
      Welcome{},
      Welcome{kMax64, kMax32, digest(2), limits::kManifestBytes, kMax32},
      Refusal{RefusalReason::kVersion, ""},
      Refusal{RefusalReason::kProtocol, "it speaks Z\xc3\xbcrich German \xf0\x9f\x8d\xb2"},
      Assignment{},
      Assignment{kMax64, kMax64, limits::kSlices, units(20000), 0, {}},
      Residency{},
      Residency{kMax64, kMax64, units(20000), units(3)},
      Residency{1, 2, {}, {}, 0},
      Residency{1, 2, {}, {}, 4096, "64 MiB of 64 MiB a day are written"},
      Heartbeat{},
      Heartbeat{kMax64, kMax64, true},
      Goodbye{},
      Goodbye{kMax64, longest},
      FetchManifest{digest(3)},
      FetchManifest{digest(3), limits::kBulkBytes - 1, 1},
      FetchGrain{},
      FetchGrain{digest(4),
                 {limits::kLayers - 1, limits::kExperts - 1, 65535},
                 limits::kBulkBytes - 1,
                 limits::kBulkPartBytes},
      BulkData{},
      BulkData{digest(5), false, limits::kManifestBytes, limits::kManifestBytes,
               filled<Signature>(6)},
      JoinRequest{},
      JoinRequest{filled<InvitationSecret>(7), longest},
      JoinAccept{"tcp://a:1", "tcp://[fe80::1%25eth0]:65535"},
  };
  add_compute(list);
  add_partial(list);
  add_peer_delivery(list);
  add_joining(list);
  return list;
}

std::string broken_limit(const Message& message) {
  bool within = std::visit([](const auto& m) { return fits(m); }, message);
  return within ? "" : std::string(message_name(message)) + " breaks a limit";
}

}  // namespace potluck
