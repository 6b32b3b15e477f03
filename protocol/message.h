// The messages of the protocol as plain values: what the coordinator's and the worker's cores
// speak. The verb set is closed. Everything here has passed the codec's checks against limits.h
// when it comes from a peer; what only the manifest can tell (does this unit exist? is this shape
// right?) the receiver compares with the manifest.
//
//   worker                                coordinator
//     Hello ------------------------------>            who I am, what I can do, my kernels' digests
//          <------------------------------ Welcome     or Refusal: epoch, name of the manifest
//     FetchManifest --(bulk)-------------->            part by part
//          <------------------------------ BulkData
//          <------------------------------ Roster      the other workers: where they serve
//          <------------------------------ Assignment  which units to hold, and who has them
//     FetchGrain --(bulk)----------------->            for every part of a grain that is missing;
//          <------------------------------ BulkData    to other workers first, in the same words
//     SourceReport ----------------------->            where the grains came from
//     HealthReport ----------------------->            how much of its speed it lends, and why
//     DeviceSpeed ------------------------>            how fast it measured itself to be
//     Residency -------------------------->            units that are ready to compute
//          <------------------------------ Compute     one per layer and step, with all its rows
//     Partial ---------------------------->            one answer to each
//     Heartbeat <------------------------>             whenever there was nothing else to say
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/limits.h"
#include "engine/base/signature.h"
#include "engine/experts/product_speed.h"
#include "engine/experts/unit_id.h"
#include "engine/experts/work_counters.h"
#include "engine/kernels/activations.h"
#include "engine/kernels/self_test.h"
#include "protocol/invitation.h"
#include "protocol/join_limits.h"
#include "protocol/keys.h"
#include "protocol/pairing_code.h"

namespace potluck {

inline constexpr uint32_t kProtocolVersion = 3;

struct Hello {
  uint32_t protocol_version = kProtocolVersion;
  uint32_t arithmetic_version = 0;
  std::vector<KernelDigest> kernels;  // kernel_self_test(); parts ascend
  std::string name;                   // for people
  std::string software;               // "potluck 0.1.0, avx2"
  uint64_t ram_bytes = 0;             // budget of the expert cache
  uint64_t disk_bytes = 0;            // quota of the store
  std::string
      bulk_endpoint{};  // where other workers may fetch grains from this one; empty: nowhere

  bool operator==(const Hello&) const = default;
};

struct Welcome {
  uint64_t epoch = 0;  // of this coordinator's life; stands in every later message
  uint32_t worker_number = 0;
  Digest manifest;
  uint64_t manifest_bytes = 0;
  uint32_t heartbeat_ms = 0;

  bool operator==(const Welcome&) const = default;
};

enum class RefusalReason : uint8_t {
  kVersion,
  kArithmetic,
  kManifest,
  kInvitation,
  kFull,
  kProtocol
};

struct Refusal {
  RefusalReason reason = RefusalReason::kProtocol;
  std::string message;

  bool operator==(const Refusal&) const = default;
};

// The units this worker shall hold from now on (all of them: an assignment replaces the last one).
struct Assignment {
  uint64_t epoch = 0;
  uint64_t version = 0;  // grows with every assignment to this worker
  uint32_t slices = 1;   // S: how many slices an expert is cut into
  std::vector<UnitId> units;
  // Who else has them on disk, as indices into the roster of that version: one list per unit, or
  // none at all. A hint: peers may have dropped some.
  uint64_t roster = 0;
  std::vector<std::vector<uint16_t>> holders{};

  bool operator==(const Assignment&) const = default;
};

// Units that became ready since the last Residency, and units that were lost (altered on disk).
struct Residency {
  static constexpr uint64_t kAnyRoom = ~uint64_t{0};

  uint64_t epoch = 0;
  uint64_t version = 0;  // of the assignment that this is about
  std::vector<UnitId> ready;
  std::vector<UnitId> lost;
  // Bytes of units that this worker can hold for the pool at present, where that is less than Hello
  // said: the disk is full or failing, or other pools have taken the room. What does not fit is to
  // go elsewhere. Repeated until it changes.
  uint64_t room_bytes = kAnyRoom;
  std::string text{};  // for people: why it is less

