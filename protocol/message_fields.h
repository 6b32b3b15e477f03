// What each message has on the wire, field by field: the one description that encoding, decoding
// and sizing visit. A row names the member, the schema's field and the kind of the field with its
// limit and the name that errors give it. Internal to the codec.
//
// The order of rows is that of the bytes behind the struct, and the one in which a receiver looks
// at them: a limit may be a member of an earlier row. Rows are only added, at the end.
#pragma once

#include "engine/kernels/kernels.h"
#include "protocol/field_kinds.h"
#include "protocol/flat_lists.h"
#include "protocol/message.h"
#include "protocol/schema/wire.capnp.h"

namespace potluck::fields {

// A message as the visitor takes it: const unless it is being decoded.
template <class Visitor, class Value>
using As = typename Visitor::template As<Value>;

#define WIRE(Field) slot(&W::Reader::get##Field, &W::Builder::set##Field)
#define WIRE_LIST(Field) list_slot(&W::Reader::get##Field, &W::Builder::init##Field)

// --- parts of messages ---------------------------------------------------------------------------

template <class W, class Visitor>
void visit_work(Visitor& v, As<Visitor, WorkId>& work) {
  v(kArithmeticVersion, WIRE(ArithmeticVersion), Fixed{"arithmetic version"});
  v(work.epoch, WIRE(Epoch), Any{});
  v(work.request, WIRE(Request), Any{});
  v(work.layer, WIRE(Layer), Below{limits::kLayers, "layer"});
  v(work.attempt, WIRE(Attempt), Any{});
}

template <class Visitor>
constexpr void visit_timings(Visitor& v, As<Visitor, WorkCounters>& work) {
  using W = wire::Partial;
  v(work.compute, WIRE(ComputeNs), Count{});
  v(work.disk, WIRE(DiskNs), Count{});
  v(work.disk_bytes, WIRE(DiskBytes), Count{});
  v(work.cache_hits, WIRE(CacheHits), Count{});
  v(work.cache_misses, WIRE(CacheMisses), Count{});
  v(work.prefetched_bytes, WIRE(PrefetchedBytes), Count{});
  v(work.prefetches_used, WIRE(PrefetchesUsed), Count{});
  v(work.prefetches_wasted, WIRE(PrefetchesWasted), Count{});
}

struct RowCount {
  template <class Value>
  using As = const Value;
  size_t rows = 0;

