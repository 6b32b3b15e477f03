#include "coordinator/cli/upstream_config.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "coordinator/cli/nearest_name.h"
#include "coordinator/cli/number_text.h"
#include "coordinator/cli/printed_config.h"
#include "coordinator/serving/http/page_origin.h"
#include "engine/base/printable.h"
#include "engine/chat/uncertain_end.h"

namespace potluck {
namespace {

constexpr uint64_t kKeyFileBytes = 4096;
constexpr size_t kUpstreamNameBytes = 64;
constexpr size_t kModelNames = 64;
constexpr size_t kModelNameBytes = 256;
constexpr uint64_t kCallsAtOnce = 32;
constexpr uint64_t kLongestAnswer = 24 * 3600;

Error wrong_value(const std::string& what) {
  return {ErrorCode::kInvalidArgument, what};
}

// No blank and no control character, so that it can stand in a header.
bool is_visible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

Status check_upstream_name(const std::string& name) {
  const bool good =
      !name.empty() && name.size() <= kUpstreamNameBytes && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
      });
  if (good) return {};
  return wrong_value("expected a name of letters, digits, '.', '_' and '-'");
}

// The host and port of an address that can be used; the error says why it cannot.
Result<std::string> host_of_address(const std::string& address) {
  const bool secure = address.starts_with("https://");
  if (!secure && !address.starts_with("http://")) {
    return wrong_value("expected an address that begins with https:// or http://");
  }
  if (!is_visible(address) || address.find_first_of("?#\\") != address.npos) {
    return wrong_value("expected an address without blanks, '?' and '#'");
  }
  const std::string rest = address.substr(secure ? 8 : 7);
  const std::string host = rest.substr(0, rest.find('/'));
  if (host.empty() || host.find('@') != host.npos) {
    return wrong_value("expected a host, and no password: keys go into the file of key-file");
  }
  return host;
}

Status take_address(const std::string& text, Upstream* upstream) {
  upstream->address = text;
  while (upstream->address.ends_with('/')) upstream->address.pop_back();
  auto host = host_of_address(upstream->address);
  return host ? Status() : Status(host.error());
}

Status take_style(const std::string& text, Upstream* upstream) {
  if (text != "openai" && text != "anthropic") {
    return wrong_value("expected \"openai\" or \"anthropic\"");
  }
  upstream->style = text == "openai" ? UpstreamStyle::kOpenAi : UpstreamStyle::kAnthropic;
  return {};
}

Status take_models(const std::vector<std::string>& names, Upstream* upstream) {
  const bool good = !names.empty() && names.size() <= kModelNames &&
                    std::ranges::all_of(names, [](const std::string& name) {
                      return !name.empty() && name.size() <= kModelNameBytes && is_visible(name);
                    });
  if (!good) return wrong_value("expected a list of names without blanks, one at least");
  upstream->models = names;
  return {};
}

template <class Number>
Status take_number(const std::string& text, WholeRange range, Number* to) {
  auto value = read_whole(text, range);
  if (!value) return value.error();
  *to = static_cast<uint32_t>(*value);
  return {};
}

Status expect_kind(const Setting& setting, Setting::Kind kind, const char* what) {
  if (setting.kind == kind) return {};
  return wrong_value(fmt::format("expected {}", what));
}

std::string beside(const std::string& config, const std::string& file) {
  const size_t slash = config.rfind('/');
  if (file.starts_with('/') || slash == config.npos) return file;
  return config.substr(0, slash + 1) + file;
}

struct TextKey {
  const char* key;
  Status (*take)(const std::string& path, const std::string& text, UpstreamTable* table);
};

