#include "coordinator/serving/http/web_pages.h"

#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace potluck {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::array<WebFile, 3> kSomeFiles{
    {{"index.html", "<p>"}, {"chat.html", "<b>"}, {"a.js", "let a;"}}};

std::string header_of(const HttpResponse& response, std::string_view name) {
  const std::string* value = find_header(response.headers, name);
  return value == nullptr ? "" : *value;
}

TEST(WebPages, AreFoundByTheirPaths) {
  const WebPages pages(kSomeFiles);
  EXPECT_EQ(pages.find("/", {})->body, "<p>");
  EXPECT_EQ(pages.find("/chat", {})->body, "<b>");
  EXPECT_EQ(pages.find("/web/a.js", {})->body, "let a;");
  EXPECT_EQ(header_of(*pages.find("/web/a.js", {}), "content-type"),
            "text/javascript; charset=utf-8");
  for (const char* path :
       {"/index.html", "/web/index.html", "/web/../a.js", "/a.js", "", "/web/"}) {
    EXPECT_FALSE(pages.find(path, {}).has_value()) << path;
    EXPECT_FALSE(pages.has(path)) << path;
  }
}

TEST(WebPages, RunNothingButWhatTheServerSends) {
  const HttpResponse page = *WebPages(kSomeFiles).find("/", {});
  const std::string policy = header_of(page, "content-security-policy");
  for (const char* rule : {"default-src 'none'", "script-src 'self'", "style-src 'self'",
                           "frame-ancestors 'none'", "require-trusted-types-for 'script'"}) {
    EXPECT_THAT(policy, HasSubstr(rule));
  }
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(policy, Not(HasSubstr("http")));
  EXPECT_EQ(header_of(page, "x-content-type-options"), "nosniff");
  EXPECT_EQ(header_of(page, "referrer-policy"), "no-referrer");
}

TEST(WebPages, AreSentOnceUntilTheyChange) {
  const WebPages pages(kSomeFiles);
  const std::string tag = header_of(*pages.find("/", {}), "etag");
  const auto again = pages.find("/", {{"If-None-Match", tag}});
  EXPECT_EQ(again->status, 304);
  EXPECT_EQ(again->body, "");
  EXPECT_EQ(pages.find("/", {{"If-None-Match", "\"other\""}})->status, 200);
  EXPECT_NE(header_of(*pages.find("/chat", {}), "etag"), tag);
}

}  // namespace
}  // namespace potluck