  bool operator==(const Residency&) const = default;
};

// A unit applied to one row.
struct UnitCall {
  uint16_t expert = 0;
  uint16_t slice = 0;
  float weight = 0;

  bool operator==(const UnitCall&) const = default;
};

struct ComputeRow {
  int32_t fraction_bits = 0;
  std::vector<UnitCall> calls;  // at least one

  bool operator==(const ComputeRow&) const = default;
};

// Names one piece of work: a reply must repeat it exactly.
struct WorkId {
  uint64_t epoch = 0;
  uint64_t request = 0;  // one per batch and worker; never reused within an epoch
  uint32_t layer = 0;
  uint32_t attempt = 0;

  auto operator<=>(const WorkId&) const = default;
};

// The tensor frame holds the rows' activations one after the other: for each row f32 values, or
// padded int8 quants followed by f32 scales (activation_wire_bytes()).
struct Compute {
  WorkId work;
  uint32_t slices = 1;
  ActivationForm form = ActivationForm::kF32;
  uint32_t columns = 0;  // compared with the manifest's hidden
  std::vector<ComputeRow> rows;
  std::vector<UnitId> prefetch;  // likely in the next layer: a hint, may be ignored

  bool operator==(const Compute&) const = default;
};

enum class PartialStatus : uint8_t {
  kOk = 0,
  kMissing = 1,     // a unit is not (or no longer) held; `lost` names it; nothing was computed
  kBadRequest = 2,  // the message contradicts the manifest; text says how
  kStale = 3,       // another epoch
};

// The tensor frame holds the packed sums (protocol/packed_sums.h), rows in the order of the
// request.
struct Partial {
  WorkId work;
  PartialStatus status = PartialStatus::kOk;
  std::vector<uint8_t> row_flags;  // one per row: 1 where an addend left its range
  std::vector<UnitId> lost;
  WorkCounters timings;   // measured by the worker; what became of prefetches since its last answer
  uint64_t checksum = 0;  // checksum_of(work, row_flags, tensor frame); computed next to the kernel
  std::string text;       // for people, when status is not kOk

  bool operator==(const Partial&) const = default;
};

struct Heartbeat {
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  bool reply_wanted = false;

  bool operator==(const Heartbeat&) const = default;
};

// The peer leaves on purpose. A worker that hands over first is there until the coordinator says
// Goodbye to it, or its own patience ends: it computes and serves what it holds, and gets nothing
// more.
struct Goodbye {
  uint64_t epoch = 0;
  std::string text;
  bool hand_over = false;  // of a worker: others are to get its units first

  bool operator==(const Goodbye&) const = default;
};

// --- bulk channel: every request asks for one part and is answered by one BulkData. The receiver
// decides how much is under way: it asks for more when something has arrived. Parts of one whole
// are asked for in ascending order; a request replaces unanswered ones for the same or later parts.
struct FetchManifest {
  Digest manifest;
  uint64_t offset = 0;
  uint32_t length = limits::kBulkPartBytes;  // cut off at the end of the whole

  bool operator==(const FetchManifest&) const = default;
};

struct FetchGrain {
  Digest digest;
  GrainId grain;  // where to cut it from; the digest decides
  uint64_t offset = 0;
  uint32_t length = limits::kBulkPartBytes;

  bool operator==(const FetchGrain&) const = default;
};

// The tensor frame holds bytes [offset, offset + frame size) of `total`.
struct BulkData {
  Digest digest;  // what was asked for
  bool found = true;
  uint64_t offset = 0;
  uint64_t total = 0;
  Signature signature{};  // with manifests only

  bool operator==(const BulkData&) const = default;
};

// --- join channel: open to unknown keys ---
struct JoinRequest {
  InvitationSecret secret{};
  std::string name;

  bool operator==(const JoinRequest&) const = default;
};

// The three channels of a coordinator by one of its addresses: "tcp://HOST:PORT" each.
struct PoolPlace {
  std::string join;
  std::string compute;
  std::string bulk;

  bool operator==(const PoolPlace&) const = default;
};

struct JoinAccept {
  std::string compute_endpoint;  // "tcp://HOST:PORT", by the network that the worker came by
  std::string bulk_endpoint;
  SigningPublicKey signing_key{};   // of manifests; zeros: the invitation has it
  std::vector<PoolPlace> places{};  // all ways to this coordinator, the most likely first

