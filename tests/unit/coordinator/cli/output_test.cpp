#include "coordinator/cli/output.h"

#include <nlohmann/json.hpp>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "coordinator/cli/standard_streams.h"

namespace potluck {
namespace {

class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe(ends_), 0); }
  ~Pipe() {
    close_reader();
    close_writer();
  }
  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  void close_reader() { close_end(0); }
  void close_writer() { close_end(1); }
  std::string read_all() {
    close_writer();
    std::string all;
    char buffer[4096];
    for (ssize_t got; (got = read(ends_[0], buffer, sizeof buffer)) > 0;) {
      all.append(buffer, static_cast<size_t>(got));
    }
    return all;
  }

 private:
  void close_end(int i) {
    if (ends_[i] >= 0) close(ends_[i]);
    ends_[i] = -1;
  }
  int ends_[2] = {-1, -1};
};

const std::string kHostile = "a\x1b[31m\r\n\t\xff\xc2\x9b";

TEST(Output, TextOfAModelStaysExactExceptOnATerminal) {
  Pipe file, terminal;
  Output exact(file.writer(), false);
  Output shown(terminal.writer(), true);
  for (char byte : kHostile) {
    EXPECT_TRUE(exact.text({&byte, 1}));
    EXPECT_TRUE(shown.text({&byte, 1}));
  }
  EXPECT_TRUE(exact.finish().ok());
  EXPECT_TRUE(shown.finish().ok());
  EXPECT_EQ(file.read_all(), kHostile);
  EXPECT_EQ(terminal.read_all(), "a\\x1b[31m\n\t\\xff\\u009b");
}

TEST(Output, ReportsAreHarmlessEverywhere) {
  Pipe file;
  Output out(file.writer(), false);
  out.line("name " + kHostile);
  out.json({{"name", kHostile}});
  EXPECT_TRUE(out.finish().ok());
  EXPECT_EQ(file.read_all(),
            "name a\\x1b[31m\\x0d\\x0a\\x09\\xff\\u009b\n"
            "{\"name\":\"a\\u001b[31m\\r\\n\\t\xEF\xBF\xBD\\u009b\"}\n");
}

TEST(Output, AFullDeviceIsAnError) {
  const int full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  Output out(full, false);
  EXPECT_TRUE(out.works());
  out.line("lost");
  EXPECT_FALSE(out.works());
  EXPECT_FALSE(out.reader_gone());
  EXPECT_FALSE(out.text("more"));
  Status done = out.finish();
  ASSERT_FALSE(done.ok());
  EXPECT_NE(done.error().message.find("standard output: No space left"), std::string::npos);
  close(full);
}

TEST(Output, AClosedPipeAndAClosedDescriptorAreToldApart) {
  let_writes_fail();
  Pipe pipe;
  pipe.close_reader();
  Output out(pipe.writer(), false);
  EXPECT_FALSE(out.text("x"));
  EXPECT_TRUE(out.reader_gone());
  Output closed(-1, false);
  closed.line("x");
  EXPECT_FALSE(closed.works());
  EXPECT_FALSE(closed.reader_gone());
  EXPECT_FALSE(closed.finish().ok());
}

TEST(Output, WaitsForAPipeThatDoesNotBlock) {
  Pipe pipe;
  fcntl(pipe.writer(), F_SETFL, O_NONBLOCK);
  const std::string large(1'000'000, 'x');  // more than a pipe holds
  int error = -1;
  std::thread writer([&] {
    error = write_all(pipe.writer(), large);
    pipe.close_writer();
  });
  char buffer[65536];
  size_t got = 0;
  for (ssize_t now; (now = read(pipe.reader(), buffer, sizeof buffer)) > 0;) {
    got += static_cast<size_t>(now);
  }
  writer.join();
  EXPECT_EQ(error, 0);
  EXPECT_EQ(got, large.size());
}

}  // namespace
}  // namespace potluck
