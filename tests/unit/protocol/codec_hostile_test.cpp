// Headers that no honest peer sends: cut, altered, or well-formed with fields out of range.
#include <functional>
#include <limits>

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "protocol/codec.h"
#include "protocol/schema/wire.capnp.h"
#include "tests/unit/protocol/sample_messages.h"

namespace potluck {
namespace {

// Decoding must not crash, and what is accepted must keep to the limits.
void expect_harmless(ByteSpan header) {
  auto decoded = decode_header(header);
  if (decoded.ok()) {
    EXPECT_EQ(broken_limit(*decoded), "");
    return;
  }
  bool expected_code =
      decoded.error().code == ErrorCode::kCorrupt || decoded.error().code == ErrorCode::kLimit;
  EXPECT_TRUE(expected_code) << decoded.error().message;
}

// The samples without the very large ones, so that every byte of each can be tried.
std::vector<ByteVector> small_headers() {
  std::vector<ByteVector> headers;
  for (const Message& message : sample_messages()) {
    ByteVector header = encode_header(message);
    if (header.size() <= 16 * 1024) headers.push_back(header);
  }
  return headers;
}

TEST(CodecHostile, EveryTruncationIsRefused) {
  for (const ByteVector& header : small_headers()) {
    for (size_t size = 0; size < header.size(); ++size) {
      auto decoded = decode_header(ByteSpan(header).first(size));
      ASSERT_FALSE(decoded.ok()) << size << " of " << header.size();
      ASSERT_EQ(decoded.error().code, ErrorCode::kCorrupt);
    }
  }
}

TEST(CodecHostile, TruncationsWithAnHonestLengthAreHarmless) {
  for (ByteVector header : small_headers()) {
    while (header.size() > 16) {
      header.resize(header.size() - 8);
      store(header.data() + 4, static_cast<uint32_t>(header.size() / 8 - 1));
      expect_harmless(header);
    }
  }
}

TEST(CodecHostile, AnythingBehindTheMessageIsRefused) {
  ByteVector header = encode_header(Heartbeat{});
  header.resize(header.size() + 8);
  auto decoded = decode_header(header);
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code, ErrorCode::kCorrupt);
}

TEST(CodecHostile, OversizedHeadersAreRefusedUnread) {
  ByteVector header(limits::kHeaderBytes + 8);
  auto decoded = decode_header(header);
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code, ErrorCode::kCorrupt);
}

TEST(CodecHostile, ConstantBytesAreRefused) {
  for (int value = 0; value < 256; ++value) {
    for (size_t words = 0; words < 20; ++words) {
      ByteVector header(words * 8, static_cast<std::byte>(value));
      auto decoded = decode_header(header);
      EXPECT_FALSE(decoded.ok());
    }
  }
}

