// Every flag of every command, as completion, manual pages and --print-config have it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/cli/command_catalog.h"
#include "coordinator/cli/command_line.h"
#include "coordinator/cli/completion_script.h"
#include "coordinator/cli/manual_page.h"
#include "coordinator/cli/potluck_program.h"
#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

using testing::HasSubstr;

class CatalogTest : public testing::Test {
 protected:
  Catalog program() { return parser_.catalog(); }

  // What --print-config shows.
  std::string printed(std::vector<std::string> arguments,
                      std::map<std::string, std::string> variables = {}) {
    CommandLineParser parser(environment_, potluck_program(environment_));
    auto line =
        parser.parse({std::move(arguments), std::move(variables), "/potluck.toml"}, storage_);
    if (!line) return "error: " + line.error().message;
    EXPECT_EQ(line->command, nullptr);
    return line->help;
  }

  static const CatalogFlag& flag_of(const Catalog& catalog, const std::string& command,
                                    const std::string& name) {
    for (const CatalogCommand& one : catalog.commands) {
      for (const CatalogFlag& flag : one.flags) {
        if (one.name == command && flag.name == name) return flag;
      }
    }
    ADD_FAILURE() << command << " has no " << name;
    return catalog.flags.front();
  }

  MemoryStorage storage_;
  ManualClock clock_;
  SeededEntropy entropy_{1};
  Output out_{-1, false};
  StopSignal stop_;
  Terminal terminal_{clock_};
  Environment environment_{storage_, clock_,    entropy_, system_files(),
                           out_,     "potluck", stop_,    terminal_};
  CommandLineParser parser_{environment_, potluck_program(environment_)};
};

TEST_F(CatalogTest, DescribesFlagsAsTheyWereDeclared) {
  const Catalog catalog = program();
  EXPECT_GE(catalog.commands.size(), 18U);
  const CatalogFlag& threads = flag_of(catalog, "run", "--threads");
  EXPECT_EQ(threads.kind, "N");
  EXPECT_EQ(threads.variable, "POTLUCK_THREADS");
  EXPECT_EQ(threads.default_value, "0");
  const CatalogFlag& kv = flag_of(catalog, "run", "--kv");
  EXPECT_THAT(kv.choices, testing::ElementsAre("f16", "f32", "q8_0"));
  EXPECT_EQ(flag_of(catalog, "run", "--max-tokens").short_name, "-n");
  EXPECT_EQ(flag_of(catalog, "run", "--prompt").default_value, "");
  EXPECT_TRUE(flag_of(catalog, "run", "--template-arg").repeats);
  EXPECT_EQ(flag_of(catalog, "run", "--template-arg").default_value, "");
  EXPECT_EQ(flag_of(catalog, "run", "--quiet").kind, "");
  EXPECT_TRUE(flag_of(catalog, "run", "MODEL").operand);
  EXPECT_TRUE(flag_of(catalog, "run", "MODEL").required);
  EXPECT_EQ(flag_of(catalog, "serve", "--listen").default_value, "*:7700");
  EXPECT_EQ(flag_of(catalog, "eval", "--tokens").kind, "TEXT");  // in a group of its own
  EXPECT_EQ(catalog.flags.back().name, "--print-config");
}

TEST_F(CatalogTest, DescribingLeavesTheHelpAsItWas) {
  CommandLineParser parser(environment_, potluck_program(environment_));
  auto help = [](CommandLineParser& of) {
    MemoryStorage storage;
    auto line = of.parse({{"run", "--help"}, {}, "/x"}, storage);
    return line ? line->help : line.error().message;
  };
  (void)parser_.catalog();
  EXPECT_EQ(help(parser_), help(parser));
}

// "(default 512)" in a help and the value that the flag has without being given.
TEST_F(CatalogTest, DefaultsThatTheHelpSaysAreThose) {
  size_t compared = 0;
  for (const CatalogCommand& command : program().commands) {
    for (const CatalogFlag& flag : command.flags) {
      const std::string words = default_in_words(flag.help);
      const bool is_number = words.find_first_not_of("0123456789.") == std::string::npos;
      if (words.empty() || !is_number || flag.default_value.empty()) continue;
      // Some leave their default to others, by 0.
      if (flag.default_value == "0" && words != "0") continue;
      EXPECT_EQ(flag.default_value, words) << command.name << " " << flag.name;
      ++compared;
    }
  }
  EXPECT_GT(compared, 10U);
}

TEST_F(CatalogTest, EveryFlagIsInEveryScriptAndPage) {
  const Catalog catalog = program();
  const std::string bash = bash_completion(catalog);
  const std::string zsh = zsh_completion(catalog);
  const std::string fish = fish_completion(catalog);
  size_t flags = 0;
  for (const CatalogCommand& command : catalog.commands) {
    const std::string page = command_page(catalog, command, {"1", "2026-11-30"});
    EXPECT_THAT(fish, HasSubstr(" -a " + command.name + " -d "));
    EXPECT_THAT(zsh, HasSubstr("'" + command.name + ":"));
    const size_t begin = zsh.find("      " + command.name + ")\n");
    ASSERT_NE(begin, std::string::npos) << command.name;
    const std::string of_zsh = zsh.substr(begin, zsh.find(";;", begin) - begin);
    const size_t line = bash.find("\n      " + command.name + ") _potluck_words '");
    ASSERT_NE(line, std::string::npos) << command.name;
    const std::string of_bash = bash.substr(line, bash.find('\n', line + 1) - line);
    for (const CatalogFlag& flag : command.flags) {
      std::string escaped;
      for (char c : flag.name) escaped += c == '-' ? std::string("\\-") : std::string(1, c);
      EXPECT_THAT(page, HasSubstr(escaped)) << command.name;
      if (flag.operand) continue;
      ++flags;
      EXPECT_THAT(of_bash, HasSubstr(flag.name)) << command.name;
      EXPECT_THAT(of_zsh, HasSubstr((flag.repeats ? "'*" : "'") + flag.name)) << command.name;
      EXPECT_THAT(fish,
                  HasSubstr("seen_subcommand_from " + command.name + "'" +
                            (flag.short_name.empty() ? "" : " -s " + flag.short_name.substr(1)) +
                            " -l " + flag.name.substr(2)))
          << command.name;
    }
  }
  EXPECT_GT(flags, 150U);
}

