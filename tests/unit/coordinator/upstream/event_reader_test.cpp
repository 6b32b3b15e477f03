// Server-sent events out of bytes, however they are cut.
#include "coordinator/upstream/event_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace potluck {
namespace {

using testing::ElementsAre;

std::vector<std::string> events_of(std::string_view bytes, size_t piece) {
  std::vector<std::string> events;
  EventReader reader;
  while (!bytes.empty()) {
    const Status taken = reader.push(
        bytes.substr(0, piece), [&](std::string_view name, std::string_view data) -> Status {
          events.push_back(std::string(name) + "|" + std::string(data));
          return {};
        });
    EXPECT_TRUE(taken.ok());
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  return events;
}

TEST(EventReader, TellsWholeEventsHoweverTheBytesAreCut) {
  const std::string bytes =
      ": comment\n\ndata: one\n\nevent: ping\ndata:two\r\ndata: three\r\n\r\nid: 7\nretry: 1\n\n"
      "data\n\ndata: cut";
  for (size_t piece : {1U, 2U, 3U, 7U, 1000U}) {
    EXPECT_THAT(events_of(bytes, piece), ElementsAre("|one", "ping|two\nthree", "|"));
  }
}

TEST(EventReader, AnEventHasABound) {
  const std::string piece(EventReader::kMostEventBytes / 4, 'x');
  for (const bool lines : {false, true}) {
    EventReader reader;
    Status taken;
    for (int i = 0; i < 8 && taken.ok(); ++i) {
      taken = reader.push(lines ? "data: " + piece + "\n" : piece,
                          [](std::string_view, std::string_view) { return Status(); });
    }
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().code, ErrorCode::kLimit);
  }
}

TEST(EventReader, EndsWithTheTakersError) {
  EventReader reader;
  int told = 0;
  const Status taken =
      reader.push("data: 1\n\ndata: 2\n\n", [&](std::string_view, std::string_view) -> Status {
        ++told;
        return Error{ErrorCode::kCorrupt, "no"};
      });
  EXPECT_FALSE(taken.ok());
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace potluck