TEST(CodecHostile, EverySingleBitFlipIsHarmless) {
  for (ByteVector header : small_headers()) {
    if (header.size() > 1024) continue;
    for (size_t bit = 0; bit < header.size() * 8; ++bit) {
      header[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      expect_harmless(header);
      header[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    }
  }
}

TEST(CodecHostile, RandomAlterationsAreHarmless) {
  constexpr uint64_t kSeed = 20240611;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  CounterRandom random(kSeed);
  std::vector<ByteVector> headers = small_headers();
  for (uint64_t round = 0; round < 20000; ++round) {
    ByteVector header = headers[random.bits(round) % headers.size()];
    uint64_t alterations = 1 + random.bits(round, 1) % 8;
    for (uint64_t a = 0; a < alterations; ++a) {
      // Pointers and sizes stand at the front: most alterations go there.
      uint64_t range = random.bits(round, 10 * a + 2) % 2 == 0 ? 64 : header.size();
      size_t at = random.bits(round, 10 * a + 3) % std::min<uint64_t>(range, header.size());
      header[at] = static_cast<std::byte>(random.bits(round, 10 * a + 4) & 0xff);
    }
    expect_harmless(header);
  }
}

// --- well-formed, but out of range ---------------------------------------------------------------

using Build = std::function<void(wire::Header::Builder)>;

ByteVector header_of(const Build& build) {
  capnp::MallocMessageBuilder builder(1 << 19);
  build(builder.initRoot<wire::Header>());
  auto words = capnp::messageToFlatArray(builder);
  auto bytes = words.asBytes();
  ByteVector header(bytes.size());
  std::memcpy(header.data(), bytes.begin(), bytes.size());
  return header;
}

void expect_field_refused(const char* field, ErrorCode code, const Build& build) {
  SCOPED_TRACE(field);
  auto decoded = decode_header(header_of(build));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code, code) << decoded.error().message;
  EXPECT_NE(decoded.error().message.find(field), std::string::npos) << decoded.error().message;
}

void set_numbers(capnp::List<uint16_t>::Builder list, std::initializer_list<uint16_t> numbers) {
  uint32_t i = 0;
  for (uint16_t number : numbers) list.set(i++, number);
}

// A Compute with one row and two calls that decodes.
wire::Compute::Builder valid_compute(wire::Header::Builder root) {
  auto compute = root.initCompute();
  compute.setArithmeticVersion(kArithmeticVersion);
  compute.setSlices(2);
  compute.setColumns(64);
  compute.initFractionBits(1);
  set_numbers(compute.initCallCounts(1), {2});
  compute.initExperts(2);
  compute.initUnitSlices(2);
  compute.initWeights(2);
  return compute;
}

wire::Partial::Builder valid_partial(wire::Header::Builder root) {
  auto partial = root.initPartial();
  partial.setArithmeticVersion(kArithmeticVersion);
  return partial;
}

using Root = wire::Header::Builder;
constexpr ErrorCode kCorrupt = ErrorCode::kCorrupt;
constexpr ErrorCode kLimit = ErrorCode::kLimit;

TEST(CodecHostile, TheStartingPointsOfTheseTestsAreValid) {
  EXPECT_TRUE(decode_header(header_of([](Root r) { valid_compute(r); })).ok());
  EXPECT_TRUE(decode_header(header_of([](Root r) { valid_partial(r); })).ok());
}

TEST(CodecHostile, ComputeScalarsOutOfRange) {
  expect_field_refused("arithmetic version", kCorrupt, [](Root r) {
    valid_compute(r).setArithmeticVersion(kArithmeticVersion + 1);
  });
  expect_field_refused("layer", kLimit, [](Root r) { valid_compute(r).setLayer(limits::kLayers); });
  expect_field_refused("slices", kCorrupt, [](Root r) { valid_compute(r).setSlices(0); });
  expect_field_refused("slices", kLimit,
                       [](Root r) { valid_compute(r).setSlices(limits::kSlices + 1); });
  expect_field_refused("form", kCorrupt, [](Root r) {
    valid_compute(r).setForm(static_cast<wire::ActivationForm>(3));
  });
  expect_field_refused("columns", kCorrupt, [](Root r) { valid_compute(r).setColumns(0); });
  expect_field_refused("columns", kLimit,
                       [](Root r) { valid_compute(r).setColumns(limits::kHidden + 1); });
  expect_field_refused("columns", kCorrupt, [](Root r) {
    valid_compute(r).setForm(wire::ActivationForm::Q8_BLOCK256);  // and 64 columns
  });
}

TEST(CodecHostile, ComputeColumnsThatDoNotFitEachOther) {
  expect_field_refused("rows", kCorrupt, [](Root r) { valid_compute(r).initCallCounts(0); });
  expect_field_refused("fraction bits", kCorrupt,
                       [](Root r) { valid_compute(r).initFractionBits(2); });
  expect_field_refused("slices", kCorrupt, [](Root r) { valid_compute(r).initUnitSlices(1); });
  expect_field_refused("weights", kCorrupt, [](Root r) { valid_compute(r).initWeights(3); });
  for (uint16_t count : {uint16_t{0}, uint16_t{1}, uint16_t{3}, uint16_t{65535}}) {
    expect_field_refused("calls", kCorrupt,
                         [=](Root r) { valid_compute(r).getCallCounts().set(0, count); });
  }
  expect_field_refused(
      "rows", kLimit, [](Root r) { valid_compute(r).initCallCounts(limits::kRowsPerMessage + 1); });
  expect_field_refused("calls", kLimit,
                       [](Root r) { valid_compute(r).initExperts(limits::kCallsPerMessage + 1); });
}

TEST(CodecHostile, ComputeCallsOutOfRange) {
  expect_field_refused("expert", kLimit,
                       [](Root r) { valid_compute(r).getExperts().set(1, limits::kExperts); });
  expect_field_refused("slice", kLimit, [](Root r) { valid_compute(r).getUnitSlices().set(1, 2); });
  for (float weight :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    expect_field_refused("weight", kCorrupt,
                         [=](Root r) { valid_compute(r).getWeights().set(0, weight); });
  }
  for (int32_t bits : {kMinFractionBits - 1, kMaxFractionBits + 1,
                       std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()}) {
    expect_field_refused("fraction bits", kCorrupt,
                         [=](Root r) { valid_compute(r).getFractionBits().set(0, bits); });
  }
  expect_field_refused("units to prefetch", kLimit, [](Root r) {
    set_numbers(valid_compute(r).initPrefetch(3), {0, 0, 2});
  });
}

TEST(CodecHostile, UnitListsOutOfRange) {
  auto assign = [](Root r, std::initializer_list<uint16_t> numbers) {
    auto assignment = r.initAssignment();
    assignment.setSlices(4);
    set_numbers(assignment.initUnits(static_cast<uint32_t>(numbers.size())), numbers);
  };
  EXPECT_TRUE(decode_header(header_of([&](Root r) { assign(r, {1023, 4095, 3}); })).ok());
  expect_field_refused("units", kLimit, [&](Root r) { assign(r, {1024, 0, 0}); });
  expect_field_refused("units", kLimit, [&](Root r) { assign(r, {0, 4096, 0}); });
  expect_field_refused("units", kLimit, [&](Root r) { assign(r, {0, 0, 4}); });
  expect_field_refused("units", kCorrupt, [&](Root r) { assign(r, {0, 0, 0, 1}); });
  expect_field_refused("slices", kCorrupt, [](Root r) { r.initAssignment(); });
  expect_field_refused("lost", kLimit, [](Root r) {
    set_numbers(r.initResidency().initLost(3), {0, 0, limits::kSlices});
  });
}

TEST(CodecHostile, PartialsOutOfRange) {
  expect_field_refused("status", kCorrupt, [](Root r) {
    valid_partial(r).setStatus(static_cast<wire::PartialStatus>(4));
  });
  expect_field_refused("row flags", kLimit,
                       [](Root r) { valid_partial(r).initRowFlags(limits::kRowsPerMessage + 1); });
  expect_field_refused("text", kLimit,
                       [](Root r) { valid_partial(r).initText(limits::kTextBytes + 1); });
  expect_field_refused("layer", kLimit, [](Root r) { valid_partial(r).setLayer(limits::kLayers); });
  expect_field_refused("arithmetic", kCorrupt,
                       [](Root r) { valid_partial(r).setArithmeticVersion(0); });
}

TEST(CodecHostile, DigestsAndKeysOfOtherLengths) {
  for (uint32_t size : {0u, 31u, 33u}) {
    expect_field_refused("manifest", kCorrupt,
                         [=](Root r) { r.initFetchManifest().initManifest(size); });
    expect_field_refused("commitment", kCorrupt,
                         [=](Root r) { r.initPairRequest().initCommitment(size); });
    expect_field_refused("nonce", kCorrupt, [=](Root r) { r.initPairChallenge().initNonce(size); });
    expect_field_refused("nonce", kCorrupt, [=](Root r) { r.initPairReveal().initNonce(size); });
    expect_field_refused("secret", kCorrupt, [=](Root r) { r.initJoinRequest().initSecret(size); });
    expect_field_refused("digest", kCorrupt, [=](Root r) { r.initFetchGrain().initDigest(size); });
    expect_field_refused("kernel digest", kCorrupt,
                         [=](Root r) { r.initHello().initKernels(1)[0].initDigest(size); });
  }
  expect_field_refused("signature", kCorrupt, [](Root r) {
    auto bulk = r.initBulkData();
    bulk.initDigest(32);
    bulk.initSignature(63);
  });
}

TEST(CodecHostile, KernelDigestsOutOfRange) {
  auto greet = [](Root r, std::initializer_list<uint32_t> parts) {
    auto kernels = r.initHello().initKernels(static_cast<uint32_t>(parts.size()));
    uint32_t i = 0;
    for (uint32_t part : parts) {
      kernels[i].setPart(part);
      kernels[i++].initDigest(32);
    }
  };
  EXPECT_TRUE(decode_header(header_of([&](Root r) { greet(r, {}); })).ok());
  EXPECT_TRUE(decode_header(header_of([&](Root r) { greet(r, {0, 12, 70000}); })).ok());
  expect_field_refused("kernel digests", kCorrupt, [&](Root r) { greet(r, {12, 12}); });
  expect_field_refused("kernel digests", kCorrupt, [&](Root r) { greet(r, {13, 12}); });
  expect_field_refused("kernel digests", kLimit, [](Root r) {
    auto kernels = r.initHello().initKernels(limits::kKernelDigests + 1);
    for (uint32_t i = 0; i < kernels.size(); ++i) {
      kernels[i].setPart(i);
      kernels[i].initDigest(32);
    }
  });
}

// A greeting of version 2, which had one digest of everything, is read far enough to be told so.
TEST(CodecHostile, AGreetingOfVersion2HasNoKernelDigests) {
  auto message = decode_header(header_of([](Root r) {
    auto hello = r.initHello();
    hello.setProtocolVersion(2);
    hello.initSelfTest(32);
  }));
  ASSERT_TRUE(message.ok());
  const auto& hello = std::get<Hello>(message.value());
  EXPECT_EQ(hello.protocol_version, 2u);
  EXPECT_TRUE(hello.kernels.empty());
}

TEST(CodecHostile, MembershipAndBulkOutOfRange) {
  expect_field_refused("reason", kCorrupt, [](Root r) {
    r.initRefusal().setReason(static_cast<wire::RefusalReason>(6));
  });
  auto bulk = [](Root r, uint64_t offset, uint64_t total) {
    auto data = r.initBulkData();
    data.initDigest(32);
    data.setOffset(offset);
    data.setTotal(total);
  };
  expect_field_refused("total", kLimit, [&](Root r) { bulk(r, 0, limits::kBulkBytes + 1); });
  expect_field_refused("offset", kLimit, [&](Root r) { bulk(r, 11, 10); });
  expect_field_refused("manifest size", kLimit, [](Root r) {
    auto welcome = r.initWelcome();
    welcome.initManifest(32);
    welcome.setManifestBytes(limits::kManifestBytes + 1);
  });
  expect_field_refused("layer", kLimit, [](Root r) {
    auto fetch = r.initFetchGrain();
    fetch.initDigest(32);
    fetch.setLayer(limits::kLayers);
    fetch.setLength(1);
  });
  auto part = [](auto fetch, uint64_t offset, uint32_t length) {
    fetch.setOffset(offset);
    fetch.setLength(length);
  };
  for (auto [field, code, offset, length] :
       {std::tuple("offset", kLimit, uint64_t{limits::kBulkBytes}, 1u),
        std::tuple("length", kLimit, uint64_t{0},
                   static_cast<uint32_t>(limits::kBulkPartBytes + 1)),
        std::tuple("length", kCorrupt, uint64_t{0}, 0u)}) {
    expect_field_refused(field, code, [&, offset = offset, length = length](Root r) {
      auto fetch = r.initFetchManifest();
      fetch.initManifest(32);
      part(fetch, offset, length);
    });
    expect_field_refused(field, code, [&, offset = offset, length = length](Root r) {
      auto fetch = r.initFetchGrain();
      fetch.initDigest(32);
      part(fetch, offset, length);
    });
  }
  for (const char* endpoint : {"", "tcp://", "tcp://a", "tcp://a:0", "tcp://a:65536", "ipc:///x",
                               "tcp://*:5", "tcp://a:5 ", "tcp://a;b:5", "tcp://[::1:5"}) {
    expect_field_refused("compute endpoint", kCorrupt, [=](Root r) {
      auto accept = r.initJoinAccept();
      accept.setComputeEndpoint(endpoint);
      accept.setBulkEndpoint("tcp://a:1");
    });
  }
}

TEST(CodecHostile, PlacesOutOfRange) {
  auto accept = [](Root r, uint32_t places, const char* join, uint32_t key_bytes) {
    auto message = r.initJoinAccept();
    message.setComputeEndpoint("tcp://a:2");
    message.setBulkEndpoint("tcp://a:3");
    message.initSigningKey(key_bytes);
    for (auto place : message.initPlaces(places)) {
      place.setJoin(join);
      place.setCompute("tcp://a:2");
      place.setBulk("tcp://a:3");
    }
  };
  const uint32_t most = limits::kPoolPlaces;
  EXPECT_TRUE(decode_header(header_of([&](Root r) { accept(r, most, "tcp://a:1", 32); })).ok());
  EXPECT_TRUE(decode_header(header_of([&](Root r) { accept(r, 0, "", 0); })).ok());
  expect_field_refused("places", kLimit, [&](Root r) { accept(r, most + 1, "tcp://a:1", 0); });
  expect_field_refused("join endpoint", kCorrupt, [&](Root r) { accept(r, 1, "", 0); });
  expect_field_refused("join endpoint", kCorrupt, [&](Root r) { accept(r, 1, "ipc:///a", 0); });
  expect_field_refused("signing key", kCorrupt, [&](Root r) { accept(r, 0, "", 31); });
}

TEST(CodecHostile, RostersOutOfRange) {
  auto roster = [](Root r, const char* endpoint, uint32_t key_bytes, uint32_t name_bytes) {
    auto peer = r.initRoster().initPeers(1)[0];
    peer.initKey(key_bytes);
    peer.setBulkEndpoint(endpoint);
    peer.initName(name_bytes);
  };
  EXPECT_TRUE(decode_header(header_of([&](Root r) { roster(r, "", 32, 3); })).ok());
  EXPECT_TRUE(decode_header(header_of([&](Root r) { roster(r, "tcp://a:1", 32, 3); })).ok());
  expect_field_refused("peer key", kCorrupt, [&](Root r) { roster(r, "", 31, 3); });
  expect_field_refused("peer key", kCorrupt, [&](Root r) { roster(r, "", 0, 3); });
  expect_field_refused("name", kLimit, [&](Root r) { roster(r, "", 32, limits::kTextBytes + 1); });
  for (const char* endpoint : {"tcp://*:5", "ipc:///x", "tcp://a:0", " "}) {
    expect_field_refused("bulk endpoint", kCorrupt, [&](Root r) { roster(r, endpoint, 32, 3); });
    expect_field_refused("bulk endpoint", kCorrupt, [&](Root r) {
      auto hello = r.initHello();
      hello.setBulkEndpoint(endpoint);
    });
  }
  expect_field_refused("peers", kLimit, [](Root r) {
    auto peers = r.initRoster().initPeers(limits::kWorkers + 1);
    for (auto peer : peers) peer.initKey(32);
  });
}

TEST(CodecHostile, HoldersOutOfRange) {
  struct Lists {
    std::initializer_list<uint8_t> counts;
    std::initializer_list<uint16_t> holders;
  };
  auto assign = [](Root r, const Lists& lists) {
    auto message = r.initAssignment();
    message.setSlices(2);
    set_numbers(message.initUnits(6), {0, 0, 0, 5, 6, 1});
    auto counts = message.initHolderCounts(static_cast<uint32_t>(lists.counts.size()));
    uint32_t i = 0;
    for (uint8_t count : lists.counts) counts.set(i++, count);
    set_numbers(message.initHolders(static_cast<uint32_t>(lists.holders.size())), lists.holders);
  };
  auto accepted = [&](const Lists& lists) {
    return decode_header(header_of([&](Root r) { assign(r, lists); })).ok();
  };
  EXPECT_TRUE(accepted({{}, {}}));
  EXPECT_TRUE(accepted({{0, 2}, {0, limits::kWorkers - 1}}));
  auto refused = [&](const char* field, ErrorCode code, const Lists& lists) {
    expect_field_refused(field, code, [&](Root r) { assign(r, lists); });
  };
  refused("holder counts", kCorrupt, {{0}, {}});
  refused("holder counts", kCorrupt, {{1, 0, 0}, {0}});
  refused("count of holders", kCorrupt, {{2, 0}, {0}});
  refused("count of holders", kCorrupt, {{0, 0}, {0}});
  refused("count of holders", kCorrupt, {{}, {0}});
  refused("holders of a unit", kLimit, {{9, 0}, {0, 0, 0, 0, 0, 0, 0, 0, 0}});
  refused("holder", kLimit, {{1, 0}, {limits::kWorkers}});
}

TEST(CodecHostile, SourceReportsOutOfRange) {
  for (uint32_t size : {0u, 31u, 33u}) {
    expect_field_refused("peer key", kCorrupt,
                         [=](Root r) { r.initSourceReport().initPeers(1)[0].initKey(size); });
  }
  expect_field_refused("peers", kLimit, [](Root r) {
    r.initSourceReport().initPeers(limits::kSourcesPerReport + 1);
  });
}

TEST(CodecHostile, AShareIsAPercentage) {
  for (const uint8_t share : {uint8_t{101}, uint8_t{255}}) {
    expect_field_refused("share", kLimit, [=](Root r) { r.initHealthReport().setShare(share); });
  }
}

TEST(CodecHostile, DeviceSpeedsOutOfRange) {
  expect_field_refused("product speeds", kLimit, [](Root r) {
    auto products = r.initDeviceSpeed().initProducts(limits::kKernelDigests + 1);
    for (uint32_t i = 0; i < products.size(); ++i) products[i].setFormat(i);
  });
  for (uint32_t second : {7u, 6u}) {
    expect_field_refused("product speeds", kCorrupt, [=](Root r) {
      auto products = r.initDeviceSpeed().initProducts(2);
      products[0].setFormat(7);
      products[1].setFormat(second);
    });
  }
}

TEST(CodecHostile, TextThatATerminalWouldObeyIsCleaned) {
  auto decoded = decode_header(header_of([](Root r) {
    r.initGoodbye().setText("a\x1b[2J\n\x7f\xff\xc0\x80\xed\xa0\x80\xc2\x9b\xc3\xa9");
  }));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(std::get<Goodbye>(*decoded).text, "a?[2J??????????\xc3\xa9");
}

TEST(CodecHostile, TwoSegmentsAreRefused) {
  capnp::MallocMessageBuilder builder(4, capnp::AllocationStrategy::FIXED_SIZE);
  builder.initRoot<wire::Header>().initGoodbye().setText("long enough for a second segment");
  auto words = capnp::messageToFlatArray(builder);
  auto bytes = words.asBytes();
  ByteVector header(bytes.size());
  std::memcpy(header.data(), bytes.begin(), bytes.size());
  auto decoded = decode_header(header);
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code, kCorrupt);
}

TEST(CodecHostile, VerbsOfTheFutureAreRefused) {
  ByteVector header = encode_header(Heartbeat{});
  // Words: prefix, root pointer, then the struct whose first 16 bits are the verb.
  constexpr uint16_t kNext = std::variant_size_v<Message>;
  store(header.data() + 16, kNext);
  auto decoded = decode_header(header);
  ASSERT_FALSE(decoded.ok());
  EXPECT_NE(decoded.error().message.find("unknown verb " + std::to_string(kNext)),
            std::string::npos);
}

}  // namespace
}  // namespace potluck
