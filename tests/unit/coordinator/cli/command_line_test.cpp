#include "coordinator/cli/command_line.h"

#include <CLI/CLI.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/cli/flags.h"
#include "coordinator/cli/potluck_program.h"
#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::string kConfig = "/home/potluck.toml";

// One command line after the other, each with a parser of its own, as a process has.
class CommandLines : public testing::Test {
 protected:
  Status parse(std::vector<std::string> arguments,
               std::map<std::string, std::string> variables = {}) {
    parser_ = std::make_unique<CommandLineParser>(environment_, potluck_program(environment_));
    auto line = parser_->parse({std::move(arguments), std::move(variables), kConfig}, storage_);
    if (!line) return line.error();
    line_ = *line;
    return {};
  }

  std::string error_of(std::vector<std::string> arguments,
                       std::map<std::string, std::string> variables = {}) {
    Status status = parse(std::move(arguments), std::move(variables));
    if (status) return "";
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
    return status.error().message;
  }

  void SetUp() override { ASSERT_TRUE(storage_.make_directories("/home").ok()); }

  void configure(const std::string& text) {
    ASSERT_TRUE(storage_.write_atomic(kConfig, as_bytes(text)).ok());
  }
  std::string config_error(const std::string& text) {
    configure(text);
    return error_of({"run", "m"});
  }

  // What a call of the command needs at least.
  static std::vector<std::string> least(const std::string& command) {
    if (command == "eval") return {command, "m", "--tokens", "t"};
    if (command == "tokenize") return {command, "m", "--text", "t"};
    constexpr std::array<std::string_view, 8> kNothing = {"join", "admit",  "leave",   "keys",
                                                          "list", "status", "version", "doctor"};
    if (std::find(kNothing.begin(), kNothing.end(), command) != kNothing.end()) {
      return {command};
    }
    return {command, "m"};
  }

  static std::vector<std::string> with(std::vector<std::string> arguments,
                                       std::initializer_list<std::string> more) {
    arguments.insert(arguments.end(), more);
    return arguments;
  }

  const std::vector<Command>& all_commands() {
    parser_ = std::make_unique<CommandLineParser>(environment_, potluck_program(environment_));
    return parser_->commands();
  }

  std::string value_of(const std::string& flag) {
    return line_.command->parser->get_option(flag)->results().at(0);
  }

  MemoryStorage storage_;
  ManualClock clock_;
  SeededEntropy entropy_{1};
  Output out_{-1, false};
  StopSignal stop_;
  Terminal terminal_{clock_};
  Environment environment_{storage_, clock_,    entropy_, system_files(),
                           out_,     "potluck", stop_,    terminal_};

  std::unique_ptr<CommandLineParser> parser_;
  CommandLine line_;
};

struct NumberFlag {
  std::string command;
  std::string name;  // without its dashes
  std::string variable;
  std::string kind;
};

std::vector<NumberFlag> number_flags(const std::vector<Command>& commands) {
  std::vector<NumberFlag> flags;
  for (const Command& command : commands) {
    for (const CLI::Option* option : command.parser->get_options()) {
      if (!is_number_flag(*option)) continue;
      flags.push_back({command.parser->get_name(), option->get_lnames().front(),
                       option->get_envname(), option->get_type_name()});
    }
  }
  return flags;
}

constexpr const char* kBadForAll[] = {" ",
                                      "-1",
                                      "-0",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1\n",
                                      "0x10",
                                      "0b1",
                                      "0o17",
                                      "007",
                                      "1.5.2",
                                      "nan",
                                      "NaN",
                                      "inf",
                                      "-inf",
                                      "1e9999",
                                      "1,000",
                                      "1_000",
                                      "1'000",
                                      "--",
                                      "many",
                                      "1-",
                                      "%",
                                      "1\xc2\xa0",
                                      "\xff",
                                      "99999999999999999999999999999999999999",
                                      "18446744073709551616TB"};

