#include "coordinator/cli/completion_script.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck {
namespace {

std::string joined(const std::vector<std::string>& words, const char* between = " ") {
  return fmt::format("{}", fmt::join(words, between));
}

std::vector<std::string> command_names(const Catalog& catalog) {
  std::vector<std::string> names;
  for (const CatalogCommand& command : catalog.commands) names.push_back(command.name);
  return names;
}

std::vector<std::string> spellings(const CatalogFlag& flag) {
  std::vector<std::string> names;
  if (flag.operand) return names;
  if (!flag.short_name.empty()) names.push_back(flag.short_name);
  if (!flag.name.empty()) names.push_back(flag.name);
  return names;
}

std::vector<std::string> all_spellings(const std::vector<CatalogFlag>& flags) {
  std::vector<std::string> names;
  for (const CatalogFlag& flag : flags) {
    for (std::string& name : spellings(flag)) names.push_back(std::move(name));
  }
  return names;
}

// What a flag's value is completed to, as an arm of `case $command:$flag in`.
std::string bash_value_arm(const std::string& command, const CatalogFlag& flag) {
  const std::vector<std::string> names = spellings(flag);
  if (names.empty() || flag.kind.empty()) return "";
  std::vector<std::string> patterns;
  patterns.reserve(names.size());
  for (const std::string& name : names) patterns.push_back(fmt::format("{}:{}", command, name));
  std::string reply = "return";
  if (!flag.choices.empty()) {
    reply = fmt::format("_potluck_words '{}'; return", joined(flag.choices));
  } else if (may_be_file(flag)) {
    reply = "_potluck_files; return";
  }
  return fmt::format("    {}) {} ;;\n", joined(patterns, "|"), reply);
}

std::string bash_operands(const CatalogCommand& command) {
  for (const CatalogFlag& flag : command.flags) {
    if (!flag.operand) continue;
    if (!flag.choices.empty()) return fmt::format("_potluck_words '{}'", joined(flag.choices));
    if (may_be_file(flag)) return "_potluck_files";
  }
  return ":";
}

// The words of `$COMP_WORDS` are broken at '=' too, so that --kv=f16 comes as three.
constexpr const char* kBashHead = R"(# bash completion of {0}; made by `{0} completion bash`
_potluck_words() {{
  COMPREPLY=($(compgen -W "$1" -- "$current"))
}}

_potluck_files() {{
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$current")
}}

_{0}() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command= i
  COMPREPLY=()
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]]; then
    previous=${{COMP_WORDS[COMP_CWORD-2]}}
  fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    if [[ ${{COMP_WORDS[i-1]}} == --config ]]; then continue; fi
    case ${{COMP_WORDS[i]}} in
)";

}  // namespace

std::string bash_completion(const Catalog& catalog) {
  std::string script = fmt::format(kBashHead, catalog.program);
  script += fmt::format("      {}) command=${{COMP_WORDS[i]}}; break ;;\n",
                        joined(command_names(catalog), "|"));
  script += "    esac\n  done\n  case $command:$previous in\n";
  for (const CatalogFlag& flag : catalog.flags) script += bash_value_arm("", flag);
  for (const CatalogCommand& command : catalog.commands) {
    for (const CatalogFlag& flag : command.flags) script += bash_value_arm(command.name, flag);
  }
  script += "  esac\n  if [[ $current == -* ]]; then\n    case $command in\n";
  script += fmt::format("      '') _potluck_words '{}' ;;\n", joined(all_spellings(catalog.flags)));
  for (const CatalogCommand& command : catalog.commands) {
    script += fmt::format("      {}) _potluck_words '{}' ;;\n", command.name,
                          joined(all_spellings(command.flags)));
  }
  script += "    esac\n    return\n  fi\n  case $command in\n";
  script += fmt::format("    '') _potluck_words '{}' ;;\n", joined(command_names(catalog)));
  for (const CatalogCommand& command : catalog.commands) {
    script += fmt::format("    {}) {} ;;\n", command.name, bash_operands(command));
  }
  return script + fmt::format("  esac\n}}\n\ncomplete -F _{0} {0}\n", catalog.program);
}

