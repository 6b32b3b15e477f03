// What stands on the wire: the bytes of every sample have committed digests, and the samples set
// every field that the schema has.
#include <algorithm>
#include <set>

#include <capnp/dynamic.h>
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include "engine/base/hash.h"
#include "protocol/codec.h"
#include "protocol/schema/wire.capnp.h"
#include "tests/unit/protocol/sample_messages.h"
#include "tests/unit/protocol/wire_digests.h"

namespace potluck {
namespace {

TEST(WireFormat, TheBytesOfEveryMessageAreThoseOfTheCommittedDigests) {
  std::vector<Message> samples = sample_messages();
  for (size_t i = 0; i < samples.size(); ++i) {
    std::string name = message_name(samples[i]);
    std::string digest = sha256(encode_header(samples[i])).hex();
    std::string row = "{\"" + name + "\", \"" + digest + "\"},";
    ASSERT_LT(i, std::size(test::kWireDigests)) << row;
    EXPECT_EQ(name, test::kWireDigests[i].message) << "sample " << i << ": " << row;
    EXPECT_EQ(digest, test::kWireDigests[i].digest) << "sample " << i << ": " << row;
  }
  EXPECT_EQ(samples.size(), std::size(test::kWireDigests));
}

// --- fields of the schema, by paths such as "Roster.peers.key" ---

using Paths = std::set<std::string>;

std::string path_of(const std::string& parent, capnp::StructSchema::Field field) {
  return parent + "." + field.getProto().getName().cStr();
}

bool lists_structs(capnp::Type type) {
  return type.isList() && type.asList().getElementType().isStruct();
}

void add_schema(const std::string& parent, capnp::StructSchema schema, Paths* paths) {
  for (auto field : schema.getFields()) {
    std::string path = path_of(parent, field);
    paths->insert(path);
    if (lists_structs(field.getType())) {
      add_schema(path, field.getType().asList().getStructElementType(), paths);
    }
  }
}

bool is_set(capnp::DynamicStruct::Reader in, capnp::StructSchema::Field field) {
  if (!in.has(field, capnp::HasMode::NON_DEFAULT)) return false;
  auto value = in.get(field);
  switch (value.getType()) {
    case capnp::DynamicValue::TEXT:
      return value.as<capnp::Text>().size() != 0;
    case capnp::DynamicValue::DATA:
      return value.as<capnp::Data>().size() != 0;
    case capnp::DynamicValue::LIST:
      return value.as<capnp::DynamicList>().size() != 0;
    default:
      return true;
  }
}

void add_set(const std::string& parent, capnp::DynamicStruct::Reader in, Paths* paths) {
  for (auto field : in.getSchema().getFields()) {
    if (!is_set(in, field)) continue;
    std::string path = path_of(parent, field);
    paths->insert(path);
    if (!lists_structs(field.getType())) continue;
    for (auto element : in.get(field).as<capnp::DynamicList>()) {
      add_set(path, element.as<capnp::DynamicStruct>(), paths);
    }
  }
}

// A field without a row in protocol/message_fields.h would stay unset, as one that no sample has.
TEST(WireFormat, SamplesSetEveryFieldOfTheSchema) {
  Paths known;
  for (auto kind : capnp::Schema::from<wire::Header>().getUnionFields()) {
    add_schema(kind.getProto().getName().cStr(), kind.getType().asStruct(), &known);
  }
  Paths set;
  for (const Message& message : sample_messages()) {
    ByteVector header = encode_header(message);
    std::vector<capnp::word> words(header.size() / sizeof(capnp::word));
    std::memcpy(words.data(), header.data(), header.size());
    capnp::FlatArrayMessageReader reader(kj::arrayPtr(words.data(), words.size()));
    auto root = capnp::DynamicStruct::Reader(reader.getRoot<wire::Header>());
    KJ_IF_MAYBE (kind, root.which()) {
      add_set(kind->getProto().getName().cStr(), root.get(*kind).as<capnp::DynamicStruct>(), &set);
    }
  }
  Paths unset;
  std::set_difference(known.begin(), known.end(), set.begin(), set.end(),
                      std::inserter(unset, unset.end()));
  for (const std::string& path : unset) ADD_FAILURE() << path << " is set in no sample";
  EXPECT_GE(known.size(), 80u);
}

}  // namespace
}  // namespace potluck
