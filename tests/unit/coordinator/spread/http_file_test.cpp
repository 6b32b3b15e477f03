#include "coordinator/spread/http_file.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/spread/range_server.h"

namespace potluck {
namespace {

using test::RangeRequest;
using test::RangeServer;

std::string file_content() {
  std::string content;
  for (uint64_t i = 0; content.size() < 3'000'000; ++i) content += std::to_string(i * 7919) + ",";
  return content;
}

std::string part_of(const std::string& content, const RangeRequest& request,
                    const std::string& more = "ETag: \"v1\"\r\n") {
  const uint64_t last = std::min<uint64_t>(request.last, content.size() - 1);
  const uint64_t bytes = last - request.first + 1;
  return fmt::format(
             "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes "
             "{}-{}/{}\r\n{}\r\n",
             bytes, request.first, last, content.size(), more) +
         content.substr(request.first, bytes);
}

class HttpFileTest : public testing::Test {
 protected:
  HttpFileTest() {
    options_.first_pause = std::chrono::milliseconds(1);
    options_.attempts = 3;
  }

  // Opens the file, then reads [begin, begin + bytes) of it.
  Status read(const std::string& url, uint64_t begin, size_t bytes) {
    auto file = HttpFile::open(url, options_);
    if (!file) return file.error();
    found_.assign(bytes, '\0');
    return (*file)->read_at(begin, std::as_writable_bytes(std::span(found_)));
  }
  // Answers the first request, which opens the file, as it should be, and the others as told.
  RangeServer::Answer after_opening(RangeServer::Answer others) {
    return [this, others](const RangeRequest& request) {
      return requests_++ == 0 ? part_of(content_, request) : others(request);
    };
  }

  HttpOptions options_;
  std::string content_ = file_content();
  std::string found_;
  std::atomic<int> requests_{0};
};

TEST_F(HttpFileTest, ReadsRanges) {
  RangeServer server([&](const RangeRequest& request) { return part_of(content_, request); });
  ASSERT_TRUE(read(server.url("/m.gguf"), 5, 2'000'000));
  EXPECT_TRUE(found_ == content_.substr(5, 2'000'000));
  ASSERT_TRUE(read(server.url("/m.gguf"), content_.size() - 3, 3));
  EXPECT_EQ(found_, content_.substr(content_.size() - 3));
  EXPECT_FALSE(read(server.url("/m.gguf"), content_.size() - 3, 4)) << "beyond the end";
}

TEST_F(HttpFileTest, GoesOnWhereATransferWasCutOff) {
  RangeServer server(after_opening([&](const RangeRequest& request) {
    std::string answer = part_of(content_, request);
    if (answer.size() > 600'000) answer.resize(600'000);
    return answer;
  }));
  ASSERT_TRUE(read(server.url("/m"), 0, 2'500'000));
  EXPECT_TRUE(found_ == content_.substr(0, 2'500'000));
  uint64_t asked_from = 0;
  for (const RangeRequest& request : server.requests()) {
    EXPECT_GE(request.first, asked_from) << "no byte twice";
    asked_from = request.first;
  }
}

TEST_F(HttpFileTest, AsksABusyServerAgain) {
  RangeServer server(after_opening([&](const RangeRequest& request) -> std::string {
    if (requests_ == 2) return "HTTP/1.1 429 Slow\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    if (requests_ == 3) return "HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\ndown";
    return part_of(content_, request);
  }));
  ASSERT_TRUE(read(server.url("/m"), 0, 1'500'000));
  EXPECT_TRUE(found_ == content_.substr(0, 1'500'000));
}

TEST_F(HttpFileTest, GivesUpAfterSomeAttemptsWithoutAByte) {
  RangeServer server(after_opening([&](const RangeRequest&) {
    return std::string("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
  }));
  Status failed = read(server.url("/m"), 0, 1'500'000);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kIo);
  EXPECT_NE(failed.error().message.find("500"), std::string::npos) << failed.error().message;
  EXPECT_EQ(requests_, 4);
}

TEST_F(HttpFileTest, WaitsAsLongAsTheServerSays) {
  RangeServer server(after_opening([&](const RangeRequest& request) -> std::string {
    if (requests_ == 2) return "HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    return part_of(content_, request);
  }));
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(read(server.url("/m"), 0, 1'500'000));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(950));
}

TEST_F(HttpFileTest, EndsWhenTheProcessIsToEnd) {
  std::atomic<bool> stop{false};
  options_.stop = &stop;
  RangeServer server(after_opening([&](const RangeRequest&) {
    stop = true;
    return std::string("HTTP/1.1 429 Slow\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n");
  }));
  Status failed = read(server.url("/m"), 0, 1'500'000);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kCancelled);
}

TEST_F(HttpFileTest, AFileThatChangedIsAnError) {
  RangeServer server(after_opening(
      [&](const RangeRequest& request) { return part_of(content_, request, "ETag: \"v2\"\r\n"); }));
  Status failed = read(server.url("/m"), 0, 1'500'000);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(failed.error().message.find("changed"), std::string::npos) << failed.error().message;
  EXPECT_EQ(requests_, 2) << "it is not asked again";
}

