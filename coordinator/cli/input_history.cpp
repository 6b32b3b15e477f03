#include "coordinator/cli/input_history.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "coordinator/cli/json_text.h"
#include "engine/base/bytes.h"

namespace potluck {
namespace {

constexpr uint32_t kForItsOwner = 0600;

// Paths that are not absolute are to be ignored (XDG Base Directory Specification).
std::string absolute_variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && value[0] == '/' ? value : "";
}

}  // namespace

std::string history_path() {
  std::string state = absolute_variable("XDG_STATE_HOME");
  if (state.empty()) {
    const std::string home = absolute_variable("HOME");
    if (home.empty()) return "";
    state = home + "/.local/state";
  }
  return state + "/potluck/history";
}

std::vector<std::string> InputHistory::load() {
  std::vector<std::string> entries;
  if (path_.empty() || !storage_.exists(path_)) return entries;
  const auto bytes = read_file(storage_, path_, kMostBytes);
  if (!bytes) return entries;
  std::string_view rest = as_text(*bytes);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const auto entry = read_json(rest.substr(0, end));
    if (entry && entry->is_string()) entries.push_back(entry->get<std::string>());
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return entries;
}

Status InputHistory::add(const std::string& message) {
  if (path_.empty()) return {};
  std::vector<std::string> entries = load();
  if (!entries.empty() && entries.back() == message) return {};
  entries.push_back(message);
  std::vector<std::string> lines;
  uint64_t total = 0;
  // The newest first, until the file is full.
  for (size_t i = entries.size(); i-- > 0 && lines.size() < kMostEntries;) {
    std::string line = json_text(entries[i]) + "\n";
    total += line.size();
    if (total > kMostBytes) break;
    lines.push_back(std::move(line));
  }
  if (lines.empty()) return {};
  std::string text;
  for (size_t i = lines.size(); i-- > 0;) text += lines[i];
  Status made = storage_.make_directories(path_.substr(0, path_.rfind('/')));
  if (!made) return made;
  return storage_.write_atomic(path_, as_bytes(text), kForItsOwner);
}

}  // namespace potluck
