#include "tests/unit/engine/kernels/quant_fixture.h"

#include "engine/base/limits.h"
#include "engine/base/storage.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

constexpr uint32_t kTextValue = 8;  // the only kind of metadata in this file

uint64_t next(ByteReader& reader) {
  return reader.read<uint64_t>().value();
}

std::string next_text(ByteReader& reader) {
  uint64_t length = next(reader);
  return std::string(as_text(reader.take(length).value()));
}

void skip_metadata(ByteReader& reader, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    next_text(reader);
    CHECK(reader.read<uint32_t>().value() == kTextValue);
    next_text(reader);
  }
}

}  // namespace

std::map<std::string, FixtureTensor> load_quant_fixture() {
  std::unique_ptr<Storage> storage = make_system_storage();
  auto file = read_file(*storage, test::data_path("quant/quants.gguf"), kMiB);
  CHECK(file.ok());
  ByteReader reader(*file);
  CHECK(reader.take(8).ok());  // magic and version
  uint64_t tensor_count = next(reader);
  skip_metadata(reader, next(reader));
  std::map<std::string, FixtureTensor> tensors;
  std::map<uint64_t, std::string> by_offset;
  for (uint64_t i = 0; i < tensor_count; ++i) {
    std::string name = next_text(reader);
    CHECK(reader.read<uint32_t>().value() == 2);  // dimensions
    uint64_t columns = next(reader);
    uint64_t rows = next(reader);
    uint32_t type = reader.read<uint32_t>().value();
    by_offset[next(reader)] = name;
    tensors[name] = {type, columns, rows, {}};
  }
  ByteSpan data = ByteSpan(*file).subspan(round_up(reader.position(), uint64_t{32}));
  for (auto it = by_offset.begin(); it != by_offset.end(); ++it) {
    uint64_t end = std::next(it) == by_offset.end() ? data.size() : std::next(it)->first;
    ByteSpan bytes = data.subspan(it->first, end - it->first);  // up to 31 bytes of padding
    tensors[it->second].bytes.assign(bytes.begin(), bytes.end());
  }
  return tensors;
}

}  // namespace potluck
