// Messages for tests of the codec: the smallest, a usual and the largest of each kind, and a check
// that what came out of a decoder keeps to the limits, written without the decoder's help.
#pragma once

#include <string>
#include <vector>

#include "protocol/message.h"

namespace potluck {

std::vector<Message> sample_messages();

// Empty, or what is wrong.
std::string broken_limit(const Message& message);

}  // namespace potluck
