// Arbitrary bytes as GGUF files: an error with a message, or a model all of which can be read, and
// whose configuration is refused with a message or could be computed with.
// The first byte says how the rest is opened: even, as one file; odd, as two split files, of which
// the first is as long as the next two bytes say. Of one file, 2 beside it says that zeros follow,
// enough for the tensors of a family's head.
#include <algorithm>
#include <string>

#include "engine/base/check.h"
#include "engine/base/memory_storage.h"
#include "engine/experts/grain_cutter.h"
#include "engine/gguf/gguf.h"
#include "engine/model/weights.h"
#include "tests/support/gguf_touch.h"

namespace potluck {
namespace {

// The first grain of each bank, with its biases and scales.
void cut_first_grains(const GgufModel& model, const std::vector<ExpertBank>& banks) {
  const GrainCutter cutter(model, banks);
  for (const ExpertBank& bank : banks) {
    const GrainId id{static_cast<uint16_t>(bank.layer), 0, 0};
    ByteVector grain(cutter.grain_bytes(id));
    Status cut = cutter.cut(id, grain);
    CHECK(cut.ok() || !cut.error().message.empty());
  }
}

void open_and_touch(MemoryStorage& storage, const std::string& path) {
  auto model = GgufModel::open(storage, path);
  if (!model) {
    CHECK(!model.error().message.empty());
    return;
  }
  test::touch(*model);
  auto config = read_config(*model);
  if (!config) {
    CHECK(!config.error().message.empty());
    return;
  }
  auto weights = measure_weights(*model, *config);
  CHECK(weights.ok() || !weights.error().message.empty());
  auto banks = find_expert_banks(*model, *config);
  if (!banks) {
    CHECK(!banks.error().message.empty());
    return;
  }
  cut_first_grains(*model, *banks);
}

void open_single(ByteSpan bytes, bool with_zeros) {
  constexpr uint64_t kWithZeros = 2 * kMiB;
  MemoryStorage storage;
  CHECK(storage.write_atomic("m.gguf", bytes).ok());
  if (with_zeros && bytes.size() < kWithZeros) {
    auto file = storage.open_writable("m.gguf", WriteMode::kBuffered);
    CHECK(file.ok() && (*file)->resize(kWithZeros).ok());
  }
  open_and_touch(storage, "m.gguf");
}

void open_split(ByteSpan bytes) {
  ByteReader reader(bytes);
  auto length = reader.read<uint16_t>();
  if (!length) return;
  uint64_t first_bytes = std::min<uint64_t>(*length, reader.remaining());
  MemoryStorage storage;
  auto first = reader.take(first_bytes);
  auto second = reader.take(reader.remaining());
  CHECK(storage.write_atomic("m-00001-of-00002.gguf", *first).ok());
  CHECK(storage.write_atomic("m-00002-of-00002.gguf", *second).ok());
  open_and_touch(storage, "m-00001-of-00002.gguf");
}

}  // namespace
}  // namespace potluck

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  potluck::ByteSpan bytes = std::as_bytes(std::span(data, size)).subspan(1);
  if (data[0] % 2 == 0) {
    potluck::open_single(bytes, data[0] % 4 == 2);
  } else {
    potluck::open_split(bytes);
  }
  return 0;
}
