// Writes the seeds of chat_fuzz.cpp into the folder it is given: the templates of the tests, each
// with the byte that chooses the conversation.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/base/limits.h"
#include "engine/base/storage.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

Status write_seed(Storage& storage, const std::string& path, int choice,
                  const std::string& source) {
  return storage.write_atomic(path, as_bytes(std::string(1, static_cast<char>(choice)) + source));
}

Status write_seeds(Storage& storage, const std::string& folder) {
  const std::string data = test::data_path("chat/");
  auto turns = read_file(storage, data + "turns.jinja", kMiB);
  if (!turns) return turns.error();
  const std::string source(as_text(*turns));
  for (const int choice : {0, 15, 31}) {
    const std::string path = folder + "/turns-" + std::to_string(choice);
    if (Status written = write_seed(storage, path, choice, source); !written) return written;
  }
  auto language = read_file(storage, data + "language.json", kMiB);
  if (!language) return language.error();
  size_t count = 0;
  const auto json = nlohmann::json::parse(as_text(*language));
  for (const auto& test_case : json["cases"]) {
    const std::string path = folder + "/language-" + std::to_string(count++);
    if (Status written = write_seed(storage, path, 7, test_case["template"]); !written) {
      return written;
    }
  }
  return {};
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_chat_seeds FOLDER\n");
    return 2;
  }
  auto storage = potluck::make_system_storage();
  potluck::Status written = potluck::write_seeds(*storage, argv[1]);
  if (!written) std::fprintf(stderr, "%s\n", written.error().message.c_str());
  return written.ok() ? 0 : 1;
}
