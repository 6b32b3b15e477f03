// What makes the program `potluck` of the commands: all of them. One thread.
#pragma once

#include "coordinator/cli/command_line.h"

namespace potluck {

// Fills what commands of a coordinator need in the environment, which must outlive the program.
Program potluck_program(Environment& environment);

}  // namespace potluck
