// A server of the HTTP APIs and the pages without a model, for tests of real clients and browsers:
// scripted_server [KEYFILE].
// Prints its address on one line, and "cancelled N" for every request whose client has left. Ends
// with its standard input.
#include <cstdio>
#include <string>

#include <unistd.h>

#include "coordinator/serving/http/api_server.h"
#include "coordinator/serving/http/web_file.h"
#include "tests/support/scripted_service/scripted_answers.h"
#include "tests/support/scripted_service/scripted_service.h"

int main(int count, char** arguments) {
  using namespace potluck;
  test::ScriptedService service(test::ScriptedAnswers{}, std::chrono::milliseconds(2));
  service.on_cancel([](CompletionId id) {
    std::printf("cancelled %llu\n", static_cast<unsigned long long>(id));
    std::fflush(stdout);
  });
  const std::unique_ptr<Storage> storage = make_system_storage();
  SystemClock clock;
  SystemEntropy entropy;
  ApiServerOptions options;
  options.http.port = 0;
  options.version = "test";
  options.pages = web_files();
  if (count > 1) options.api_key_file = arguments[1];
  const auto server = ApiServer::start(options, &service, *storage, &clock, &entropy, nullptr);
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  std::printf("%s\n", (*server)->url().c_str());
  std::fflush(stdout);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) continue;
  return 0;
}
