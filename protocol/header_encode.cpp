// Messages to headers. The size of the one segment is bounded beforehand, so that building never
// allocates a second one: the receiver takes no other.
#include <limits>

#include <capnp/message.h>
#include <capnp/serialize.h>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "protocol/codec.h"
#include "protocol/peer_text.h"
#include "protocol/schema/wire.capnp.h"
#include "protocol/work_counter_fields.h"

namespace potluck {
namespace {

// Room for the structs, the digests and the signature of any message, in words.
constexpr size_t kFixedWords = 64;

size_t list_words(size_t count, size_t element_bytes) {
  return count * element_bytes / sizeof(capnp::word) + 2;
}

size_t unit_words(const std::vector<UnitId>& units) {
  return list_words(3 * units.size(), sizeof(uint16_t));
}

size_t text_words(const std::string& text) {
  return list_words(std::min<size_t>(text.size(), limits::kTextBytes), 1);
}

size_t call_count(const Compute& compute) {
  size_t calls = 0;
  for (const ComputeRow& row : compute.rows) calls += row.calls.size();
  return calls;
}

// What a message needs beyond kFixedWords, at most.
template <class T>
size_t variable_words(const T&) {
  return 0;
}
size_t variable_words(const Hello& m) {
  constexpr size_t kDigestWords = 2 + sizeof(Digest) / sizeof(capnp::word);  // a number, a pointer
  return 2 + kDigestWords * m.kernels.size() + text_words(m.name) + text_words(m.software) +
         text_words(m.bulk_endpoint);
}
size_t variable_words(const Refusal& m) {
  return text_words(m.message);
}
size_t holder_count(const Assignment& m) {
  size_t count = 0;
  for (const auto& holders : m.holders) count += holders.size();
  return count;
}
size_t variable_words(const Assignment& m) {
  return unit_words(m.units) + list_words(m.holders.size(), 1) +
         list_words(holder_count(m), sizeof(uint16_t));
}
size_t variable_words(const Residency& m) {
  return unit_words(m.ready) + unit_words(m.lost);
}
size_t variable_words(const Compute& m) {
  size_t calls = call_count(m);
  size_t rows = m.rows.size();
  return list_words(rows, sizeof(int32_t)) + list_words(rows, sizeof(uint16_t)) +
         list_words(calls, sizeof(uint16_t)) + list_words(calls, sizeof(uint8_t)) +
         list_words(calls, sizeof(float)) + unit_words(m.predicted);
}
size_t variable_words(const Partial& m) {
  return list_words(m.row_flags.size(), 1) + unit_words(m.lost) + text_words(m.text);
}
size_t variable_words(const Goodbye& m) {
  return text_words(m.text);
}
size_t variable_words(const JoinRequest& m) {
  return text_words(m.name);
}
size_t variable_words(const JoinAccept& m) {
  return text_words(m.compute_endpoint) + text_words(m.bulk_endpoint);
}

constexpr size_t kKeyWords = sizeof(PeerKey) / sizeof(capnp::word);
size_t variable_words(const Roster& m) {
  constexpr size_t kPeerWords = 3 + kKeyWords;  // three pointers
  size_t words = 2 + kPeerWords * m.peers.size();
  for (const RosterPeer& peer : m.peers) {
    words += text_words(peer.bulk_endpoint) + text_words(peer.name);
  }
  return words;
}
size_t variable_words(const SourceReport& m) {
  constexpr size_t kSourceWords = 3 + kKeyWords;  // two of data, one pointer
  return 2 + kSourceWords * m.peers.size();
}

template <size_t kSize>
capnp::Data::Reader as_data(const std::array<uint8_t, kSize>& bytes) {
  return {bytes.data(), bytes.size()};
}

// What is sent keeps to what receivers accept.
std::string as_wire_text(const std::string& text) {
  return clean_text(text, limits::kTextBytes);
}

void write_units(capnp::List<uint16_t>::Builder out, const std::vector<UnitId>& units) {
  for (uint32_t i = 0; i < units.size(); ++i) {
    out.set(3 * i, units[i].layer);
    out.set(3 * i + 1, units[i].expert);
    out.set(3 * i + 2, units[i].slice);
  }
}

uint32_t unit_numbers(const std::vector<UnitId>& units) {
  CHECK(units.size() <= limits::kHeaderBytes / 8);
  return static_cast<uint32_t>(3 * units.size());
}

template <class Builder>
void write_work(Builder out, const WorkId& work) {
  out.setEpoch(work.epoch);
  out.setRequest(work.request);
  out.setLayer(work.layer);
  out.setAttempt(work.attempt);
  out.setArithmeticVersion(kArithmeticVersion);
}

void write(wire::Header::Builder root, const Hello& m) {
  CHECK(m.kernels.size() <= limits::kKernelDigests);
  auto out = root.initHello();
  out.setProtocolVersion(m.protocol_version);
  out.setArithmeticVersion(m.arithmetic_version);
  out.initSelfTest(sizeof(Digest));  // version 2 asks for it before it compares versions
  out.setName(as_wire_text(m.name));
  out.setSoftware(as_wire_text(m.software));
  out.setRamBytes(m.ram_bytes);
  out.setDiskBytes(m.disk_bytes);
  out.setBulkEndpoint(m.bulk_endpoint);
  auto kernels = out.initKernels(static_cast<uint32_t>(m.kernels.size()));
  for (uint32_t i = 0; i < m.kernels.size(); ++i) {
    kernels[i].setPart(static_cast<uint32_t>(m.kernels[i].part));
    kernels[i].setDigest(as_data(m.kernels[i].digest.bytes));
  }
}

void write(wire::Header::Builder root, const Welcome& m) {
  auto out = root.initWelcome();
  out.setEpoch(m.epoch);
  out.setWorkerNumber(m.worker_number);
  out.setManifest(as_data(m.manifest.bytes));
  out.setManifestBytes(m.manifest_bytes);
  out.setHeartbeatMs(m.heartbeat_ms);
}

void write(wire::Header::Builder root, const Refusal& m) {
  auto out = root.initRefusal();
  out.setReason(static_cast<wire::RefusalReason>(m.reason));
  out.setMessage(as_wire_text(m.message));
}

void write(wire::Header::Builder root, const Assignment& m) {
  auto out = root.initAssignment();
  out.setEpoch(m.epoch);
  out.setVersion(m.version);
  out.setSlices(m.slices);
  write_units(out.initUnits(unit_numbers(m.units)), m.units);
  out.setRoster(m.roster);
  CHECK(m.holders.empty() || m.holders.size() == m.units.size());
  auto counts = out.initHolderCounts(static_cast<uint32_t>(m.holders.size()));
  auto holders = out.initHolders(static_cast<uint32_t>(holder_count(m)));
  uint32_t next = 0;
  for (uint32_t i = 0; i < m.holders.size(); ++i) {
    CHECK(m.holders[i].size() <= limits::kHoldersPerUnit);
    counts.set(i, static_cast<uint8_t>(m.holders[i].size()));
    for (uint16_t holder : m.holders[i]) holders.set(next++, holder);
  }
}

void write(wire::Header::Builder root, const Residency& m) {
  auto out = root.initResidency();
  out.setEpoch(m.epoch);
  out.setVersion(m.version);
  write_units(out.initReady(unit_numbers(m.ready)), m.ready);
  write_units(out.initLost(unit_numbers(m.lost)), m.lost);
  out.setRoomBytes(m.room_bytes);
}

void write_rows(wire::Compute::Builder out, const std::vector<ComputeRow>& rows, uint32_t calls) {
  auto row_count = static_cast<uint32_t>(rows.size());
  auto fraction_bits = out.initFractionBits(row_count);
  auto call_counts = out.initCallCounts(row_count);
  auto experts = out.initExperts(calls);
  auto slices = out.initUnitSlices(calls);
  auto weights = out.initWeights(calls);
  uint32_t call = 0;
  for (uint32_t r = 0; r < row_count; ++r) {
    CHECK(rows[r].calls.size() <= std::numeric_limits<uint16_t>::max());
    fraction_bits.set(r, rows[r].fraction_bits);
    call_counts.set(r, static_cast<uint16_t>(rows[r].calls.size()));
    for (const UnitCall& unit : rows[r].calls) {
      CHECK(unit.slice < limits::kSlices);
      experts.set(call, unit.expert);
      slices.set(call, static_cast<uint8_t>(unit.slice));
      weights.set(call, unit.weight);
      ++call;
    }
  }
}

void write(wire::Header::Builder root, const Compute& m) {
  size_t calls = call_count(m);
  CHECK(m.rows.size() <= limits::kRowsPerMessage && calls <= limits::kCallsPerMessage);
  auto out = root.initCompute();
  write_work(out, m.work);
  out.setSlices(m.slices);
  out.setForm(static_cast<wire::ActivationForm>(m.form));
  out.setColumns(m.columns);
  write_rows(out, m.rows, static_cast<uint32_t>(calls));
  write_units(out.initPredicted(unit_numbers(m.predicted)), m.predicted);
}

void write(wire::Header::Builder root, const Partial& m) {
  CHECK(m.row_flags.size() <= limits::kRowsPerMessage);
  auto out = root.initPartial();
  write_work(out, m.work);
  out.setStatus(static_cast<wire::PartialStatus>(m.status));
  auto flags = out.initRowFlags(static_cast<uint32_t>(m.row_flags.size()));
  for (uint32_t i = 0; i < m.row_flags.size(); ++i) flags.set(i, m.row_flags[i] != 0);
  write_units(out.initLost(unit_numbers(m.lost)), m.lost);
  write_work_counters(m.timings, out);
  out.setChecksum(m.checksum);
  out.setText(as_wire_text(m.text));
}

void write(wire::Header::Builder root, const Heartbeat& m) {
  auto out = root.initHeartbeat();
  out.setEpoch(m.epoch);
  out.setSequence(m.sequence);
  out.setReplyWanted(m.reply_wanted);
}

void write(wire::Header::Builder root, const Goodbye& m) {
  auto out = root.initGoodbye();
  out.setEpoch(m.epoch);
  out.setText(as_wire_text(m.text));
}

void write(wire::Header::Builder root, const FetchManifest& m) {
  auto out = root.initFetchManifest();
  out.setManifest(as_data(m.manifest.bytes));
  out.setOffset(m.offset);
  out.setLength(m.length);
}

void write(wire::Header::Builder root, const FetchGrain& m) {
  auto out = root.initFetchGrain();
  out.setDigest(as_data(m.digest.bytes));
  out.setLayer(m.grain.layer);
  out.setExpert(m.grain.expert);
  out.setGrain(m.grain.grain);
  out.setOffset(m.offset);
  out.setLength(m.length);
}

void write(wire::Header::Builder root, const BulkData& m) {
  auto out = root.initBulkData();
  out.setDigest(as_data(m.digest.bytes));
  out.setFound(m.found);
  out.setOffset(m.offset);
  out.setTotal(m.total);
  if (m.signature != Signature{}) out.setSignature(as_data(m.signature));
}

void write(wire::Header::Builder root, const JoinRequest& m) {
  auto out = root.initJoinRequest();
  out.setSecret(as_data(m.secret));
  out.setName(as_wire_text(m.name));
}

void write(wire::Header::Builder root, const JoinAccept& m) {
  auto out = root.initJoinAccept();
  out.setComputeEndpoint(m.compute_endpoint);
  out.setBulkEndpoint(m.bulk_endpoint);
}

void write(wire::Header::Builder root, const Roster& m) {
  CHECK(m.peers.size() <= limits::kWorkers);
  auto out = root.initRoster();
  out.setEpoch(m.epoch);
  out.setVersion(m.version);
  auto peers = out.initPeers(static_cast<uint32_t>(m.peers.size()));
  for (uint32_t i = 0; i < m.peers.size(); ++i) {
    peers[i].setKey(as_data(m.peers[i].key.bytes));
    peers[i].setBulkEndpoint(m.peers[i].bulk_endpoint);
    peers[i].setName(as_wire_text(m.peers[i].name));
  }
}

void write(wire::Header::Builder root, const SourceReport& m) {
  CHECK(m.peers.size() <= limits::kSourcesPerReport);
  auto out = root.initSourceReport();
  out.setEpoch(m.epoch);
  out.setCoordinatorBytes(m.coordinator_bytes);
  out.setFileBytes(m.file_bytes);
  auto peers = out.initPeers(static_cast<uint32_t>(m.peers.size()));
  for (uint32_t i = 0; i < m.peers.size(); ++i) {
    peers[i].setKey(as_data(m.peers[i].key.bytes));
    peers[i].setBytes(m.peers[i].bytes);
    peers[i].setBad(m.peers[i].bad);
  }
}

// The flat form of a message of one segment: segments - 1, words, then the words.
ByteVector flatten(capnp::MessageBuilder& builder) {
  auto segments = builder.getSegmentsForOutput();
  CHECK(segments.size() == 1);
  auto content = std::as_bytes(std::span(segments[0].begin(), segments[0].size()));
  ByteWriter flat;
  flat.write(uint32_t{0});
  flat.write(static_cast<uint32_t>(segments[0].size()));
  flat.write(content);
  return flat.take();
}

}  // namespace

ByteVector encode_header(const Message& message) {
  size_t bound = kFixedWords + std::visit([](const auto& m) { return variable_words(m); }, message);
  std::vector<capnp::word> scratch(bound);
  capnp::MallocMessageBuilder builder(kj::arrayPtr(scratch.data(), scratch.size()));
  auto root = builder.initRoot<wire::Header>();
  std::visit([root](const auto& m) { write(root, m); }, message);
  return flatten(builder);
}

}  // namespace potluck
