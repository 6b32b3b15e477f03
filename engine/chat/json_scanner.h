// JsonScanner: reads one JSON value byte by byte, and says where it and the members of an outermost
// object begin and end. It keeps nothing of the text but how deep it is. Behind the end everything
// but white space is an error. A plain value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace potluck {

class JsonScanner {
 public:
  enum class Step : uint8_t {
    kMore,        // the byte belongs to the value, which goes on
    kKeyEnd,      // likewise, and it ended a key of the outermost object
    kValueBegin,  // likewise, and it began a member's value
    kValueEnd,    // likewise, and it ended a member's value
    kEnd,         // the value ended with this byte
    kPast,        // the value ended before this byte: numbers and names end with what follows them
    kMemberPast,  // a member's value ended before this byte, which the value goes on with
    kPastEnd,     // both: a member's value ended before this byte, the object with it
    kError,       // this byte makes it no JSON
  };

  Step push(char byte);
  bool in_text() const { return in_text_; }

 private:
  enum class Wait : uint8_t { kValue, kFirstItem, kFirstKey, kKey, kColon, kAfter };

  Step push_text(char byte);
  Step push_word(char byte);
  Step push_mark(char byte);
  Step begin_value(char byte);
  Step ended();
  Step close(char byte);

  std::vector<char> open_;  // braces and brackets
  Wait wait_ = Wait::kValue;
  bool in_text_ = false;
  bool is_key_ = false;   // the text that is being read
  bool escapes_ = false;  // behind a backslash
  bool in_word_ = false;  // a number, true, false, null
};

}  // namespace potluck