TEST_F(HttpFileTest, AnotherRangeThanWasAskedForIsAnError) {
  for (int kind = 0; kind < 4; ++kind) {
    requests_ = 0;
    RangeServer server(after_opening([&](const RangeRequest& request) {
      RangeRequest other = request;
      if (kind == 0) other.first += 1;
      if (kind == 1) other.last += 1;
      if (kind == 2) {
        return std::string("HTTP/1.1 206 OK\r\nETag: \"v1\"\r\nContent-Length: 3\r\n\r\nabc");
      }
      if (kind == 3) {
        return fmt::format(
            "HTTP/1.1 206 OK\r\nETag: \"v1\"\r\nContent-Range: bytes 0-1/9\r\n"
            "Content-Length: 2\r\n\r\nab");
      }
      return part_of(content_, other);
    }));
    Status failed = read(server.url("/m"), 10, 1'500'000);
    ASSERT_FALSE(failed) << kind;
    EXPECT_EQ(failed.error().code, ErrorCode::kCorrupt) << kind << failed.error().message;
  }
}

TEST_F(HttpFileTest, MoreBytesThanAnnouncedAreNotTaken) {
  RangeServer server(after_opening([&](const RangeRequest& request) {
    return fmt::format("HTTP/1.1 206 OK\r\nETag: \"v1\"\r\nContent-Range: bytes {}-{}/{}\r\n\r\n",
                       request.first, request.last, content_.size()) +
           std::string(2'000'000, 'x');
  }));
  Status failed = read(server.url("/m"), 0, 1'500'000);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kCorrupt);
}

TEST_F(HttpFileTest, AServerWithoutRangesIsRefusedAtOnce) {
  RangeServer server([&](const RangeRequest&) {
    return fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content_.size()) + content_;
  });
  Status failed = read(server.url("/m"), 0, 10);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kUnsupported);
}

TEST_F(HttpFileTest, SaysWhatIsNotThereOrNotAllowed) {
  for (auto [status, code] : {std::pair{404, ErrorCode::kNotFound},
                              {403, ErrorCode::kRefused},
                              {401, ErrorCode::kRefused},
                              {416, ErrorCode::kCorrupt}}) {
    RangeServer server([status = status](const RangeRequest&) {
      return fmt::format("HTTP/1.1 {} No\r\nContent-Length: 0\r\n\r\n", status);
    });
    Status failed = read(server.url("/m"), 0, 10);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, code) << status;
  }
}

TEST_F(HttpFileTest, FollowsRedirectionsAndKeepsTheTokenFromOtherHosts) {
  RangeServer store([&](const RangeRequest& request) { return part_of(content_, request); });
  RangeServer hub([&](const RangeRequest&) {
    return fmt::format("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
                       store.url("/signed?x=1", "localhost"));
  });
  options_.token = "secret-token";
  ASSERT_TRUE(read(hub.url("/m"), 0, 1'500'000));
  EXPECT_TRUE(found_ == content_.substr(0, 1'500'000));
  for (const RangeRequest& request : hub.requests()) {
    EXPECT_NE(request.text.find("Bearer secret-token"), std::string::npos);
  }
  ASSERT_FALSE(store.requests().empty());
  for (const RangeRequest& request : store.requests()) {
    EXPECT_EQ(request.text.find("secret-token"), std::string::npos) << request.text;
  }
}

TEST_F(HttpFileTest, RedirectionsWithoutEndAreAnError) {
  RangeServer server([&](const RangeRequest&) {
    return std::string("HTTP/1.1 302 Found\r\nLocation: /m\r\nContent-Length: 0\r\n\r\n");
  });
  Status failed = read(server.url("/m"), 0, 10);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kRefused) << failed.error().message;
}

TEST_F(HttpFileTest, RedirectionsToOtherProtocolsAreAnError) {
  RangeServer server([&](const RangeRequest&) {
    return std::string(
        "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n"
        "Content-Length: 0\r\n\r\n");
  });
  EXPECT_FALSE(read(server.url("/m"), 0, 10));
}

TEST_F(HttpFileTest, EndlessHeadersAreAnError) {
  RangeServer server([&](const RangeRequest&) {
    std::string answer = "HTTP/1.1 206 OK\r\n";
    for (int i = 0; i < 4000; ++i) answer += fmt::format("X-{}: {}\r\n", i, std::string(200, 'y'));
    return answer + "\r\n";
  });
  EXPECT_FALSE(read(server.url("/m"), 0, 10));
}

TEST_F(HttpFileTest, AddressesWithAPasswordOrWithoutAHostAreRefused) {
  for (const char* address :
       {"https://user:password@example.org/m.gguf", "https:///m.gguf", "ftp://example.org/m.gguf",
        "https://example.org/a b", "https://example.org/a\nb"}) {
    auto file = HttpFile::open(address, options_);
    ASSERT_FALSE(file) << address;
    EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(file.error().message.find("password@"), std::string::npos);
  }
}

}  // namespace
}  // namespace potluck