  bool operator==(const JoinAccept&) const = default;
};

// A device without an invitation asks to be admitted, and commits itself to a nonce
// (protocol/pairing_code.h).
struct PairRequest {
  Digest commitment;
  std::string name;  // for people

  bool operator==(const PairRequest&) const = default;
};

struct PairChallenge {
  PairNonce nonce{};  // the coordinator's
  std::string name;   // of the coordinator, for people

  bool operator==(const PairChallenge&) const = default;
};

// The nonce that the device had committed itself to. Repeated while it waits: a sign of life.
struct PairReveal {
  PairNonce nonce{};

  bool operator==(const PairReveal&) const = default;
};

// The nonce is the right one, and people are to compare the code. Afterwards a JoinAccept comes, or
// a Refusal.
struct PairPending {
  uint32_t seconds_left = 0;  // until the coordinator forgets the device

  bool operator==(const PairPending&) const = default;
};

// --- delivery from worker to worker; on the compute channel ---
struct RosterPeer {
  PeerKey key;
  std::string bulk_endpoint;  // empty: it serves no peers
  std::string name;           // for people

  bool operator==(const RosterPeer&) const = default;
};

// All other workers of the pool: exactly those that may fetch grains from the receiver.
struct Roster {
  uint64_t epoch = 0;
  uint64_t version = 0;  // grows
  std::vector<RosterPeer> peers;

  bool operator==(const Roster&) const = default;
};

struct PeerSource {
  PeerKey key;
  uint64_t bytes = 0;
  bool bad = false;  // it sent something else than what was asked for

  bool operator==(const PeerSource&) const = default;
};

// Where the grains of this worker came from, in totals since it was started.
struct SourceReport {
  uint64_t epoch = 0;
  uint64_t coordinator_bytes = 0;
  uint64_t file_bytes = 0;  // cut from a model file of its own
  std::vector<PeerSource> peers;

  bool operator==(const SourceReport&) const = default;
};

// What a device uses of itself, as far as it says so; 0: not said.
struct DeviceUse {
  uint64_t cache_bytes = 0;     // memory that experts can have at present, if less than it offered
  uint64_t written_bytes = 0;   // to its disk, since its store was made
  uint64_t written_today = 0;   // of these, since midnight (UTC)
  uint64_t writes_per_day = 0;  // what its owner allows; 0: any
  uint32_t milliwatts = 0;      // that it takes while it works

  bool operator==(const DeviceUse&) const = default;
};

// How much of its speed this worker lends at present, and why: the last one said holds.
struct HealthReport {
  static constexpr uint8_t kNoBattery = 255;  // or its charge is not known
  static constexpr int16_t kNoThermometer = -1000;

  uint64_t epoch = 0;
  uint8_t share = 100;  // percent; 0: the work is to go to others, as soon as they are ready
  std::string text;     // for people: why it is less than 100
  uint8_t battery_percent = kNoBattery;
  bool on_battery = false;
  int16_t celsius = kNoThermometer;  // of the processor
  // It will lend nothing any more in so many seconds; 0: no pause is coming, or it is there. Told
  // beforehand, so that others have its units when it comes.
  uint32_t pause_seconds = 0;
  DeviceUse use{};

  bool operator==(const HealthReport&) const = default;
};

// How fast a worker measured itself to be, for placement. Only its own word: what it then does is
// measured by the coordinator.
struct DeviceSpeed {
  uint64_t epoch = 0;
  uint32_t threads = 0;                  // 0: not said
  uint64_t disk_bytes_per_second = 0;    // 0: not known
  std::vector<ProductSpeed> products{};  // formats ascend

  bool operator==(const DeviceSpeed&) const = default;
};

using Message = std::variant<Hello, Welcome, Refusal, Assignment, Residency, Compute, Partial,
                             Heartbeat, Goodbye, FetchManifest, FetchGrain, BulkData, JoinRequest,
                             JoinAccept, Roster, SourceReport, HealthReport, DeviceSpeed,
                             PairRequest, PairChallenge, PairReveal, PairPending>;

const char* message_name(const Message& message);

}  // namespace potluck
