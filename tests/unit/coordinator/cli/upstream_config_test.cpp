// [[upstream]] tables: what they may say, and that nothing leaves by default.
#include "coordinator/cli/upstream_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/cli/printed_config.h"
#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kLeast =
    "[[upstream]]\nname = \"cloud\"\naddress = \"https://api.example.org/v1/\"\n"
    "models = [\"large\"]\n";

Result<std::vector<UpstreamTable>> read(const std::string& text) {
  auto settings = parse_config("/etc/p.toml", text, TableForm::kCommands);
  if (!settings) return settings.error();
  return read_upstreams("/etc/p.toml", *settings);
}

std::string fault_of(const std::string& more, const std::string& text = kLeast) {
  auto tables = read(text + more + "\n");
  return tables ? "" : tables.error().message;
}

TEST(UpstreamConfig, EverythingThatATableMaySay) {
  auto tables = read(std::string("[run]\nthreads = 4\n") + kLeast +
                     "style = \"anthropic\"\nkey-file = \"cloud.key\"\nca-file = \"/etc/ca.pem\"\n"
                     "when-cannot-serve = true\nwhen-queue-seconds = 30\n"
                     "when-prompt-tokens = 8000\nwhen-model = true\nat-once = 2\n"
                     "silence-seconds = 5\nanswer-seconds = 50\n");
  ASSERT_TRUE(tables.ok()) << tables.error().message;
  ASSERT_EQ(tables->size(), 1U);
  const Upstream& upstream = tables->front().upstream;
  EXPECT_EQ(upstream.name, "cloud");
  EXPECT_EQ(upstream.address, "https://api.example.org/v1");
  EXPECT_EQ(upstream.style, UpstreamStyle::kAnthropic);
  EXPECT_EQ(tables->front().key_file, "/etc/cloud.key");
  EXPECT_EQ(upstream.ca_file, "/etc/ca.pem");
  EXPECT_THAT(upstream.models, ElementsAre("large"));
  EXPECT_TRUE(upstream.rules.cannot_serve && upstream.rules.model);
  EXPECT_EQ(upstream.rules.queue_seconds, 30U);
  EXPECT_EQ(upstream.rules.prompt_tokens, 8000U);
  EXPECT_EQ(upstream.at_once, 2U);
  EXPECT_THAT(describe_upstream(upstream),
              HasSubstr("prompts of more than 8000 tokens; what asks"));
}

TEST(UpstreamConfig, IsShownAsItWasRead) {
  auto tables = read(kLeast + std::string("key-file = \"cloud.key\"\nwhen-model = true\n"
                                          "when-prompt-tokens = 8000\n"));
  ASSERT_TRUE(tables.ok()) << tables.error().message;
  const std::string shown = printed_upstreams("/etc/p.toml", *tables);
  EXPECT_THAT(shown, testing::StartsWith("\n[[upstream]]\nname = \"cloud\" "));
  EXPECT_THAT(shown, HasSubstr("models = [\"large\"] "));
  EXPECT_THAT(shown, HasSubstr("key-file = \"/etc/cloud.key\" "));
  EXPECT_THAT(shown, HasSubstr("when-model = true "));
  EXPECT_THAT(shown, HasSubstr("when-prompt-tokens = 8000 "));
  EXPECT_THAT(shown, HasSubstr("# /etc/p.toml:7\n"));
  EXPECT_TRUE(read(shown).ok());
  EXPECT_EQ(printed_upstreams("/etc/p.toml", {}), "");
}

TEST(UpstreamConfig, WithoutARuleItIsLeftOut) {
  MemoryStorage storage;
  auto tables = read(kLeast);
  ASSERT_TRUE(tables.ok());
  EXPECT_FALSE(tables->front().upstream.rules.any());
  auto upstreams = load_upstreams(*tables, storage);
  ASSERT_TRUE(upstreams.ok());
  EXPECT_TRUE(upstreams->empty());
}