std::vector<std::string> bad_texts(const std::string& kind) {
  std::vector<std::string> texts(std::begin(kBadForAll), std::end(kBadForAll));
  if (kind == kWholeKind) texts.insert(texts.end(), {"1.5", "1e3", "1.0", "1k", "4GiB", "0.0"});
  if (kind == kDecimalKind) texts.insert(texts.end(), {"1e", "0,5", "50%", "1x", "1001", "0x1p3"});
  if (kind == kSizeKind) texts.insert(texts.end(), {"4XiB", "4 GiB", "1e3", "1000001TB"});
  if (kind == kRateKind) texts.insert(texts.end(), {"0MB/s", "10MB/m", "100Mb/s", "4 MB/s", "1"});
  if (kind == kLinkKind) texts.insert(texts.end(), {"3ms", "3ms,", ",1MB/s", "3h,1MB/s", "1"});
  if (kind == kPercentKind) texts.insert(texts.end(), {"101%", "4.5%", "40C", "40 %", "101"});
  if (kind == kCelsiusKind) texts.insert(texts.end(), {"0C", "121C", "42F", "42 C", "42.5"});
  return texts;
}

std::string good_text(const NumberFlag& flag) {
  if (flag.kind == kRateKind) return "1MB/s";
  if (flag.kind == kLinkKind) return "3ms,1MB/s";
  return "1";
}

// Building a whole command line takes a millisecond: three texts go through all of it for each
// flag, other ones for the next flag; all of them go through the check that sits behind it.
std::vector<std::string> some_bad_texts(const NumberFlag& flag) {
  const std::vector<std::string> all = bad_texts(flag.kind);
  const size_t first = std::hash<std::string>()(flag.command + flag.name);
  return {"-1", all[first % all.size()], all[(first + 7) % all.size()]};
}

