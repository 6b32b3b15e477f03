@0xd3b1a5f07c9e4a61;
# The wire: headers of all messages between devices. A message is two frames; this is the first of
# them, always one unpacked segment. The second is a raw tensor frame (activations, packed sums or
# bulk bytes; often empty), kept out of the header so that it is neither copied nor counted twice.
#
# Rules. The verb set is closed. Shapes are stated only to be compared with the manifest. Lists are
# flat columns of plain numbers: compact, and quick to walk. Fields are only ever added at the end
# of a struct; a change of meaning raises protocolVersion. Every bound is in engine/base/limits.h,
# stands in the field's row in protocol/message_fields.h, and is checked before a value is used. The
# values of enums stand beside the enums of protocol/message.h and kernels/block_format.h, in the
# same order.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("potluck::wire");

struct Header {
  union {
    # Both directions of the compute channel.
    hello         @0  :Hello;
    welcome       @1  :Welcome;
    refusal       @2  :Refusal;      # also on the join channel; from a worker: what it cannot hold
    assignment    @3  :Assignment;
    residency     @4  :Residency;
    compute       @5  :Compute;
    partial       @6  :Partial;
    heartbeat     @7  :Heartbeat;
    goodbye       @8  :Goodbye;
    # Bulk channel, to the coordinator and between workers.
    fetchManifest @9  :FetchManifest;
    fetchGrain    @10 :FetchGrain;
    bulkData      @11 :BulkData;
    # Join channel.
    joinRequest   @12 :JoinRequest;
    joinAccept    @13 :JoinAccept;
    # Compute channel again: delivery from worker to worker.
    roster        @14 :Roster;
    sourceReport  @15 :SourceReport;
    healthReport  @16 :HealthReport;
    deviceSpeed   @17 :DeviceSpeed;
    # Join channel again: a device without an invitation.
    pairRequest   @18 :PairRequest;
    pairChallenge @19 :PairChallenge;
    pairReveal    @20 :PairReveal;
    pairPending   @21 :PairPending;
  }
}

struct Hello {
  protocolVersion   @0 :UInt32;  # compared by the receiver, who answers with a Refusal
  arithmeticVersion @1 :UInt32;  # docs/ARITHMETIC.md, 10; must be equal on both sides
  selfTest          @2 :Data;    # 32 zeros; until version 2 one digest of all kernels together
  name              @3 :Text;    # for people
  software          @4 :Text;    # for people: version and instruction set
  ramBytes          @5 :UInt64;  # budget of the expert cache
  diskBytes         @6 :UInt64;  # quota of the store
  bulkEndpoint      @7 :Text;    # where other workers may fetch grains from this one; empty: nowhere
  # What the kernels of this worker compute, part by part. The receiver compares those that the model
  # needs; parts ascend, and it need not know all of them.
  kernels           @8 :List(KernelDigest);
}

struct KernelDigest {
  part   @0 :UInt32;  # a format by its GGUF number, or a function: see engine/kernels/self_test.h
  digest @1 :Data;    # 32 bytes: SHA-256 of its results on fixed inputs
}

struct Welcome {
  epoch         @0 :UInt64;  # names this life of the coordinator
  workerNumber  @1 :UInt32;
  manifest      @2 :Data;    # 32 bytes: SHA-256 of the manifest to fetch
  manifestBytes @3 :UInt64;
  heartbeatMs   @4 :UInt32;  # how often to say something
}

enum RefusalReason {
  version     @0;
  arithmetic  @1;
  manifest    @2;
  invitation  @3;
  full        @4;
  protocol    @5;
}

struct Refusal {
  reason  @0 :RefusalReason;
  message @1 :Text;  # for people
}

# Units are written as three numbers each: layer, expert, slice, layer, expert, slice, ...

struct Assignment {
  epoch   @0 :UInt64;
  version @1 :UInt64;        # grows with every assignment to this worker
  slices  @2 :UInt32;        # how many slices an expert is cut into
  units   @3 :List(UInt16);  # all units to hold from now on
  # Who else has them on disk: a hint, they may have dropped some.
  roster       @4 :UInt64;        # version of the roster that the indices below refer to
  holderCounts @5 :List(UInt8);   # one per unit, how many of the indices below belong to it; or empty
  holders      @6 :List(UInt16);  # indices into the roster, unit after unit
}