constexpr TextKey kTextKeys[] = {
    {"name",
     [](const std::string&, const std::string& text, UpstreamTable* table) {
       table->upstream.name = text;
       return check_upstream_name(text);
     }},
    {"address", [](const std::string&, const std::string& text,
                   UpstreamTable* table) { return take_address(text, &table->upstream); }},
    {"style", [](const std::string&, const std::string& text,
                 UpstreamTable* table) { return take_style(text, &table->upstream); }},
    {"key-file",
     [](const std::string& path, const std::string& text, UpstreamTable* table) {
       table->key_file = beside(path, text);
       return Status();
     }},
    {"ca-file",
     [](const std::string& path, const std::string& text, UpstreamTable* table) {
       table->upstream.ca_file = beside(path, text);
       return Status();
     }},
};

struct NumberKey {
  const char* key;
  WholeRange range;
  Status (*take)(const std::string& text, WholeRange range, Upstream* upstream);
};

constexpr uint64_t kLongestPrompt = std::numeric_limits<int32_t>::max();

constexpr NumberKey kNumberKeys[] = {
    {"when-queue-seconds",
     {0, kLongestAnswer},
     [](const std::string& text, WholeRange range, Upstream* upstream) {
       return take_number(text, range, &upstream->rules.queue_seconds);
     }},
    {"when-prompt-tokens",
     {0, kLongestPrompt},
     [](const std::string& text, WholeRange range, Upstream* upstream) {
       return take_number(text, range, &upstream->rules.prompt_tokens);
     }},
    {"at-once",
     {1, kCallsAtOnce},
     [](const std::string& text, WholeRange range, Upstream* upstream) {
       return take_number(text, range, &upstream->at_once);
     }},
    {"silence-seconds",
     {1, kLongestAnswer},
     [](const std::string& text, WholeRange range, Upstream* upstream) {
       return take_number(text, range, &upstream->silence_seconds);
     }},
    {"answer-seconds",
     {1, kLongestAnswer},
     [](const std::string& text, WholeRange range, Upstream* upstream) {
       return take_number(text, range, &upstream->answer_seconds);
     }},
};

bool* switch_of(const std::string& key, Upstream* upstream) {
  if (key == "when-cannot-serve") return &upstream->rules.cannot_serve;
  if (key == "when-model") return &upstream->rules.model;
  return nullptr;
}

std::vector<std::string> known_keys() {
  std::vector<std::string> names{"models", "when-cannot-serve", "when-model"};
  for (const TextKey& key : kTextKeys) names.emplace_back(key.key);
  for (const NumberKey& key : kNumberKeys) names.emplace_back(key.key);
  return names;
}

Status take_setting(const std::string& path, const Setting& setting, UpstreamTable* table) {
  using Kind = Setting::Kind;
  for (const TextKey& key : kTextKeys) {
    if (setting.key != key.key) continue;
    Status kind = expect_kind(setting, Kind::kText, "a text in quotes");
    return kind ? key.take(path, setting.values.front(), table) : kind;
  }
  for (const NumberKey& key : kNumberKeys) {
    if (setting.key != key.key) continue;
    Status kind = expect_kind(setting, Kind::kNumber, "a number");
    return kind ? key.take(setting.values.front(), key.range, &table->upstream) : kind;
  }
  if (bool* target = switch_of(setting.key, &table->upstream)) {
    *target = setting.values == std::vector<std::string>{"true"};
    return expect_kind(setting, Kind::kSwitch, "true or false");
  }
  if (setting.key == "models") {
    Status kind = expect_kind(setting, Kind::kList, "a list of texts");
    return kind ? take_models(setting.values, &table->upstream) : kind;
  }
  return wrong_value("no such key" + suggestion(setting.key, known_keys()));
}

Error at_table(const std::string& path, uint32_t line, const std::string& what) {
  return wrong_value(fmt::format("{}:{}: [[{}]]: {}", path, line, kUpstreamTable, what));
}

// What only a whole table shows.
Status check_table(const UpstreamTable& table) {
  const Upstream& upstream = table.upstream;
  for (const auto& [key, value] :
       {std::pair{"name", upstream.name.empty()}, std::pair{"address", upstream.address.empty()},
        std::pair{"models", upstream.models.empty()}}) {
    if (value) return wrong_value(fmt::format("'{}' is missing", key));
  }
  if (table.key_file.empty() || upstream.address.starts_with("https://")) return {};
  const auto host = host_of_address(upstream.address);
  if (host && is_this_machine(*host)) return {};
  return wrong_value(
      "with http:// to another machine, the key could be read on the way: use https://");
}