TEST_F(CommandLines, EveryNumberFlagHasACheckThatRefusesWhatIsNoNumber) {
  size_t refused = 0;
  for (const Command& command : all_commands()) {
    for (CLI::Option* option : command.parser->get_options()) {
      if (!is_number_flag(*option)) continue;
      for (const std::string& text : bad_texts(option->get_type_name())) {
        const std::string fault = find_fault(*option, text);
        ASSERT_THAT(fault, testing::AnyOf(HasSubstr("expected"), HasSubstr("unit")))
            << command.parser->get_name() << " " << option->get_name() << " '" << text << "'";
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 1500U);
}

TEST_F(CommandLines, EveryNumberFlagRefusesWhatIsNoNumber) {
  const std::vector<NumberFlag> flags = number_flags(all_commands());
  EXPECT_GT(flags.size(), 50U);
  for (const NumberFlag& flag : flags) {
    const std::vector<std::string> call = least(flag.command);
    EXPECT_EQ(error_of(with(call, {"--" + flag.name, good_text(flag)})), "") << flag.name;
    for (const std::string& text : some_bad_texts(flag)) {
      const std::string error = error_of(with(call, {"--" + flag.name, text}));
      ASSERT_THAT(error, StartsWith("--" + flag.name + ": ")) << text;
      ASSERT_THAT(error, testing::AnyOf(HasSubstr("expected"), HasSubstr("unit"))) << text;
      ASSERT_EQ(error_of(with(call, {"--" + flag.name + "=" + text})), error) << text;
    }
  }
}

TEST_F(CommandLines, EveryVariableOfANumberIsCheckedAndNamed) {
  int variables = 0;
  for (const NumberFlag& flag : number_flags(all_commands())) {
    if (flag.variable.empty()) continue;
    ++variables;
    const std::vector<std::string> call = least(flag.command);
    EXPECT_EQ(error_of(call, {{flag.variable, good_text(flag)}}), "");
    EXPECT_EQ(value_of("--" + flag.name), good_text(flag));
    for (const std::string& text : some_bad_texts(flag)) {
      ASSERT_THAT(error_of(call, {{flag.variable, text}}), StartsWith(flag.variable + ": "))
          << text;
    }
    EXPECT_EQ(error_of(with(call, {"--" + flag.name, good_text(flag)}), {{flag.variable, "bad"}}),
              "");  // the flag wins, the variable is not looked at
  }
  EXPECT_GT(variables, 25);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    out += c == '\n' ? "\\n" : std::string(1, c);
  }
  return out + "\"";
}

TEST_F(CommandLines, EveryNumberInTheFileIsCheckedAndNamed) {
  size_t count = 0;
  for (const NumberFlag& flag : number_flags(all_commands())) {
    const std::string head = "# defaults\n[" + flag.command + "]\n" + flag.name + " = ";
    configure(head + quoted(good_text(flag)) + "\n");
    EXPECT_EQ(error_of(least(flag.command)), "");
    EXPECT_EQ(value_of("--" + flag.name), good_text(flag));
    EXPECT_EQ(error_of({"version"}), "");
    for (const std::string& text : some_bad_texts(flag)) {
      configure(head + quoted(text) + "\n");
      const bool is_text = text != "\xff";  // the parser itself refuses that, and names the line
      const std::string where = kConfig + ":3: " + (is_text ? flag.name + ": " : "");
      ASSERT_THAT(error_of(least(flag.command)), StartsWith(where)) << text;
      ASSERT_THAT(error_of({"version"}), StartsWith(where)) << text;  // all of it is checked
    }
    constexpr const char* kValues[] = {"-1",
                                       "nan",
                                       "-inf",
                                       "0x10",
                                       "0o7",
                                       "0b1",
                                       "true",
                                       "[1]",
                                       "[\"1\"]",
                                       "007",
                                       "{a=1}",
                                       "1979-05-27",
                                       "99999999999999999999"};
    for (size_t i = 0; i < 4; ++i) {
      const std::string value = kValues[(count++) % std::size(kValues)];
      configure(head + value + "\n");
      ASSERT_THAT(error_of(least(flag.command)), StartsWith(kConfig + ":3: ")) << value;
    }
  }
}

TEST_F(CommandLines, BoundariesAreAccepted) {
  const std::pair<std::vector<std::string>, std::pair<const char*, const char*>> kRanges[] = {
      {{"run", "--seed"}, {"0", "18446744073709551615"}},
      {{"run", "--threads"}, {"0", "256"}},
      {{"join", "--threads"}, {"0", "256"}},
      {{"run", "--ctx"}, {"0", "16777216"}},
      {{"run", "--slices"}, {"1", "64"}},
      {{"run", "--prefill-chunk"}, {"1", "4096"}},
      {{"run", "--workers"}, {"0", "256"}},
      {{"run", "--read-depth"}, {"0", "64"}},
      {{"run", "--temp"}, {"0", "1000"}},
      {{"run", "--top-p"}, {"0", "1"}},
      {{"run", "--min-p"}, {"0.0", "1.0"}},
      {{"run", "--repeat-penalty"}, {"0.001", "1e3"}},
      {{"run", "--sim-compute"}, {"1", "1000"}},
      {{"bench", "--generate"}, {"1", "8388607"}},
      {{"eval", "--greedy"}, {"0", "16777216"}},
      {{"run", "--ram"}, {"0", "1000000TB"}},
      {{"serve", "--serve-rate"}, {"1000", "1TB/s"}},
      {{"serve", "--port"}, {"0", "65535"}},
      {{"serve", "--drain-timeout"}, {"0", "86400"}},
      {{"serve", "--session-save-timeout"}, {"0", "86400"}},
  };
  for (const auto& [flag, range] : kRanges) {
    for (const char* text : {range.first, range.second}) {
      EXPECT_EQ(error_of(with(least(flag[0]), {flag[1], text})), "") << flag[1];
    }
  }
  for (const auto& [flag, text] : {std::pair{"--threads", "257"},
                                   {"--slices", "0"},
                                   {"--temp", "1000.001"},
                                   {"--top-p", "1.0000001"}}) {
    EXPECT_NE(error_of({"run", "m", flag, text}), "") << flag;
  }
}

TEST_F(CommandLines, FlagsOverVariablesOverFile) {
  configure(
      "[run]\nthreads = 3\nquiet = true\nkv = \"q8_0\"\ntemplate-arg = [\"a=1\", \"b=2\"]\n"
      "temp = 0.5\n[join]\nthreads = 5\n");
  ASSERT_EQ(error_of({"run", "m"}), "");
  EXPECT_EQ(value_of("--threads"), "3");
  EXPECT_EQ(value_of("--kv"), "q8_0");
  EXPECT_EQ(value_of("--quiet"), "true");
  EXPECT_EQ(value_of("--temp"), "0.5");
  EXPECT_EQ(line_.command->parser->get_option("--template-arg")->count(), 2U);
  ASSERT_EQ(error_of({"run", "m"}, {{"POTLUCK_THREADS", "7"}, {"POTLUCK_KV", ""}}), "");
  EXPECT_EQ(value_of("--threads"), "7");
  EXPECT_EQ(value_of("--kv"), "q8_0");
  ASSERT_EQ(error_of({"run", "m", "--threads=9"}, {{"POTLUCK_THREADS", "7"}}), "");
  EXPECT_EQ(value_of("--threads"), "9");
  ASSERT_EQ(error_of({"join"}), "");
  EXPECT_EQ(value_of("--threads"), "5");
  configure("[run]\nthreads = -1\n[join]\nthreads = 5\n");
  EXPECT_NE(error_of({"run", "m"}), "");
  EXPECT_EQ(error_of({"run", "m"}, {{"POTLUCK_THREADS", "7"}}), "");
  EXPECT_EQ(error_of({"run", "m", "--threads", "9"}), "");
  EXPECT_NE(error_of({"join"}), "");
  ASSERT_EQ(error_of({"--no-config", "join"}), "");
  EXPECT_EQ(line_.command->parser->get_option("--threads")->count(), 0U);
}

TEST_F(CommandLines, NothingInTheFileIsWithoutEffect) {
  const std::pair<std::string, std::vector<std::string>> kCases[] = {
      {"threads = 4\n", {":1: threads: stands outside of a table", "[run]"}},
      {"[run]\nthreds = 4\n", {":2: threds: [run] has no such key", "'threads'"}},
      {"[run]\nprefill_chunk = 4\n", {":2: prefill_chunk", "'prefill-chunk'"}},
      {"\n\n[rnu]\nthreads = 4\n", {":3: [rnu]: no such command", "'run'"}},
      {"[rnu]\n", {":1: [rnu]: no such command"}},
      {"[serve]\nseed = 4\n", {":2: seed: [serve] has no such key"}},
      {"[run.more]\nthreads = 4\n", {":1: [run.more]"}},
      {"[[run]]\nthreads = 4\n", {":1: [[run]]: expected [run]"}},
      {"run = 4\n", {":1: run: stands outside of a table"}},
      {"run.threads.x = 4\n", {":1: [run.threads]"}},
      {"\xEF\xBB\xBF[run]\nthreads = 4\n", {":1: ", "byte order mark"}},
      {std::string("\xFF\xFE[\0r\0", 6), {":1: ", "UTF-16"}},
      {"[run\nthreads = 4\n", {":1: "}},
      {"[.run]\nthreads = 4\n", {":1: "}},
      {"[run.]\nthreads = 4\n", {":1: "}},
      {"[]\nthreads = 4\n", {":1: "}},
      {"[run]]\nthreads = 4\n", {":1: "}},
      {"[run]\nthreads 4\n", {":2: "}},
      {"[run]\nthreads =\n", {":2: "}},
      {"[run]\nthreads = 4\nthreads = 5\n", {":3: ", "threads"}},
      {"[run]\nthreads = 4\n[run]\nkv = \"f16\"\n", {":3: "}},
      {"[run]\nkv = f16\n", {":2: "}},
      {"[run]\nkv = 16\n", {":2: kv: expected a text in quotes"}},
      {"[run]\nkv = \"q4\"\n", {":2: kv: expected f16, f32, q8_0, found 'q4'"}},
      {"[run]\nquiet = \"yes\"\n", {":2: quiet: expected true or false"}},
      {"[run]\nquiet = 1\n", {":2: quiet: expected true or false"}},
      {"[run]\nstore = true\n", {":2: store: expected a value"}},
      {"[run]\nstore = [\"a\"]\n", {":2: store: expected one value"}},
      {"[run]\nthreads = 4.0\n", {":2: threads: expected a whole number"}},
      {"[run]\nMODEL = \"m\"\n", {":2: MODEL"}},
      {"[run]\nhelp = true\n", {":2: help"}},
      {"[run]\n\"\" = 1\n", {":2: "}},
      {"[eval]\ntext = \"f\"\n", {":2: text: [eval] has no such key"}},
      {"[run]\nname = \"\x80\"\n", {":2: "}},
      {"[run]\n\x1b[31m = 1\n", {":2: "}},
      {std::string("[run]\nthreads = 4\n\0", 19), {":3: "}},
      {std::string(300, '[') + "\n", {":1: "}},
  };
  for (const auto& [text, saying] : kCases) {
    const std::string error = config_error(text);
    EXPECT_THAT(error, HasSubstr(kConfig)) << text;
    for (const std::string& part : saying) EXPECT_THAT(error, HasSubstr(part)) << text;
    EXPECT_NE(error_of({"version"}), "") << text;
    EXPECT_EQ(error_of({"--no-config", "version"}), "") << text;
  }
  for (const char* harmless : {"", "\n", "# nothing\n", "[run]\n", "[run]\r\nthreads = 4\r\n"}) {
    EXPECT_EQ(config_error(harmless), "") << harmless;
  }
}

// Every key of every command is taken, and every key one letter off is refused with a suggestion or
// at least by name.
TEST_F(CommandLines, KeysThatAreNotFlagsAreRefused) {
  std::vector<std::pair<std::string, std::string>> keys;
  for (const Command& command : all_commands()) {
    for (const CLI::Option* option : command.parser->get_options()) {
      if (option->get_lnames().empty() || !option->get_configurable()) continue;
      keys.emplace_back(command.parser->get_name(), option->get_lnames().front());
    }
  }
  EXPECT_GT(keys.size(), 80U);
  for (const auto& [command, key] : keys) {
    for (const std::string& wrong : {key.substr(1), "no-" + key}) {
      const bool is_other =
          std::find(keys.begin(), keys.end(), std::pair(command, wrong)) != keys.end();
      if (is_other) continue;
      const std::string error = config_error("[" + command + "]\n" + wrong + " = \"1\"\n");
      ASSERT_THAT(error,
                  StartsWith(kConfig + ":2: " + wrong + ": [" + command + "] has no such key"));
    }
    const std::string error = config_error("[" + command + "]\n" + key + "x = \"1\"\n");
    EXPECT_THAT(error, key.size() > 2 ? HasSubstr("did you mean '") : HasSubstr(key));
  }
}

TEST_F(CommandLines, FilesThatCannotBeReadAreNamed) {
  EXPECT_EQ(error_of({"version"}), "");  // none is fine
  EXPECT_THAT(error_of({"--config", "/no/such.toml", "version"}), HasSubstr("/no/such.toml"));
  EXPECT_NE(error_of({"--config", "", "version"}), "");
  configure(std::string(2 * kMiB, '#'));
  EXPECT_THAT(error_of({"version"}), testing::AllOf(HasSubstr(kConfig), HasSubstr("at most")));
}

TEST_F(CommandLines, UnknownVariablesAreTold) {
  ASSERT_EQ(error_of({"version"}, {{"POTLUCK_THREDS", "4"},
                                   {"POTLUCK_HOME", "/x"},
                                   {"POTLUCK_RAM", "1G"},
                                   {"POTLUCK_\x1b", "1"}}),
            "");
  EXPECT_THAT(line_.notices,
              testing::ElementsAre(HasSubstr("POTLUCK_\\x1b: no such variable"),
                                   AllOf(HasSubstr("POTLUCK_THREDS: no such variable"),
                                         HasSubstr("'POTLUCK_THREADS'"))));
}

TEST_F(CommandLines, WrongUseSuggestsWhatWasMeant) {
  EXPECT_THAT(error_of({"rnu", "m"}), HasSubstr("unknown command 'rnu', did you mean 'run'?"));
  EXPECT_THAT(error_of({"\x1b[31m"}), HasSubstr("'\\x1b[31m'"));
  EXPECT_THAT(error_of({"run", "m", "--thread", "4"}),
              testing::AllOf(HasSubstr("--thread"), HasSubstr("did you mean --threads?")));
  EXPECT_THAT(error_of({"run"}), HasSubstr("MODEL"));
  EXPECT_THAT(error_of({"run", "m", "--threads", "1", "--threads", "2"}), HasSubstr("--threads"));
  EXPECT_NE(error_of({"--config", "x"}), "");
  EXPECT_EQ(error_of({"run", "--help"}), "");
  EXPECT_THAT(line_.help, testing::AllOf(HasSubstr("--threads N"), HasSubstr("POTLUCK_THREADS")));
  EXPECT_EQ(line_.command, nullptr);
}

}  // namespace
}  // namespace potluck