TEST_F(CatalogTest, EveryFlagIsPrintedWithItsSource) {
  const Catalog catalog = program();
  const std::string all = printed({"--print-config"});
  for (const CatalogCommand& command : catalog.commands) {
    EXPECT_THAT(all, HasSubstr("[" + command.name + "]\n"));
    const std::string one = printed({command.name, "--print-config"});
    EXPECT_THAT(all, HasSubstr(one));
    for (const CatalogFlag& flag : command.flags) {
      if (flag.name == "--help") continue;
      const std::string key = flag.operand ? flag.name : flag.name.substr(2);
      EXPECT_THAT(one, HasSubstr("\n#" + key + " =")) << command.name;
    }
  }
}

TEST_F(CatalogTest, PrintsWhereValuesCameFrom) {
  ASSERT_TRUE(storage_
                  .write_atomic("/potluck.toml", as_bytes("[run]\nram = \"2GiB\"\nquiet = true\n"
                                                          "template-arg = [\"a=1\", \"b=\\\"\"]\n"))
                  .ok());
  const std::string text =
      printed({"run", "m", "--kv", "q8_0", "--print-config"}, {{"POTLUCK_CTX", "77"}});
  EXPECT_THAT(text, testing::MatchesRegex("(.|\n)*\nram = \"2GiB\" +# /potluck.toml:2\n(.|\n)*"));
  EXPECT_THAT(text, testing::MatchesRegex("(.|\n)*\nquiet = true +# /potluck.toml:3\n(.|\n)*"));
  EXPECT_THAT(text, testing::MatchesRegex("(.|\n)*\nctx = 77 +# POTLUCK_CTX\n(.|\n)*"));
  EXPECT_THAT(text, testing::MatchesRegex("(.|\n)*\nkv = \"q8_0\" +# command line\n(.|\n)*"));
  EXPECT_THAT(text, testing::MatchesRegex("(.|\n)*\n#MODEL = \"m\" +# command line\n(.|\n)*"));
  EXPECT_THAT(text, testing::MatchesRegex("(.|\n)*\n#threads = 0 +# default.*\n(.|\n)*"));
  EXPECT_THAT(text, HasSubstr("template-arg = [\"a=1\", \"b=\\\"\"]"));
  // What is printed is a file that says the same.
  ASSERT_TRUE(storage_.write_atomic("/potluck.toml", as_bytes(text)).ok());
  const std::string again = printed({"run", "--print-config"});
  EXPECT_THAT(again, testing::MatchesRegex("(.|\n)*\nctx = 77 +# /potluck.toml:.*\n(.|\n)*"));
  EXPECT_THAT(again, HasSubstr("kv = \"q8_0\""));
}

TEST_F(CatalogTest, PrintingChecksAsRunningDoes) {
  EXPECT_THAT(printed({"run", "--threads", "many", "--print-config"}),
              HasSubstr("error: --threads"));
  EXPECT_THAT(printed({"rnu", "--print-config"}), HasSubstr("error: unknown command"));
  EXPECT_THAT(printed({"run", "--print-config"}, {{"POTLUCK_CTX", "x"}}),
              HasSubstr("error: POTLUCK_CTX"));
  // Behind "--" it is a word like others.
  EXPECT_THAT(toml_text("a\"b\\\x1b\n\xff"), "\"a\\\"b\\\\\\u001B\\u000A\xEF\xBF\xBD\"");
}

TEST_F(CatalogTest, PagesShowTextLetterByLetter) {
  Catalog catalog;
  catalog.help = "help";
  CatalogCommand command{"do", "say 'it' at once", {}};
  CatalogFlag flag;
  flag.name = "--path";
  flag.kind = "TEXT";
  flag.help = "a path such as .config or C:\\x ~ ^ `y`";
  command.flags.push_back(flag);
  const std::string page = command_page(catalog, command, {"1", "2026-11-30"});
  EXPECT_THAT(page, HasSubstr("C:\\ex \\(ti \\(ha \\(gay\\(ga"));
  EXPECT_THAT(page, HasSubstr("\\(aqit\\(aq"));
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-path\\fR \\fITEXT\\fR"));
}

TEST(DefaultInWords, IsWhatStandsInParentheses) {
  EXPECT_EQ(default_in_words("tokens per step (default 512)"), "512");
  EXPECT_EQ(default_in_words("threads (default, 0: one per processor)"), "0: one per processor");
  EXPECT_EQ(default_in_words("size (default: half)"), "half");
  EXPECT_EQ(default_in_words("a file"), "");
  EXPECT_EQ(default_in_words("0: off (default)"), "");
  EXPECT_EQ(default_in_words("(default"), "");
}

}  // namespace
}  // namespace potluck