Status check_tables(const std::string& path, const std::vector<UpstreamTable>& tables) {
  for (size_t i = 0; i < tables.size(); ++i) {
    if (Status whole = check_table(tables[i]); !whole) {
      return at_table(path, tables[i].line, whole.error().message);
    }
    for (size_t j = 0; j < i; ++j) {
      if (tables[j].upstream.name != tables[i].upstream.name) continue;
      return at_table(path, tables[i].line,
                      fmt::format("there is an upstream '{}' already", tables[i].upstream.name));
    }
  }
  return {};
}

Result<std::string> read_key(Storage& storage, const std::string& file) {
  auto bytes = read_file(storage, file, kKeyFileBytes);
  if (!bytes) return bytes.error();
  const std::string key(trimmed(as_text(*bytes)));
  if (!key.empty() && is_visible(key)) return key;
  return Error{ErrorCode::kInvalidArgument,
               file + ": expected a key and nothing else, on one line"};
}

}  // namespace

Result<std::vector<UpstreamTable>> read_upstreams(const std::string& path,
                                                  const std::vector<Setting>& settings) {
  std::vector<UpstreamTable> tables;
  for (const Setting& setting : settings) {
    if (setting.table != kUpstreamTable) continue;
    if (setting.kind == Setting::Kind::kTable) {
      if (tables.size() == kMostUpstreams) {
        return at_table(path, setting.line, fmt::format("expected at most {}", kMostUpstreams));
      }
      tables.emplace_back().line = setting.line;
      continue;
    }
    if (tables.empty()) return at_table(path, setting.line, "expected a table");
    UpstreamTable& table = tables.back();
    if (Status taken = take_setting(path, setting, &table); !taken) {
      return wrong_value(fmt::format("{}:{}: {}: {}", path, setting.line, printable(setting.key),
                                     taken.error().message));
    }
    table.settings.push_back(setting);
    if (setting.key.ends_with("-file")) {
      table.settings.back().values = {beside(path, setting.values.front())};
    }
  }
  if (Status good = check_tables(path, tables); !good) return good.error();
  return tables;
}

Result<std::vector<Upstream>> load_upstreams(const std::vector<UpstreamTable>& tables,
                                             Storage& storage) {
  std::vector<Upstream> upstreams;
  for (const UpstreamTable& table : tables) {
    if (!table.upstream.rules.any()) continue;
    Upstream upstream = table.upstream;
    if (!table.key_file.empty()) {
      auto key = read_key(storage, table.key_file);
      if (!key) return key.error().in(fmt::format("the key of the upstream '{}'", upstream.name));
      upstream.key = std::move(*key);
    }
    upstreams.push_back(std::move(upstream));
  }
  return upstreams;
}

std::string printed_upstreams(const std::string& path, const std::vector<UpstreamTable>& tables) {
  std::string out;
  for (const UpstreamTable& table : tables) {
    out += printed_table(kUpstreamTable, path, table.settings);
  }
  return out;
}

std::string describe_upstream(const Upstream& upstream) {
  std::vector<std::string> when;
  const UpstreamRules& rules = upstream.rules;
  if (rules.cannot_serve) when.emplace_back("what the pool cannot serve");
  if (rules.queue_seconds) {
    when.push_back(fmt::format("what would wait here for more than {} s", *rules.queue_seconds));
  }
  if (rules.prompt_tokens) {
    when.push_back(fmt::format("prompts of more than {} tokens", *rules.prompt_tokens));
  }
  if (rules.model) {
    when.push_back(fmt::format("what asks for {}", fmt::join(upstream.models, ", ")));
  }
  return fmt::format("requests may leave this pool, to '{}' ({}): {}", upstream.name,
                     upstream.address, fmt::join(when, "; "));
}

}  // namespace potluck