  template <class... Row>
  constexpr void operator()(const Row&...) {
    ++rows;
  }
};
constexpr size_t timing_rows() {
  RowCount count;
  constexpr WorkCounters kNone;
  visit_timings(count, kNone);
  return count.rows;
}
static_assert(timing_rows() == std::tuple_size_v<decltype(WorkCounters::counters())>,
              "every counter of a worker crosses the wire");

// Which part of a whole is asked for.
template <class W, class Visitor, class Fetch>
void visit_part(Visitor& v, Fetch& m) {
  v(m.offset, WIRE(Offset), Below{limits::kBulkBytes, "offset"});
  v(m.length, WIRE(Length), OneTo{limits::kBulkPartBytes, "length"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, KernelDigest>& kernel) {
  using W = wire::KernelDigest;
  v(kernel.part, WIRE(Part), Any{});
  v(kernel.digest.bytes, WIRE(Digest), Bytes{"kernel digest"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, RosterPeer>& peer) {
  using W = wire::RosterPeer;
  v(peer.key.bytes, WIRE(Key), Bytes{"peer key"});
  v(peer.bulk_endpoint, WIRE(BulkEndpoint), EndpointOrNothing{"bulk endpoint"});
  v(peer.name, WIRE(Name), Text{"name"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, PoolPlace>& place) {
  using W = wire::PoolPlace;
  v(place.join, WIRE(Join), Endpoint{"join endpoint"});
  v(place.compute, WIRE(Compute), Endpoint{"compute endpoint"});
  v(place.bulk, WIRE(Bulk), Endpoint{"bulk endpoint"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, PeerSource>& peer) {
  using W = wire::PeerSource;
  v(peer.key.bytes, WIRE(Key), Bytes{"peer key"});
  v(peer.bytes, WIRE(Bytes), Any{});
  v(peer.bad, WIRE(Bad), Any{});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, ProductSpeed>& speed) {
  using W = wire::ProductSpeed;
  v(speed.format, WIRE(Format), Any{});
  v(speed.one_row, WIRE(OneRow), Any{});
  v(speed.many_rows, WIRE(ManyRows), Any{});
}

// --- messages ------------------------------------------------------------------------------------

inline bool parts_ascend(const std::vector<KernelDigest>& kernels) {
  for (size_t i = 1; i < kernels.size(); ++i) {
    if (kernels[i].part <= kernels[i - 1].part) return false;
  }
  return true;
}

inline bool formats_ascend(const std::vector<ProductSpeed>& products) {
  for (size_t i = 1; i < products.size(); ++i) {
    if (products[i].format <= products[i - 1].format) return false;
  }
  return true;
}

// Blocks of 256 are whole ones; those of 32 may be padded.
constexpr uint32_t column_step(ActivationForm form) {
  return form == ActivationForm::kQ8Block256 ? activation_block(form) : 1;
}

inline constexpr Digest kNoSelfTest{};  // version 2 asks for one before it compares versions

template <class Visitor>
void visit(Visitor& v, As<Visitor, Hello>& m) {
  using W = wire::Hello;
  v(m.protocol_version, WIRE(ProtocolVersion), Any{});
  v(m.arithmetic_version, WIRE(ArithmeticVersion), Any{});
  v(kNoSelfTest.bytes, WIRE(SelfTest), Unread{});
  v(m.name, WIRE(Name), Text{"name"});
  v(m.software, WIRE(Software), Text{"software"});
  v(m.ram_bytes, WIRE(RamBytes), Any{});
  v(m.disk_bytes, WIRE(DiskBytes), Any{});
  v(m.bulk_endpoint, WIRE(BulkEndpoint), EndpointOrNothing{"bulk endpoint"});
  v(m.kernels, WIRE_LIST(Kernels), List{limits::kKernelDigests, "kernel digests"});
  v.expect(parts_ascend(m.kernels), "kernel digests", "expected parts that ascend");
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, Welcome>& m) {
  using W = wire::Welcome;
  v(m.epoch, WIRE(Epoch), Any{});
  v(m.worker_number, WIRE(WorkerNumber), Any{});
  v(m.manifest.bytes, WIRE(Manifest), Bytes{"manifest digest"});
  v(m.manifest_bytes, WIRE(ManifestBytes), AtMost{limits::kManifestBytes, "manifest size"});
  v(m.heartbeat_ms, WIRE(HeartbeatMs), Any{});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, Refusal>& m) {
  using W = wire::Refusal;
  v(m.reason, WIRE(Reason), Enumeration{RefusalReason::kProtocol, "reason"});
  v(m.message, WIRE(Message), Text{"message"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, Assignment>& m) {
  using W = wire::Assignment;
  v(m.epoch, WIRE(Epoch), Any{});
  v(m.version, WIRE(Version), Any{});
  v(m.slices, WIRE(Slices), OneTo{limits::kSlices, "slices"});
  v(m.units, WIRE_LIST(Units), Units{m.slices, "units"});
  v(m.roster, WIRE(Roster), Any{});
  v(m.holders, HolderTable{m.units.size()});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, Residency>& m) {
  using W = wire::Residency;
  v(m.epoch, WIRE(Epoch), Any{});
  v(m.version, WIRE(Version), Any{});
  v(m.ready, WIRE_LIST(Ready), Units{limits::kSlices, "ready units"});
  v(m.lost, WIRE_LIST(Lost), Units{limits::kSlices, "lost units"});
  v(m.room_bytes, WIRE(RoomBytes), Any{});
  v(m.text, WIRE(Text), Text{"text"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, Compute>& m) {
  using W = wire::Compute;
  visit_work<W>(v, m.work);
  v(m.slices, WIRE(Slices), OneTo{limits::kSlices, "slices"});
  v(m.form, WIRE(Form), Enumeration{ActivationForm::kQ8Block256, "activation form"});
  v(m.columns, WIRE(Columns), OneTo{limits::kHidden, "columns", column_step(m.form)});
  v(m.rows, CallTable{m.slices});
  v(m.prefetch, WIRE_LIST(Prefetch), Units{m.slices, "units to prefetch"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, Partial>& m) {
  using W = wire::Partial;
  visit_work<W>(v, m.work);
  v(m.status, WIRE(Status), Enumeration{PartialStatus::kStale, "status"});
  v(m.row_flags, WIRE_LIST(RowFlags), Flags{limits::kRowsPerMessage, "row flags"});
  v(m.lost, WIRE_LIST(Lost), Units{limits::kSlices, "lost units"});
  visit_timings(v, m.timings);
  v(m.checksum, WIRE(Checksum), Any{});
  v(m.text, WIRE(Text), Text{"text"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, Heartbeat>& m) {
  using W = wire::Heartbeat;
  v(m.epoch, WIRE(Epoch), Any{});
  v(m.sequence, WIRE(Sequence), Any{});
  v(m.reply_wanted, WIRE(ReplyWanted), Any{});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, Goodbye>& m) {
  using W = wire::Goodbye;
  v(m.epoch, WIRE(Epoch), Any{});
  v(m.text, WIRE(Text), Text{"text"});
  v(m.hand_over, WIRE(HandOver), Any{});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, FetchManifest>& m) {
  using W = wire::FetchManifest;
  v(m.manifest.bytes, WIRE(Manifest), Bytes{"manifest digest"});
  visit_part<W>(v, m);
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, FetchGrain>& m) {
  using W = wire::FetchGrain;
  v(m.digest.bytes, WIRE(Digest), Bytes{"grain digest"});
  v(m.grain.layer, WIRE(Layer), Below{limits::kLayers, "layer"});
  v(m.grain.expert, WIRE(Expert), Below{limits::kExperts, "expert"});
  v(m.grain.grain, WIRE(Grain), Any{});
  visit_part<W>(v, m);
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, BulkData>& m) {
  using W = wire::BulkData;
  v(m.digest.bytes, WIRE(Digest), Bytes{"digest"});
  v(m.found, WIRE(Found), Any{});
  v(m.total, WIRE(Total), AtMost{limits::kBulkBytes, "total size"});
  v(m.offset, WIRE(Offset), AtMost{m.total, "offset"});
  v(m.signature, WIRE(Signature), BytesOrNothing{"signature"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, JoinRequest>& m) {
  using W = wire::JoinRequest;
  v(m.secret, WIRE(Secret), Bytes{"secret"});
  v(m.name, WIRE(Name), Text{"name"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, JoinAccept>& m) {
  using W = wire::JoinAccept;
  v(m.compute_endpoint, WIRE(ComputeEndpoint), Endpoint{"compute endpoint"});
  v(m.bulk_endpoint, WIRE(BulkEndpoint), Endpoint{"bulk endpoint"});
  v(m.signing_key, WIRE(SigningKey), BytesOrNothing{"signing key"});
  v(m.places, WIRE_LIST(Places), List{limits::kPoolPlaces, "places"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, Roster>& m) {
  using W = wire::Roster;
  v(m.epoch, WIRE(Epoch), Any{});
  v(m.version, WIRE(Version), Any{});
  v(m.peers, WIRE_LIST(Peers), List{limits::kWorkers, "peers"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, SourceReport>& m) {
  using W = wire::SourceReport;
  v(m.epoch, WIRE(Epoch), Any{});
  v(m.coordinator_bytes, WIRE(CoordinatorBytes), Any{});
  v(m.file_bytes, WIRE(FileBytes), Any{});
  v(m.peers, WIRE_LIST(Peers), List{limits::kSourcesPerReport, "peers"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, HealthReport>& m) {
  using W = wire::HealthReport;
  v(m.epoch, WIRE(Epoch), Any{});
  v(m.share, WIRE(Share), AtMost{100, "share"});
  v(m.text, WIRE(Text), Text{"text"});
  v(m.battery_percent, WIRE(BatteryPercent), Any{});
  v(m.on_battery, WIRE(OnBattery), Any{});
  v(m.celsius, WIRE(Celsius), Any{});
  v(m.pause_seconds, WIRE(PauseSeconds), Any{});
  v(m.use.cache_bytes, WIRE(CacheBytes), Any{});
  v(m.use.written_bytes, WIRE(WrittenBytes), Any{});
  v(m.use.written_today, WIRE(WrittenToday), Any{});
  v(m.use.writes_per_day, WIRE(WritesPerDay), Any{});
  v(m.use.milliwatts, WIRE(Milliwatts), Any{});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, DeviceSpeed>& m) {
  using W = wire::DeviceSpeed;
  v(m.epoch, WIRE(Epoch), Any{});
  v(m.threads, WIRE(Threads), Any{});
  v(m.disk_bytes_per_second, WIRE(DiskBytesPerSecond), Any{});
  v(m.products, WIRE_LIST(Products), List{limits::kKernelDigests, "product speeds"});
  v.expect(formats_ascend(m.products), "product speeds", "expected formats that ascend");
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, PairRequest>& m) {
  using W = wire::PairRequest;
  v(m.commitment.bytes, WIRE(Commitment), Bytes{"commitment"});
  v(m.name, WIRE(Name), Text{"name"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, PairChallenge>& m) {
  using W = wire::PairChallenge;
  v(m.nonce, WIRE(Nonce), Bytes{"nonce"});
  v(m.name, WIRE(Name), Text{"name"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, PairReveal>& m) {
  using W = wire::PairReveal;
  v(m.nonce, WIRE(Nonce), Bytes{"nonce"});
}

template <class Visitor>
void visit(Visitor& v, As<Visitor, PairPending>& m) {
  using W = wire::PairPending;
  v(m.seconds_left, WIRE(SecondsLeft), Any{});
}

#undef WIRE
#undef WIRE_LIST

// --- the verbs -----------------------------------------------------------------------------------

// Which member of the header's union a message is.
template <class Kind>
struct Verb;

#define VERB(Kind, kMember)                                           \
  template <>                                                         \
  struct Verb<Kind> {                                                 \
    static constexpr const char* kName = #Kind;                       \
    static constexpr auto kWhich = wire::Header::kMember;             \
    static constexpr auto kGet = &wire::Header::Reader::get##Kind;    \
    static constexpr auto kInit = &wire::Header::Builder::init##Kind; \
  }

VERB(Hello, HELLO);
VERB(Welcome, WELCOME);
VERB(Refusal, REFUSAL);
VERB(Assignment, ASSIGNMENT);
VERB(Residency, RESIDENCY);
VERB(Compute, COMPUTE);
VERB(Partial, PARTIAL);
VERB(Heartbeat, HEARTBEAT);
VERB(Goodbye, GOODBYE);
VERB(FetchManifest, FETCH_MANIFEST);
VERB(FetchGrain, FETCH_GRAIN);
VERB(BulkData, BULK_DATA);
VERB(JoinRequest, JOIN_REQUEST);
VERB(JoinAccept, JOIN_ACCEPT);
VERB(Roster, ROSTER);
VERB(SourceReport, SOURCE_REPORT);
VERB(HealthReport, HEALTH_REPORT);
VERB(DeviceSpeed, DEVICE_SPEED);
VERB(PairRequest, PAIR_REQUEST);
VERB(PairChallenge, PAIR_CHALLENGE);
VERB(PairReveal, PAIR_REVEAL);
VERB(PairPending, PAIR_PENDING);

#undef VERB

}  // namespace potluck::fields
