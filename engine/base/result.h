// Result<T>: a value, or an Error that says what was expected and what was found. Everything that
// can fail for a reason outside the program returns one; exceptions do not cross module borders.
// A Result is a plain value and belongs to its holder.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "engine/base/check.h"

namespace potluck {

enum class ErrorCode {
  kInvalidArgument,  // the caller or the user asked for something that makes no sense
  kCorrupt,          // a file or a message breaks its own format
  kUnsupported,      // well-formed, but nothing we know how to handle
  kNotFound,
  kIo,       // the operating system said no
  kLimit,    // larger than a limit in engine/base/limits.h
  kRefused,  // a peer may not do this
  kTimeout,
  kArithmetic,  // a value left its range: not finite, too large (docs/ARITHMETIC.md, 9)
  kCancelled,   // the user asked to stop
};

struct Error {
  ErrorCode code;
  std::string message;  // for people: names the file, peer or flag; no trailing full stop

  // The same error with "prefix: " in front, for adding the name of a file or peer on the way up.
  Error in(const std::string& prefix) const { return {code, prefix + ": " + message}; }
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return std::holds_alternative<T>(state_); }
  explicit operator bool() const { return ok(); }

  T& value() & {
    CHECK(ok());
    return *std::get_if<T>(&state_);
  }
  const T& value() const& {
    CHECK(ok());
    return *std::get_if<T>(&state_);
  }
  T&& value() && {
    CHECK(ok());
    return std::move(*std::get_if<T>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const {
    CHECK(!ok());
    return *std::get_if<Error>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}  // NOLINT: implicit on purpose

  bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  const Error& error() const {
    CHECK(!ok_);
    return error_;
  }

 private:
  Error error_{ErrorCode::kInvalidArgument, {}};
  bool ok_ = true;
};

using Status = Result<void>;

}  // namespace potluck
