// The first run: `potluck` without arguments at a terminal asks three questions (which model, who
// may join, where to listen) and turns the answers into a command line of `potluck serve`. What is
// asked and what is shown pass through seams. One thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/cli/local_models.h"
#include "coordinator/cli/message_input.h"

namespace potluck {

// A model, and what this machine alone would do with it.
struct OfferedModel {
  NamedModel model;
  std::optional<double> tokens_per_second;
  bool from_disk = false;  // more experts than fit into memory
  std::string obstacle;    // why it cannot run here; empty: it can
};

// Kept from one time to the next: what Enter means.
struct FirstAnswers {
  std::string model;   // the argument
  uint32_t who = 1;    // may join: 1 no device, 2 by code, 3 by invitation
  std::string listen;  // HOST:PORT of the HTTP API
};

struct FirstRunSeams {
  MessageInput& input;
  std::function<void(const std::string& line)> say;
  std::function<bool()> goes_on;                         // false: the user wants to stop
  std::function<bool(const std::string& path)> is_file;  // for a path that was typed
  std::function<bool(uint16_t port)> port_free;          // TCP, on all interfaces
};

// Nothing when the input ended or the user stopped.
std::optional<FirstAnswers> ask_first_run(const std::vector<OfferedModel>& offered,
                                          const FirstAnswers& last, const FirstRunSeams& seams);

// The arguments that the answers mean, beginning with "serve".
std::vector<std::string> first_command(const FirstAnswers& answers,
                                       const std::function<bool(uint16_t port)>& port_free);

// As it would be typed into a shell.
std::string shell_line(const std::vector<std::string>& arguments);

}  // namespace potluck
