// The worker without a command line: plain_worker TOKEN STORE NAME ISA. A tenth of the program's
// sources, for other processors. Ends on SIGTERM.
#include <csignal>

#include <fmt/format.h>

#include "engine/base/clock.h"
#include "engine/base/storage.h"
#include "engine/base/system_files.h"
#include "worker/worker_daemon.h"

namespace potluck {
namespace {

std::atomic<bool> stopped{false};

void stop(int) {
  stopped = true;
}

int run(char** arguments) {
  struct sigaction action {};
  action.sa_handler = stop;
  sigaction(SIGTERM, &action, nullptr);
  WorkerDaemonOptions options;
  options.token = arguments[1];
  options.store_directory = arguments[2];
  options.name = arguments[3];
  options.isa = arguments[4];
  options.version = "plain_worker";
  options.ram_bytes = 64 * kMiB;
  options.disk_bytes = 256 * kMiB;
  options.health.watched = false;
  std::unique_ptr<Storage> storage = make_system_storage();
  SystemClock clock;
  SystemEntropy entropy;
  Status done = run_worker(options, *storage, clock, entropy, system_files(), {}, stopped);
  if (done || stopped) return 0;
  fmt::print(stderr, "plain_worker: {}\n", done.error().message);
  return 1;
}

}  // namespace
}  // namespace potluck

int main(int count, char** arguments) {
  return count == 5 ? potluck::run(arguments) : 2;
}
