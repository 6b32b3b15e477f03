// LocalWorkers: worker processes on this machine, children of this one. Each is a real `potluck
// join` with a store of its own; they get their invitations through the environment, never on the
// command line, and end when the parent does, however that ends. One thread.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

#include "engine/base/result.h"
#include "engine/base/storage.h"

namespace potluck {

struct LocalWorkersOptions {
  std::string program;          // path of the potluck binary
  std::string store_directory;  // worker K uses DIR/worker-K, or the next one that is free
  uint64_t ram_bytes = 0;       // of each worker's expert cache; see plan_pool_memory()
  int threads = 1;
  std::string isa;
  std::string model_path{};                   // what they cut their experts from; empty: fetched
  std::vector<std::string> more_arguments{};  // for the command line of every `potluck join`
  // What starts a worker instead of this process itself, such as {"/sbin/ip", "netns", "exec",
  // "host{}"}: the worker's command line follows, and {} is its number. It has to become the
  // worker.
  std::vector<std::string> launcher{};
};

class LocalWorkers {
 public:
  LocalWorkers(LocalWorkersOptions options, Storage& storage)
      : options_(std::move(options)), storage_(storage) {}
  ~LocalWorkers();  // ends them
  LocalWorkers(const LocalWorkers&) = delete;
  LocalWorkers& operator=(const LocalWorkers&) = delete;

  // Starts one worker that redeems `token`.
  Status start(const std::string& token);

  size_t started() const { return children_.size(); }
  // Notices children that have ended since the last call.
  size_t running();
  std::vector<pid_t> process_ids() const;

  // Asks them to end, gives them a moment, then ends them.
  void stop();

 private:
  struct Child {
    pid_t process = 0;
    bool running = true;
  };

  Result<std::string> free_store();
  std::vector<std::string> command_for(const std::string& store) const;

  LocalWorkersOptions options_;
  Storage& storage_;
  std::vector<Child> children_;
  uint32_t next_store_ = 1;
};

}  // namespace potluck
