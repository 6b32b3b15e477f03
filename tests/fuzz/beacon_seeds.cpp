// Datagrams for fuzz_beacon to start from.
#include <cstdio>

#include <fmt/format.h>

#include "engine/base/storage.h"
#include "protocol/beacon.h"

int main(int argc, char** argv) {
  using namespace potluck;
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_beacon_seeds FOLDER\n");
    return 2;
  }
  BeaconAnswer answer{5, {}, 7700, "kitchen"};
  BeaconAnswer longest = answer;
  longest.name = std::string(kBeaconNameBytes, 'n');
  const BeaconMessage messages[] = {BeaconQuestion{5}, answer, longest, BeaconAnswer{0, {}, 1, ""}};
  auto storage = make_system_storage();
  for (size_t i = 0; i < std::size(messages); ++i) {
    Status written =
        storage->write_atomic(fmt::format("{}/seed-{}", argv[1], i), encode_beacon(messages[i]));
    if (!written) {
      std::fprintf(stderr, "%s\n", written.error().message.c_str());
      return 1;
    }
  }
  return 0;
}
