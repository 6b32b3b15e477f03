// The language against what Jinja2 writes: tests/data/chat/language.json.
#include <fstream>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "tests/support/test_files.h"
#include "tests/unit/engine/template/rendering.h"

namespace potluck {
namespace {

TEST(Language, WritesWhatJinjaWrites) {
  std::ifstream file(test::data_path("chat/language.json"));
  const auto data = nlohmann::ordered_json::parse(file);
  ASSERT_EQ(data["local_seconds"], test::kLocalSeconds);
  const std::string variables = data["variables"].dump();
  size_t count = 0;
  for (const auto& test_case : data["cases"]) {
    const std::string source = test_case["template"];
    const auto rendered = test::render(source, variables);
    const std::string name = test_case["name"];
    ASSERT_TRUE(rendered.ok()) << name << ": " << rendered.error().message;
    EXPECT_EQ(rendered->bytes(), test_case["expected"].get<std::string>())
        << name << ": " << source;
    ++count;
  }
  EXPECT_GT(count, 100U);
}

TEST(Language, GoesOnOverEveryLineEnd) {
  EXPECT_EQ(test::render("a\r\n{% if true %}\r\nb\r{% endif %}")->bytes(), "a\nb\n");
}

TEST(Language, EvaluatesWhatIsCalledOnce) {
  EXPECT_EQ(test::render("{% set l = [] %}{% set ns = namespace(f=dict) %}"
                         "{{ [ns, l.append(1)][0].f(a=2) }}{{ l }}")
                ->bytes(),
            "{'a': 2}[1]");
  // Twice each would be 2^40 steps.
  std::string chain = "ns";
  for (int i = 0; i < 40; ++i) chain += ".f(f=namespace)";
  const auto rendered =
      test::render("{% set ns = namespace(f=namespace) %}{{ " + chain + ".g is defined }}");
  ASSERT_TRUE(rendered) << rendered.error().message;
  EXPECT_EQ(rendered->bytes(), "False");
}

}  // namespace
}  // namespace potluck
