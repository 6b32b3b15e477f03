// The configuration file: defaults of flags, one table per command, in TOML:
//
//   [run]
//   threads = 4
//   ram = "4GiB"
//
// This module knows the form of the file, not the flags. Plain values; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/storage.h"

namespace potluck {

// The name of the tables that stand for no command, and of which there may be several.
inline constexpr std::string_view kUpstreamTable = "upstream";

struct Setting {
  enum class Kind {
    kTable,   // the head of a table, without a key
    kSwitch,  // true or false
    kNumber,  // written without quotes
    kText,
    kList,  // of texts
  };
  std::string table;  // the command
  std::string key;    // the flag without its dashes
  uint32_t line = 0;
  Kind kind = Kind::kText;
  std::vector<std::string> values;  // one, except for lists and heads; always as text
};

// Whether a file may have several tables of one name: [[device]]. Each begins with its head. That
// of commands has such tables of one name alone: [[upstream]] (upstream_config.h).
enum class TableForm { kSingle, kSingleOrRepeated, kCommands };

// All settings of a file, table headers included, in the order of its lines. Anything that is not
// a setting in a table is an error that names the file and the line.
Result<std::vector<Setting>> parse_config(const std::string& path, std::string_view text,
                                          TableForm form = TableForm::kSingle);

// Fails with kNotFound where there is no file.
Result<std::vector<Setting>> read_config_file(Storage& storage, const std::string& path);

}  // namespace potluck
