// Writes a file of blocks into the folder it is given: where the fuzz target of session directories
// starts.
#include <cstdio>

#include "coordinator/serving/prefix_store.h"

namespace potluck {
namespace {

Status write_seeds(Storage& storage, const std::string& folder) {
  PrefixStoreOptions options;
  options.directory = folder;
  options.quota = kMiB;
  options.block_bytes = 2048;  // as the target's shape has it
  auto store = PrefixStore::open(storage, options, nullptr);
  if (!store) return store.error();
  PrefixName name{{}, 0, std::vector<TokenId>(256, 1)};
  for (uint32_t block = 0; block < 3; ++block) {
    if (!(*store)->write(PrefixPart::kBlock, name, ByteVector(options.block_bytes))) {
      return Error{ErrorCode::kIo, folder + ": a block cannot be written"};
    }
    name = {name.digest(), name.begin + 256, std::vector<TokenId>(block == 1 ? 20 : 256, 1)};
  }
  return {};
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_prefix_store_seeds FOLDER\n");
    return 2;
  }
  auto storage = potluck::make_system_storage();
  potluck::Status written = potluck::write_seeds(*storage, argv[1]);
  if (!written) std::fprintf(stderr, "%s\n", written.error().message.c_str());
  return written ? 0 : 1;
}
