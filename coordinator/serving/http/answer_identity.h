// AnswerIdentity: what an answer says of itself, whichever API it is for. A plain value.
#pragma once

#include <cstdint>
#include <string>

namespace potluck {

// The same in all parts of a stream.
struct AnswerIdentity {
  std::string id;
  int64_t created = 0;  // unix seconds
  std::string model;
  std::string fingerprint;
};

}  // namespace potluck