struct Residency {
  epoch   @0 :UInt64;
  version @1 :UInt64;        # of the assignment that this is about
  ready   @2 :List(UInt16);  # units that became ready to compute
  lost    @3 :List(UInt16);  # units that cannot be computed any more
  roomBytes @4 :UInt64 = 0xffffffffffffffff;  # what the store can hold for this pool at present
  text      @5 :Text;        # for people: why it is less
}

enum ActivationForm {
  f32         @0;
  q8Block32   @1;
  q8Block256  @2;
}

# The name of a piece of work, repeated in the answer: fields epoch, request, layer and attempt.

struct Compute {
  epoch             @0  :UInt64;
  request           @1  :UInt64;         # never reused within an epoch
  layer             @2  :UInt32;
  attempt           @3  :UInt32;
  arithmeticVersion @4  :UInt32;
  slices            @5  :UInt32;
  form              @6  :ActivationForm; # of the tensor frame
  columns           @7  :UInt32;         # values in a row; compared with the manifest
  # One entry per row:
  fractionBits      @8  :List(Int32);    # F: sums are in units of 2^-F
  callCounts        @9  :List(UInt16);   # how many of the calls below belong to the row, >= 1
  # One entry per call, rows one after the other:
  experts           @10 :List(UInt16);
  unitSlices        @11 :List(UInt8);
  weights           @12 :List(Float32);  # the router's gate weights
  # Units that the next layer is likely to need; a hint.
  prefetch          @13 :List(UInt16);
}

enum PartialStatus {
  ok          @0;
  missing     @1;
  badRequest  @2;
  stale       @3;
}

struct Partial {
  epoch             @0  :UInt64;
  request           @1  :UInt64;
  layer             @2  :UInt32;
  attempt           @3  :UInt32;
  arithmeticVersion @4  :UInt32;
  status            @5  :PartialStatus;
  rowFlags          @6  :List(Bool);    # one per row: an addend left its range
  lost              @7  :List(UInt16);  # units, with status `missing`
  computeNs         @8  :UInt64;        # timings, measured by the worker
  diskNs            @9  :UInt64;
  diskBytes         @10 :UInt64;
  cacheHits         @11 :UInt32;
  cacheMisses       @12 :UInt32;
  checksum          @13 :UInt64;        # XXH3 of the work's name, the row flags and the tensor frame
  text              @14 :Text;          # for people, when the status is not ok
  # What became of units to prefetch, since the last answer:
  prefetchedBytes      @15 :UInt64;        # read ahead of time
  prefetchesUsed       @16 :UInt32;        # grains read ahead and then wanted
  prefetchesWasted     @17 :UInt32;        # grains read ahead and dropped without having been wanted
}

struct Heartbeat {
  epoch       @0 :UInt64;
  sequence    @1 :UInt64;
  replyWanted @2 :Bool;
}

struct Goodbye {
  epoch    @0 :UInt64;
  text     @1 :Text;  # for people
  handOver @2 :Bool;  # from a worker: it stays until others have its units, or its patience ends
}

# A request asks for one part: bytes [offset, offset + length) of the whole, cut off at its end. It is
# answered by one BulkData. A receiver asks for the parts of one whole in ascending order; a request
# replaces those for the same or later parts of it that were not answered yet.

struct FetchManifest {
  manifest @0 :Data;    # 32 bytes
  offset   @1 :UInt64;
  length   @2 :UInt32;  # at least 1
}

struct FetchGrain {
  digest @0 :Data;    # 32 bytes; decides what is sent
  layer  @1 :UInt16;  # where the grain stands in the model
  expert @2 :UInt16;
  grain  @3 :UInt16;
  offset @4 :UInt64;
  length @5 :UInt32;  # at least 1
}

struct BulkData {
  digest    @0 :Data;    # 32 bytes: what was asked for
  found     @1 :Bool;
  offset    @2 :UInt64;  # of the tensor frame within the whole
  total     @3 :UInt64;  # bytes of the whole
  signature @4 :Data;    # 64 bytes (Ed25519) with manifests, else empty
}

