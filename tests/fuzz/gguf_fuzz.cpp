// Arbitrary bytes as GGUF files: an error with a message, or a model all of which can be read, and
// whose configuration is refused with a message or could be computed with.
// The first byte says how the rest is opened: even, as one file; odd, as two split files, of which
// the first is as long as the next two bytes say.
#include <algorithm>
#include <string>

#include "engine/base/check.h"
#include "engine/base/memory_storage.h"
#include "engine/gguf/gguf.h"
#include "engine/model/weights.h"
#include "tests/support/gguf_touch.h"

namespace potluck {
namespace {

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
}

void open_single(ByteSpan bytes) {
  MemoryStorage storage;
  CHECK(storage.write_atomic("m.gguf", bytes).ok());
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
    potluck::open_single(bytes);
  } else {
    potluck::open_split(bytes);
  }
  return 0;
}
