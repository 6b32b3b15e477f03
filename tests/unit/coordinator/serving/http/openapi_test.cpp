// docs/openapi.json describes the routes that there are, and no others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/serving/http/openapi_document.h"
#include "coordinator/serving/http/routes.h"
#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using nlohmann::json;

using Routes = std::set<std::pair<std::string, std::string>>;  // path, method

// As the routes name paths: "/v1/models/{id}" is "/models/".
std::string routed_path(std::string path) {
  if (path.starts_with("/v1/")) path.erase(0, 3);
  return path.substr(0, path.find('{'));
}

std::string upper_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

Routes described_routes(const json& document) {
  Routes routes;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      routes.emplace(routed_path(path), upper_case(method));
    }
  }
  return routes;
}

TEST(OpenApi, HasEveryRouteAndNoOther) {
  const json document = json::parse(openapi_document());
  EXPECT_EQ(document["openapi"], "3.1.0");
  Routes answered{{"/", "GET"}, {"/chat", "GET"}, {"/web/", "GET"}};  // the pages
  for (const RouteName& route : ApiRoutes::list()) answered.emplace(route.path, route.method);
  for (const RouteName& route : DashboardRoutes::list()) answered.emplace(route.path, route.method);
  EXPECT_EQ(described_routes(document), answered);
}

void expect_references(const json& value, const json& document) {
  if (value.is_object() && value.contains("$ref")) {
    const std::string target = value["$ref"];
    ASSERT_TRUE(target.starts_with("#/")) << target;
    EXPECT_TRUE(document.contains(json::json_pointer(target.substr(1)))) << target;
  }
  if (!value.is_structured()) return;
  for (const auto& [name, member] : value.items()) expect_references(member, document);
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
  const json document = json::parse(openapi_document());
  expect_references(document, document);
  std::set<std::string> names;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      EXPECT_TRUE(names.insert(operation["operationId"]).second) << path;
      EXPECT_TRUE(operation["responses"].contains("default")) << path;
    }
  }
}

}  // namespace
}  // namespace potluck