struct JoinRequest {
  secret @0 :Data;  # 32 bytes, from the invitation; zeros: a member asks where the other channels are
  name   @1 :Text;  # for people
}

struct JoinAccept {
  computeEndpoint @0 :Text;  # "tcp://HOST:PORT", by the network that the worker came by
  bulkEndpoint    @1 :Text;
  signingKey      @2 :Data;  # 32 bytes (Ed25519): signs manifests; or empty
  places          @3 :List(PoolPlace);  # all ways to this coordinator, the most likely first
}

struct PairRequest {
  commitment @0 :Data;  # 32 bytes: SHA-256 of a text, both keys and the nonce (docs/PROTOCOL.md)
  name       @1 :Text;  # of the device, for people
}

struct PairChallenge {
  nonce @0 :Data;  # 32 bytes, the coordinator's
  name  @1 :Text;  # of the coordinator, for people
}

struct PairReveal {
  nonce @0 :Data;  # 32 bytes, the device's: what it committed itself to
}

struct PairPending {
  secondsLeft @0 :UInt32;  # until the coordinator forgets the device
}

# The three channels by one address: "tcp://HOST:PORT" each.
struct PoolPlace {
  join    @0 :Text;
  compute @1 :Text;
  bulk    @2 :Text;
}

# The other workers of the pool: who may fetch grains here, and where to fetch them. All of them; the
# receiver is not among them.
struct Roster {
  epoch   @0 :UInt64;
  version @1 :UInt64;            # grows with every roster of an epoch
  peers   @2 :List(RosterPeer);
}

struct RosterPeer {
  key          @0 :Data;  # 32 bytes
  bulkEndpoint @1 :Text;  # "tcp://HOST:PORT"; empty: it serves no peers
  name         @2 :Text;  # for people
}

# Where the grains of a worker came from, in totals since it was started: repeating the report
# changes nothing.
struct SourceReport {
  epoch            @0 :UInt64;
  coordinatorBytes @1 :UInt64;
  fileBytes        @2 :UInt64;            # cut from a model file of its own
  peers            @3 :List(PeerSource);
}

struct PeerSource {
  key   @0 :Data;    # 32 bytes
  bytes @1 :UInt64;
  bad   @2 :Bool;    # it sent bytes that were not those of the grain that was asked for
}

# How much of its speed a worker lends at present, and why: the last one said holds. Sent when it has
# changed and after every Welcome.
struct HealthReport {
  epoch          @0 :UInt64;
  share          @1 :UInt8;          # percent; 0: the work is to go to others, as soon as they are ready
  text           @2 :Text;           # for people: why it is less than 100
  batteryPercent @3 :UInt8 = 255;    # 255: no battery, or not known
  onBattery      @4 :Bool;
  celsius        @5 :Int16 = -1000;  # of the processor; -1000: not known
  pauseSeconds   @6 :UInt32;         # in so many seconds it lends nothing any more; 0: no pause is coming, or it is there
  # What the device uses of itself; 0: not said.
  cacheBytes     @7 :UInt64;         # memory that experts can have at present, where that is less than Hello offered
  writtenBytes   @8 :UInt64;         # to its disk, since its store was made
  writtenToday   @9 :UInt64;         # of these, since midnight (UTC)
  writesPerDay   @10 :UInt64;        # what its owner allows; 0: any
  milliwatts     @11 :UInt32;        # that it takes while it works
}

# How fast a worker measured itself to be; 0 where it does not know. Each report replaces the last one.
struct DeviceSpeed {
  epoch              @0 :UInt64;
  threads            @1 :UInt32;
  diskBytesPerSecond @2 :UInt64;             # reading grains, as many at a time as the disk wants
  products           @3 :List(ProductSpeed); # formats ascend
}

struct ProductSpeed {
  format   @0 :UInt32;  # by its GGUF number
  oneRow   @1 :UInt64;  # bytes of weights a second
  manyRows @2 :UInt64;  # the same, counted for every row
}
