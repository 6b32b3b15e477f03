#include "coordinator/cli/manual_page.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck {
namespace {

// Text as roff shows it letter by letter: a hyphen that can be searched for and copied, and no line
// that begins like a request.
std::string roff_text(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\n') {
      out += ' ';
    } else if (c == '\'') {
      out += "\\(aq";
    } else if (c == '~') {
      out += "\\(ti";
    } else if (c == '^') {
      out += "\\(ha";
    } else if (c == '`') {
      out += "\\(ga";
    } else {
      out += c;
    }
  }
  return out.starts_with('.') ? "\\&" + out : out;
}

// One sentence or part of it, broken into lines of a readable source.
std::string paragraph(const std::string& text) {
  constexpr size_t kColumns = 78;
  std::string out, line;
  size_t begin = 0;
  const std::string escaped = roff_text(text);
  while (begin < escaped.size()) {
    size_t end = std::min(escaped.find(' ', begin), escaped.size());
    const std::string word = escaped.substr(begin, end - begin);
    begin = end + 1;
    if (word.empty()) continue;
    if (!line.empty() && line.size() + 1 + word.size() > kColumns) {
      out += line + "\n";
      line.clear();
    }
    if (!line.empty()) line += ' ';
    if (line.empty() && word.starts_with('.')) line = "\\&";
    line += word;
  }
  return line.empty() ? out : out + line + "\n";
}

std::string page_name(const Catalog& catalog, const std::string& command) {
  return command.empty() ? catalog.program : catalog.program + "-" + command;
}

std::string upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

std::string page_head(const Catalog& catalog, const std::string& command, const std::string& help,
                      const ManualEdition& edition) {
  const std::string name = page_name(catalog, command);
  return fmt::format(
      ".\\\" Made by `{} man`.\n.TH {} 1 {} \"potluck {}\" \"User Commands\"\n.SH NAME\n"
      "{} \\- {}\n",
      catalog.program, upper(name), edition.date, edition.version, roff_text(name),
      roff_text(help));
}

// "\fB\-n\fR, \fB\-\-max\-tokens\fR \fIN\fR"
std::string tag_of(const CatalogFlag& flag) {
  auto bold = [](const std::string& text) { return "\\fB" + roff_text(text) + "\\fR"; };
  std::string tag;
  if (flag.operand) {
    tag = "\\fI" + roff_text(flag.name) + "\\fR";
  } else {
    if (!flag.short_name.empty()) tag = bold(flag.short_name);
    if (!flag.name.empty()) tag += (tag.empty() ? "" : ", ") + bold(flag.name);
    if (!flag.kind.empty()) tag += " \\fI" + roff_text(flag.kind) + "\\fR";
  }
  return flag.repeats ? tag + " ..." : tag;
}

std::string flag_entry(const CatalogFlag& flag) {
  std::string entry = fmt::format(".TP\n{}\n{}", tag_of(flag), paragraph(flag.help));
  if (!flag.variable.empty()) {
    entry += fmt::format("(environment: \\fB{}\\fR)\n", roff_text(flag.variable));
  }
  return entry;
}

// Flags below the headings that the help has; those of the first one come under OPTIONS.
std::string options_section(const std::vector<CatalogFlag>& flags) {
  std::string out, last;
  for (const CatalogFlag& flag : flags) {
    if (flag.operand) continue;
    if (out.empty()) out = ".SH OPTIONS\n";
    if (flag.group != last && flag.group != "Options") {
      out += fmt::format(".SS {}\n", roff_text(flag.group));
    }
    last = flag.group;
    out += flag_entry(flag);
  }
  return out;
}

std::string synopsis(const std::string& program, const CatalogCommand& command) {
  std::string line =
      fmt::format(".SH SYNOPSIS\n\\fB{} {}\\fR", roff_text(program), roff_text(command.name));
  for (const CatalogFlag& flag : command.flags) {
    if (!flag.operand) continue;
    const std::string name = "\\fI" + roff_text(flag.name) + "\\fR" + (flag.repeats ? " ..." : "");
    line += flag.required ? " " + name : " [" + name + "]";
  }
  return line + " [\\fIOPTION\\fR ...]\n";
}

std::string operands_section(const CatalogCommand& command) {
  std::string out;
  for (const CatalogFlag& flag : command.flags) {
    if (flag.operand) out += flag_entry(flag);
  }
  return out;
}

constexpr const char* kFilesSection = R"(.SH FILES
.TP
\fI$XDG_CONFIG_HOME/potluck/{0}.toml\fR (\fI\(ti/.config/potluck/{0}.toml\fR)
defaults of flags: a table for each command, such as [run], with flags without
their dashes as keys.
Flags win over variables of the environment, and these over the file;
\fB\-\-print\-config\fR shows what came from where.
.TP
\fI$XDG_DATA_HOME/potluck\fR (\fI\(ti/.local/share/potluck\fR)
keys, the devices of the pool, experts of a worker, models that were spread
.TP
\fI$XDG_STATE_HOME/potluck\fR (\fI\(ti/.local/state/potluck\fR)
what was answered last when the program asked
.TP
\fI$XDG_CACHE_HOME/potluck\fR (\fI\(ti/.cache/potluck\fR)
digests of models, experts of worker processes on this machine
.PP
\fB$POTLUCK_HOME\fR replaces all four, and so does \fI\(ti/.potluck\fR where it exists.
)";

constexpr const char* kStatusSection = R"(.SH EXIT STATUS
0: done.
1: failed.
2: wrong use.
130 and 143: ended by Ctrl\-C and SIGTERM.
141: the reader of standard output has gone.
)";

}  // namespace

std::string program_page(const Catalog& catalog, const ManualEdition& edition) {
  std::string page =
      page_head(catalog, "", "run Mixture-of-Experts models on old devices together", edition);
  page += fmt::format(".SH SYNOPSIS\n\\fB{}\\fR [\\fIOPTION\\fR ...] \\fICOMMAND\\fR ...\n",
                      roff_text(catalog.program));
  page += ".SH DESCRIPTION\n" + paragraph(catalog.help + ".");
  if (!catalog.without_arguments.empty()) page += ".PP\n" + paragraph(catalog.without_arguments);
  page += ".SH COMMANDS\n";
  for (const CatalogCommand& command : catalog.commands) {
    page += fmt::format(".TP\n\\fB{}\\fR\n{}", roff_text(command.name), paragraph(command.help));
  }
  page += options_section(catalog.flags) + fmt::format(kFilesSection, roff_text(catalog.program)) +
          kStatusSection + ".SH SEE ALSO\n";
  for (size_t i = 0; i < catalog.commands.size(); ++i) {
    page += fmt::format(".BR {} (1){}\n", roff_text(page_name(catalog, catalog.commands[i].name)),
                        i + 1 < catalog.commands.size() ? "," : "");
  }
  return page;
}

std::string command_page(const Catalog& catalog, const CatalogCommand& command,
                         const ManualEdition& edition) {
  std::string page = page_head(catalog, command.name, command.help, edition);
  page += synopsis(catalog.program, command);
  const std::string operands = operands_section(command);
  page += ".SH DESCRIPTION\n" + paragraph(command.help + ".") + operands;
  page += options_section(command.flags);
  page += ".SS Of every command\n";
  for (const CatalogFlag& flag : catalog.flags) {
    if (flag.name != "--help") page += flag_entry(flag);
  }
  page += kStatusSection;
  return page + fmt::format(".SH SEE ALSO\n.BR {} (1)\n", roff_text(catalog.program));
}

}  // namespace potluck