namespace {

// Between single quotes of a shell in which nothing but a quote ends them.
std::string in_quotes(const std::string& text) {
  std::string out;
  for (char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out;
}

// What stands in brackets or before a colon of zsh's _arguments.
std::string zsh_words(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return in_quotes(out);
}

std::string zsh_value(const CatalogFlag& flag) {
  if (flag.kind.empty()) return "";
  std::string action;
  if (!flag.choices.empty()) action = "(" + joined(flag.choices) + ")";
  if (may_be_file(flag)) action = "_files";
  return fmt::format(":{}:{}", zsh_words(flag.kind), action);
}

std::string zsh_arguments(const std::vector<CatalogFlag>& flags) {
  std::string out;
  for (const CatalogFlag& flag : flags) {
    if (flag.operand) {
      const char* place = flag.repeats ? "*" : flag.required ? "" : ":";
      out += fmt::format("        '{}:{}:{}' \\\n", place, zsh_words(flag.name),
                         flag.choices.empty() ? "_files" : "(" + joined(flag.choices) + ")");
      continue;
    }
    for (const std::string& name : spellings(flag)) {
      const bool is_long = name.starts_with("--") && !flag.kind.empty();
      out += fmt::format("        '{}{}{}[{}]{}' \\\n", flag.repeats ? "*" : "", name,
                         is_long ? "=" : "", zsh_words(flag.help), zsh_value(flag));
    }
  }
  return out;
}

std::string fish_words(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string fish_flag(const std::string& program, const std::string& condition,
                      const CatalogFlag& flag) {
  std::string line = fmt::format("complete -c {} -n '{}'", program, condition);
  if (!flag.short_name.empty()) line += " -s " + flag.short_name.substr(1);
  if (!flag.name.empty()) line += " -l " + flag.name.substr(2);
  if (!flag.choices.empty()) {
    line += fmt::format(" -x -a '{}'", joined(flag.choices));
  } else if (may_be_file(flag)) {
    line += " -r -F";
  } else if (!flag.kind.empty()) {
    line += " -x";
  }
  return fmt::format("{} -d '{}'\n", line, fish_words(flag.help));
}

}  // namespace

std::string zsh_completion(const Catalog& catalog) {
  std::string script = fmt::format(
      "#compdef {0}\n# zsh completion of {0}; made by `{0} completion zsh`\n\n"
      "_{0}() {{\n  local curcontext=\"$curcontext\" state state_descr line\n  typeset -A "
      "opt_args\n"
      "  _arguments -C \\\n",
      catalog.program);
  script += zsh_arguments(catalog.flags);
  script += "        '1:command:->command' \\\n        '*::argument:->argument'\n";
  script += "  case $state in\n    command)\n      local -a commands=(\n";
  for (const CatalogCommand& command : catalog.commands) {
    script += fmt::format("        '{}:{}'\n", command.name, zsh_words(command.help));
  }
  script += "      )\n      _describe command commands\n      ;;\n    argument)\n";
  script += "      case $line[1] in\n";
  for (const CatalogCommand& command : catalog.commands) {
    script += fmt::format("      {})\n        _arguments \\\n{}        ;;\n", command.name,
                          zsh_arguments(command.flags) + "        && return\n");
  }
  return script + fmt::format(
                      "      esac\n      ;;\n  esac\n}}\n\n"
                      "if [ \"$funcstack[1]\" = _{0} ]; then\n  _{0} \"$@\"\nelse\n"
                      "  compdef _{0} {0}\nfi\n",
                      catalog.program);
}

std::string fish_completion(const Catalog& catalog) {
  const std::string& program = catalog.program;
  std::string script =
      fmt::format("# fish completion of {0}; made by `{0} completion fish`\n", program);
  const std::string names = joined(command_names(catalog));
  const std::string first = fmt::format("not __fish_seen_subcommand_from {}", names);
  script += fmt::format("complete -c {} -f\n", program);
  for (const CatalogFlag& flag : catalog.flags) script += fish_flag(program, first, flag);
  for (const CatalogCommand& command : catalog.commands) {
    script += fmt::format("complete -c {} -n '{}' -a {} -d '{}'\n", program, first, command.name,
                          fish_words(command.help));
  }
  for (const CatalogCommand& command : catalog.commands) {
    const std::string seen = "__fish_seen_subcommand_from " + command.name;
    for (const CatalogFlag& flag : command.flags) {
      if (!flag.operand) {
        script += fish_flag(program, seen, flag);
      } else if (!flag.choices.empty()) {
        script +=
            fmt::format("complete -c {} -n '{}' -a '{}'\n", program, seen, joined(flag.choices));
      } else if (may_be_file(flag)) {
        script += fmt::format("complete -c {} -n '{}' -F\n", program, seen);
      }
    }
  }
  return script;
}

}  // namespace potluck
