// Kinds of messages: their places in Message, by type. Constants.
#pragma once

#include <type_traits>
#include <variant>

#include "protocol/message.h"

namespace potluck::sim {

inline constexpr size_t kMessageKinds = std::variant_size_v<Message>;

template <class T, size_t I = 0>
consteval size_t kind_of() {
  if constexpr (std::is_same_v<T, std::variant_alternative_t<I, Message>>) {
    return I;
  } else {
    return kind_of<T, I + 1>();
  }
}

template <size_t I = 0>
const char* kind_name(size_t kind) {
  if constexpr (I == kMessageKinds) {
    return "no kind";
  } else {
    return kind == I ? message_name(std::variant_alternative_t<I, Message>{})
                     : kind_name<I + 1>(kind);
  }
}

}  // namespace potluck::sim
