#include "engine/model/row_fault.h"

#include <fmt/format.h>

namespace potluck {
namespace {

std::string describe(const RowFault& fault) {
  switch (fault.kind) {
    case RowFault::kNone:
      break;
    case RowFault::kHidden:
      return fmt::format("layer {}: the hidden state is not finite", fault.layer);
    case RowFault::kRouter:
      return fmt::format("layer {}: the router's logits are not finite", fault.layer);
    case RowFault::kExperts:
      return fmt::format("layer {}: an expert's output left the range of the fixed-point sums",
                         fault.layer);
    case RowFault::kLogits:
      return "the logits are not finite";
  }
  return "no fault";
}

}  // namespace

Status fault_status(const RowFault& fault, uint32_t position) {
  if (!fault) return {};
  return Error{ErrorCode::kArithmetic,
               fmt::format("token at position {}, {}", position, describe(fault))};
}

}  // namespace potluck
