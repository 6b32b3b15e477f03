// Headers to messages: the only place where numbers and text from a peer become values. Every field
// is compared with engine/base/limits.h; each accessor of a list or text is called once, so the
// traversal limit can be the size of the header.
#include <cmath>
#include <cstring>
#include <utility>

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <fmt/format.h>
#include <kj/exception.h>

#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "protocol/codec.h"
#include "protocol/field_checks.h"
#include "protocol/schema/wire.capnp.h"
#include "protocol/work_counter_fields.h"

namespace potluck {
namespace {

// Header, the message's struct, its lists, a struct in a list: nothing is nested deeper.
constexpr int kNesting = 4;

template <class Reader>
WorkId read_work(Reader in, FieldChecks& checks) {
  checks.equal(in.getArithmeticVersion(), kArithmeticVersion, "arithmetic version");
  return {.epoch = in.getEpoch(),
          .request = in.getRequest(),
          .layer = checks.below(in.getLayer(), limits::kLayers, "layer"),
          .attempt = in.getAttempt()};
}

uint32_t read_slices(uint32_t slices, FieldChecks& checks) {
  if (slices == 0) checks.corrupt("slices", "expected at least 1, found 0");
  return checks.at_most(slices, limits::kSlices, "slices");
}

std::vector<KernelDigest> read_kernels(capnp::List<wire::KernelDigest>::Reader in,
                                       FieldChecks& checks) {
  std::vector<KernelDigest> kernels(
      checks.at_most(in.size(), limits::kKernelDigests, "kernel digests"));
  for (uint32_t i = 0; i < kernels.size(); ++i) {
    kernels[i].part = static_cast<KernelPart>(in[i].getPart());
    checks.bytes(in[i].getDigest(), "kernel digest", &kernels[i].digest.bytes);
    if (i > 0 && kernels[i].part <= kernels[i - 1].part) {
      checks.corrupt("kernel digests", "expected parts that ascend");
    }
  }
  return kernels;
}

Message read(wire::Hello::Reader in, FieldChecks& checks) {
  Hello m;
  m.protocol_version = in.getProtocolVersion();
  m.arithmetic_version = in.getArithmeticVersion();
  m.kernels = read_kernels(in.getKernels(), checks);
  m.name = checks.text(in.getName(), "name");
  m.software = checks.text(in.getSoftware(), "software");
  m.ram_bytes = in.getRamBytes();
  m.disk_bytes = in.getDiskBytes();
  m.bulk_endpoint = checks.endpoint_or_nothing(in.getBulkEndpoint(), "bulk endpoint");
  return m;
}

Message read(wire::Welcome::Reader in, FieldChecks& checks) {
  Welcome m;
  m.epoch = in.getEpoch();
  m.worker_number = in.getWorkerNumber();
  checks.bytes(in.getManifest(), "manifest digest", &m.manifest.bytes);
  m.manifest_bytes = checks.at_most(in.getManifestBytes(), limits::kManifestBytes, "manifest size");
  m.heartbeat_ms = in.getHeartbeatMs();
  return m;
}

Message read(wire::Refusal::Reader in, FieldChecks& checks) {
  Refusal m;
  m.reason = checks.value(in.getReason(), RefusalReason::kProtocol, "reason");
  m.message = checks.text(in.getMessage(), "message");
  return m;
}

// One list of indices into a roster per unit, or none at all.
std::vector<std::vector<uint16_t>> read_holders(wire::Assignment::Reader in, size_t units,
                                                FieldChecks& checks) {
  auto counts = in.getHolderCounts();
  auto indices = in.getHolders();
  if (counts.size() != 0) checks.equal(counts.size(), units, "count of holder counts");
  uint64_t counted = 0;
  for (uint8_t count : counts) {
    counted += checks.at_most(count, limits::kHoldersPerUnit, "holders of a unit");
  }
  checks.equal(indices.size(), counted, "count of holders");
  if (checks.failed()) return {};
  std::vector<std::vector<uint16_t>> holders(counts.size());
  uint32_t next = 0;
  for (uint32_t i = 0; i < counts.size(); ++i) {
    holders[i].resize(counts[i]);
    for (uint16_t& holder : holders[i]) {
      holder = checks.below(indices[next++], limits::kWorkers, "holder");
    }
  }
  return holders;
}

Message read(wire::Assignment::Reader in, FieldChecks& checks) {
  Assignment m;
  m.epoch = in.getEpoch();
  m.version = in.getVersion();
  m.slices = read_slices(in.getSlices(), checks);
  m.units = checks.units(in.getUnits(), m.slices, "units");
  m.roster = in.getRoster();
  m.holders = read_holders(in, m.units.size(), checks);
  return m;
}

Message read(wire::Residency::Reader in, FieldChecks& checks) {
  Residency m;
  m.epoch = in.getEpoch();
  m.version = in.getVersion();
  m.ready = checks.units(in.getReady(), limits::kSlices, "ready units");
  m.lost = checks.units(in.getLost(), limits::kSlices, "lost units");
  m.room_bytes = in.getRoomBytes();
  return m;
}

// The columns of a Compute's table of rows and calls.
struct CallColumns {
  capnp::List<int32_t>::Reader fraction_bits;
  capnp::List<uint16_t>::Reader call_counts;
  capnp::List<uint16_t>::Reader experts;
  capnp::List<uint8_t>::Reader slices;
  capnp::List<float>::Reader weights;
};

bool columns_fit(const CallColumns& in, FieldChecks& checks) {
  uint32_t rows = in.call_counts.size();
  uint32_t calls = in.experts.size();
  if (rows == 0) return checks.corrupt("rows", "expected at least one, found none");
  checks.at_most(rows, limits::kRowsPerMessage, "rows");
  checks.at_most(calls, limits::kCallsPerMessage, "calls");
  checks.equal(in.fraction_bits.size(), rows, "count of fraction bits");
  checks.equal(in.slices.size(), calls, "count of slices");
  checks.equal(in.weights.size(), calls, "count of weights");
  if (checks.failed()) return false;
  uint64_t counted = 0;
  for (uint32_t row = 0; row < rows; ++row) {
    if (in.call_counts[row] == 0) return checks.corrupt("calls of a row", "expected at least 1");
    counted += in.call_counts[row];
  }
  checks.equal(calls, counted, "count of calls");
  return !checks.failed();
}

UnitCall read_call(const CallColumns& in, uint32_t call, uint32_t slices, FieldChecks& checks) {
  UnitCall unit;
  unit.expert = checks.below(in.experts[call], limits::kExperts, "expert");
  unit.slice = checks.below(in.slices[call], slices, "slice");
  unit.weight = in.weights[call];
  if (!std::isfinite(unit.weight)) checks.corrupt("weight", "expected a finite number");
  return unit;
}

std::vector<ComputeRow> read_rows(const CallColumns& in, uint32_t slices, FieldChecks& checks) {
  if (!columns_fit(in, checks)) return {};
  std::vector<ComputeRow> rows(in.call_counts.size());
  uint32_t call = 0;
  for (uint32_t r = 0; r < rows.size(); ++r) {
    int32_t bits = in.fraction_bits[r];
    if (bits < kMinFractionBits || bits > kMaxFractionBits) {
      checks.corrupt("fraction bits", fmt::format("expected {} to {}, found {}", kMinFractionBits,
                                                  kMaxFractionBits, bits));
    }
    rows[r].fraction_bits = bits;
    rows[r].calls.resize(in.call_counts[r]);
    for (UnitCall& unit : rows[r].calls) unit = read_call(in, call++, slices, checks);
  }
  return rows;
}

Message read(wire::Compute::Reader in, FieldChecks& checks) {
  Compute m;
  m.work = read_work(in, checks);
  m.slices = read_slices(in.getSlices(), checks);
  m.form = checks.value(in.getForm(), ActivationForm::kQ8Block256, "activation form");
  m.columns = checks.at_most(in.getColumns(), limits::kHidden, "columns");
  if (m.columns == 0) checks.corrupt("columns", "expected at least 1, found 0");
  if (m.form == ActivationForm::kQ8Block256 && m.columns % activation_block(m.form) != 0) {
    checks.corrupt("columns", fmt::format("expected a multiple of 256, found {}", m.columns));
  }
  CallColumns columns{in.getFractionBits(), in.getCallCounts(), in.getExperts(), in.getUnitSlices(),
                      in.getWeights()};
  m.rows = read_rows(columns, m.slices, checks);
  m.predicted = checks.units(in.getPredicted(), m.slices, "predicted units");
  return m;
}

Message read(wire::Partial::Reader in, FieldChecks& checks) {
  Partial m;
  m.work = read_work(in, checks);
  m.status = checks.value(in.getStatus(), PartialStatus::kStale, "status");
  auto flags = in.getRowFlags();
  m.row_flags.resize(checks.at_most(flags.size(), limits::kRowsPerMessage, "row flags"));
  for (uint32_t i = 0; i < m.row_flags.size(); ++i) m.row_flags[i] = flags[i] ? 1 : 0;
  m.lost = checks.units(in.getLost(), limits::kSlices, "lost units");
  m.timings = read_work_counters(in);
  m.checksum = in.getChecksum();
  m.text = checks.text(in.getText(), "text");
  return m;
}

Message read(wire::Heartbeat::Reader in, FieldChecks&) {
  return Heartbeat{in.getEpoch(), in.getSequence(), in.getReplyWanted()};
}

Message read(wire::Goodbye::Reader in, FieldChecks& checks) {
  return Goodbye{in.getEpoch(), checks.text(in.getText(), "text")};
}

// Offset and length of the part that is asked for.
template <class Reader, class Fetch>
void read_part(Reader in, FieldChecks& checks, Fetch* m) {
  m->offset = checks.below(in.getOffset(), limits::kBulkBytes, "offset");
  m->length = checks.at_most(in.getLength(), limits::kBulkPartBytes, "length");
  if (m->length == 0) checks.corrupt("length", "expected at least 1, found 0");
}

Message read(wire::FetchManifest::Reader in, FieldChecks& checks) {
  FetchManifest m;
  checks.bytes(in.getManifest(), "manifest digest", &m.manifest.bytes);
  read_part(in, checks, &m);
  return m;
}

Message read(wire::FetchGrain::Reader in, FieldChecks& checks) {
  FetchGrain m;
  checks.bytes(in.getDigest(), "grain digest", &m.digest.bytes);
  m.grain.layer = checks.below(in.getLayer(), limits::kLayers, "layer");
  m.grain.expert = checks.below(in.getExpert(), limits::kExperts, "expert");
  m.grain.grain = in.getGrain();
  read_part(in, checks, &m);
  return m;
}

Message read(wire::BulkData::Reader in, FieldChecks& checks) {
  BulkData m;
  checks.bytes(in.getDigest(), "digest", &m.digest.bytes);
  m.found = in.getFound();
  m.total = checks.at_most(in.getTotal(), limits::kBulkBytes, "total size");
  m.offset = checks.at_most(in.getOffset(), m.total, "offset");
  auto signature = in.getSignature();
  if (signature.size() != 0) checks.bytes(signature, "signature", &m.signature);
  return m;
}

Message read(wire::JoinRequest::Reader in, FieldChecks& checks) {
  JoinRequest m;
  checks.bytes(in.getSecret(), "secret", &m.secret);
  m.name = checks.text(in.getName(), "name");
  return m;
}

Message read(wire::JoinAccept::Reader in, FieldChecks& checks) {
  JoinAccept m;
  m.compute_endpoint = checks.endpoint(in.getComputeEndpoint(), "compute endpoint");
  m.bulk_endpoint = checks.endpoint(in.getBulkEndpoint(), "bulk endpoint");
  return m;
}

Message read(wire::Roster::Reader in, FieldChecks& checks) {
  Roster m;
  m.epoch = in.getEpoch();
  m.version = in.getVersion();
  auto peers = in.getPeers();
  m.peers.resize(checks.at_most(peers.size(), limits::kWorkers, "peers"));
  for (uint32_t i = 0; i < m.peers.size(); ++i) {
    checks.bytes(peers[i].getKey(), "peer key", &m.peers[i].key.bytes);
    m.peers[i].bulk_endpoint =
        checks.endpoint_or_nothing(peers[i].getBulkEndpoint(), "bulk endpoint");
    m.peers[i].name = checks.text(peers[i].getName(), "name");
  }
  return m;
}

Message read(wire::SourceReport::Reader in, FieldChecks& checks) {
  SourceReport m;
  m.epoch = in.getEpoch();
  m.coordinator_bytes = in.getCoordinatorBytes();
  m.file_bytes = in.getFileBytes();
  auto peers = in.getPeers();
  m.peers.resize(checks.at_most(peers.size(), limits::kSourcesPerReport, "peers"));
  for (uint32_t i = 0; i < m.peers.size(); ++i) {
    checks.bytes(peers[i].getKey(), "peer key", &m.peers[i].key.bytes);
    m.peers[i].bytes = peers[i].getBytes();
    m.peers[i].bad = peers[i].getBad();
  }
  return m;
}

template <class Reader>
Result<Message> checked(const char* name, Reader in) {
  FieldChecks checks(name);
  Message message = read(in, checks);
  if (checks.failed()) return checks.error();
  return message;
}

Result<Message> read_header(wire::Header::Reader in) {
  switch (in.which()) {
    case wire::Header::HELLO:
      return checked("Hello", in.getHello());
    case wire::Header::WELCOME:
      return checked("Welcome", in.getWelcome());
    case wire::Header::REFUSAL:
      return checked("Refusal", in.getRefusal());
    case wire::Header::ASSIGNMENT:
      return checked("Assignment", in.getAssignment());
    case wire::Header::RESIDENCY:
      return checked("Residency", in.getResidency());
    case wire::Header::COMPUTE:
      return checked("Compute", in.getCompute());
    case wire::Header::PARTIAL:
      return checked("Partial", in.getPartial());
    case wire::Header::HEARTBEAT:
      return checked("Heartbeat", in.getHeartbeat());
    case wire::Header::GOODBYE:
      return checked("Goodbye", in.getGoodbye());
    case wire::Header::FETCH_MANIFEST:
      return checked("FetchManifest", in.getFetchManifest());
    case wire::Header::FETCH_GRAIN:
      return checked("FetchGrain", in.getFetchGrain());
    case wire::Header::BULK_DATA:
      return checked("BulkData", in.getBulkData());
    case wire::Header::JOIN_REQUEST:
      return checked("JoinRequest", in.getJoinRequest());
    case wire::Header::JOIN_ACCEPT:
      return checked("JoinAccept", in.getJoinAccept());
    case wire::Header::ROSTER:
      return checked("Roster", in.getRoster());
    case wire::Header::SOURCE_REPORT:
      return checked("SourceReport", in.getSourceReport());
  }
  return Error{ErrorCode::kCorrupt,
               fmt::format("header: unknown verb {}", static_cast<uint32_t>(in.which()))};
}

Error malformed(const std::string& what) {
  return Error{ErrorCode::kCorrupt, "header: " + what};
}

// Copies the header into aligned words (received frames are misaligned) after its prefix was found
// to announce exactly one segment of exactly the rest.
Result<std::vector<capnp::word>> aligned_words(ByteSpan header) {
  constexpr size_t kWord = sizeof(capnp::word);
  if (header.size() > limits::kHeaderBytes) {
    return malformed(
        fmt::format("expected at most {} bytes, found {}", limits::kHeaderBytes, header.size()));
  }
  if (header.size() < 2 * kWord || header.size() % kWord != 0) {
    return malformed(fmt::format("expected whole words of 8 bytes and at least two, found {} bytes",
                                 header.size()));
  }
  size_t words = header.size() / kWord;
  if (load<uint32_t>(header.data()) != 0 || load<uint32_t>(header.data() + 4) != words - 1) {
    return malformed(fmt::format("expected one segment of {} words", words - 1));
  }
  std::vector<capnp::word> aligned(words);
  std::memcpy(aligned.data(), header.data(), header.size());
  return aligned;
}

}  // namespace

Result<Message> decode_header(ByteSpan header) {
  auto words = aligned_words(header);
  if (!words) return words.error();
  capnp::ReaderOptions options;
  options.traversalLimitInWords = words->size();
  options.nestingLimit = kNesting;
  try {
    capnp::FlatArrayMessageReader reader(kj::arrayPtr(words->data(), words->size()), options);
    return read_header(reader.getRoot<wire::Header>());
  } catch (const kj::Exception& exception) {
    return malformed(exception.getDescription().cStr());
  }
}

}  // namespace potluck
