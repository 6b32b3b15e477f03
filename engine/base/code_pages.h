// Memory that the program's own code takes. Any thread.
#pragma once

#include "engine/base/system_files.h"

namespace potluck {

// Gives back the pages of code that were read so far: what is used again is mapped again, mostly
// without a read, since the system still has the file. For processes that wait for long after a
// start that runs much of their code once (the self-test of the kernels). Does nothing under a
// debugger, whose breakpoints are in these pages.
void give_back_code_pages(const SystemFiles& system);

}  // namespace potluck