TEST(UpstreamConfig, FaultsNameTheLine) {
  EXPECT_EQ(fault_of(""), "");
  EXPECT_THAT(fault_of("when-promt-tokens = 4"), HasSubstr("/etc/p.toml:5: when-promt-tokens: no "
                                                           "such key, did you mean"));
  EXPECT_THAT(fault_of("when-prompt-tokens = \"4\""), HasSubstr("expected a number"));
  EXPECT_THAT(fault_of("when-model = 1"), HasSubstr("expected true or false"));
  EXPECT_THAT(fault_of("at-once = 0"), HasSubstr("at-once"));
  EXPECT_THAT(fault_of("style = \"ollama\""), HasSubstr("\"openai\" or \"anthropic\""));
  EXPECT_THAT(fault_of(kLeast), HasSubstr(":5: [[upstream]]: there is an upstream 'cloud'"));
  EXPECT_THAT(fault_of("", "[[upstream]]\nname = \"a\"\nmodels = [\"m\"]\n"),
              HasSubstr("'address' is missing"));
  EXPECT_THAT(fault_of("", "[upstream]\nname = \"a\"\n"), HasSubstr("expected [[upstream]]"));
  EXPECT_THAT(fault_of("", "[[run]]\nthreads = 1\n"), HasSubstr("[[run]]: expected [run]"));
  for (const char* name : {"", "a b", "a\\r\\nX: y", "caf\\u00e9"}) {
    EXPECT_THAT(fault_of("", "[[upstream]]\nname = \"" + std::string(name) + "\"\n"),
                HasSubstr("expected a name of letters"));
  }
  for (const char* model : {"", "a b", "a\\r\\nX: y"}) {
    EXPECT_THAT(fault_of("", "[[upstream]]\nmodels = [\"" + std::string(model) + "\"]\n"),
                HasSubstr("names without blanks"));
  }
  for (const char* address :
       {"ftp://a", "https://", "https://user:pw@a/v1", "https://a/v1?key=1", "https://a b"}) {
    EXPECT_THAT(fault_of("", "[[upstream]]\naddress = \"" + std::string(address) + "\"\n"),
                HasSubstr("address: expected"));
  }
}

TEST(UpstreamConfig, NoKeyGoesOverPlainHttpToAnotherMachine) {
  const auto with = [](const std::string& address) {
    return fault_of("",
                    "[[upstream]]\nname = \"a\"\nmodels = [\"m\"]\nkey-file = \"k\"\naddress = \"" +
                        address + "\"\n");
  };
  EXPECT_EQ(with("http://127.0.0.1:8081/v1"), "");
  EXPECT_EQ(with("http://localhost:8081/v1"), "");
  EXPECT_EQ(with("http://[::1]:8081/v1"), "");
  EXPECT_EQ(with("https://10.0.0.1/v1"), "");
  EXPECT_THAT(with("http://10.0.0.1/v1"), HasSubstr("could be read on the way"));
  EXPECT_THAT(with("http://127.0.0.1.example.org/v1"), HasSubstr("could be read on the way"));
}

TEST(UpstreamConfig, KeysAreReadAndNeverQuoted) {
  MemoryStorage storage;
  ASSERT_TRUE(storage.make_directories("/etc").ok());
  auto tables = read(std::string(kLeast) + "key-file = \"k\"\nwhen-model = true\n");
  ASSERT_TRUE(tables.ok());
  EXPECT_THAT(load_upstreams(*tables, storage).error().message, HasSubstr("/etc/k"));
  ASSERT_TRUE(storage.write_atomic("/etc/k", as_bytes("sk-1\n"), 0600).ok());
  auto upstreams = load_upstreams(*tables, storage);
  ASSERT_TRUE(upstreams.ok());
  EXPECT_EQ(upstreams->front().key, "sk-1");
  for (const char* wrong : {"", "sk-1 sk-2", "sk-1\r\nX-Header: y"}) {
    ASSERT_TRUE(storage.write_atomic("/etc/k", as_bytes(std::string_view(wrong)), 0600).ok());
    const std::string fault = load_upstreams(*tables, storage).error().message;
    EXPECT_THAT(fault, HasSubstr("expected a key and nothing else"));
    EXPECT_EQ(fault.find("sk-"), fault.npos);
  }
}

}  // namespace
}  // namespace potluck
