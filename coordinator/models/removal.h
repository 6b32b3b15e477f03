// What removing a model from this machine means: which files and folders go, and which must stay
// because they are another program's or shared. plan_removal() looks, remove_model() does it.
// Plain functions; one thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/models/model_catalog.h"

namespace potluck {

struct Removal {
  std::vector<std::string> files;    // in the order in which they go; the one that is found first
  std::vector<std::string> folders;  // whole: stores of experts, what a pull keeps of itself
  std::vector<std::string> emptied;  // removed if nothing else is in them
  uint64_t bytes = 0;                // that the disk gets back
};

struct RemovalWish {
  std::string store;            // of the model's experts, which goes as well if it is there
  bool other_programs = false;  // asked for clearly
};

// kRefused: it belongs to another program, or to the user; the error names the flag or that
// program's own command.
Result<Removal> plan_removal(Storage& storage, const FoundModel& model, const RemovalWish& wish);

// Processes that have any of it open, for people.
std::vector<std::string> users_of(const Removal& removal);

// What fails is told; the rest is removed all the same.
Status remove_model(Storage& storage, const Removal& removal);

}  // namespace potluck
