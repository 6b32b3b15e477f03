// The trace of one request: what stands in it, and that spans nest.
#include "coordinator/runtime/request_trace.h"

#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "engine/template/json.h"
#include "tests/support/faulty_storage.h"

namespace potluck {
namespace {

using std::chrono::microseconds;

// Every call takes a known time.
class SlowExecutor final : public ExpertExecutor {
 public:
  explicit SlowExecutor(ManualClock& clock) : clock_(clock) {}
  Ticket submit(const ExpertBatch&, ExpertSums*) override {
    clock_.advance(microseconds(5));
    return 1;
  }
  std::optional<Status> take_completed(Ticket) override { return Status(); }
  void turn(Duration) override { clock_.advance(microseconds(70)); }
  void cancel(Ticket) override {}

 private:
  ManualClock& clock_;
};

double number(const JsonValue& value) {
  if (const auto* whole = std::get_if<int64_t>(&value.data)) return static_cast<double>(*whole);
  return std::get<double>(value.data);
}

const JsonValue& field(const JsonValue& object, const std::string& name) {
  for (const auto& [key, value] : *object.object()) {
    if (key == name) return value;
  }
  ADD_FAILURE() << name << " is missing";
  return object;
}

TEST(RequestTrace, EveryLayerOfAStepIsThereAndSpansNest) {
  MemoryStorage storage;
  ManualClock clock;
  SlowExecutor executor(clock);
  {
    auto file = TraceFile::open(storage, "trace.json");
    ASSERT_TRUE(file.ok());
    RequestTrace trace(executor, nullptr, clock, std::move(*file));
    clock.advance(microseconds(1000));  // nothing of a layer
    trace.on_residual(0, ResidualPoint::kEmbedding, 0, {});
    for (uint32_t layer = 0; layer < 3; ++layer) {
      clock.advance(microseconds(20));
      ExpertBatch batch;
      batch.layer = layer;
      ExpertSums sums;
      auto ticket = trace.submit(batch, &sums);
      trace.turn(microseconds(70));
      ASSERT_TRUE(trace.take_completed(ticket).has_value());
    }
    ASSERT_TRUE(trace.finish().ok());
  }
  auto bytes = read_file(storage, "trace.json", 1 << 20);
  ASSERT_TRUE(bytes.ok());
  auto parsed = parse_json(as_text(*bytes));
  ASSERT_TRUE(parsed.ok()) << as_text(*bytes);
  std::map<std::string, int> names;
  double start = 0;
  double parts = 0;
  for (const JsonValue& event : *parsed->array()) {
    if (*field(event, "ph").text() != "X") continue;
    const std::string& name = *field(event, "name").text();
    ++names[name];
    double duration = number(field(event, "dur"));
    if (name == "attention") {
      EXPECT_EQ(duration, 20);
      start = number(field(event, "ts"));
    }
    if (name == "layer") {
      EXPECT_EQ(number(field(event, "ts")), start);
      EXPECT_EQ(duration, parts) << "what it encloses fills it";
      parts = 0;
    } else {
      parts += duration;
    }
  }
  const std::map<std::string, int> expected = {
      {"attention", 3}, {"dispatch", 3}, {"shared", 3}, {"wait", 3}, {"layer", 3}};
  EXPECT_EQ(names, expected);
}

TEST(RequestTrace, AFolderThatIsNotThereIsAnError) {
  MemoryStorage storage;
  EXPECT_FALSE(TraceFile::open(storage, "no/such/folder/trace.json").ok());
}

TEST(RequestTrace, AFullDiskIsAnErrorInTheEnd) {
  MemoryStorage memory;
  test::FaultyStorage storage(memory);
  auto file = TraceFile::open(storage, "trace.json");
  ASSERT_TRUE(file.ok());
  storage.fail_writes("trace.json", 1);
  (*file)->name_process(1, "coordinator");
  EXPECT_FALSE((*file)->finish().ok());
}

}  // namespace
}  // namespace potluck
