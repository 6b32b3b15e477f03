// LineEditor: messages typed at a terminal, with the keys people expect: arrows, history, Ctrl-A,
// Ctrl-W and so on, lines of any length. Pasted text stays one message, its line ends included;
// Alt-Enter types a line end. Over libedit. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <histedit.h>

#include "coordinator/cli/message_input.h"

namespace potluck {

class LineEditor final : public MessageInput {
 public:
  // For standard input and standard error, which must be terminals. Null if that cannot be had.
  // `kept`: the history of earlier runs; null: there is none, and none is kept.
  static std::unique_ptr<LineEditor> open(Terminal& terminal, InputHistory* kept);
  ~LineEditor() override;
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // Ctrl-C while something is typed (the wait is ended) drops it: the message is then empty.
  Result<std::optional<std::string>> next(const std::string& prompt,
                                          const WhileWaiting& while_waiting) override;
  void remember(const std::string& message) override;

 private:
  struct Free {
    void operator()(EditLine* editor) const { el_end(editor); }
    void operator()(History* history) const { history_end(history); }
  };

  LineEditor(EditLine* editor, History* history, Terminal& terminal, InputHistory* kept);
  void enter(const std::string& message);
  void bind_keys();
  // Waits for a character; false at the end of the input or of the wait.
  bool read_character(wchar_t* character);
  std::optional<unsigned char> read_byte();
  std::wstring read_paste();

  static LineEditor& of(EditLine* editor);
  static int on_read(EditLine* editor, wchar_t* character);
  static char* on_prompt(EditLine* editor);
  static unsigned char on_paste(EditLine* editor, int character);
  static unsigned char on_line_end(EditLine* editor, int character);

  std::unique_ptr<EditLine, Free> editor_;
  std::unique_ptr<History, Free> history_;
  Terminal& terminal_;
  InputHistory* kept_;
  bool brackets_pastes_;  // the terminal can tell what is pasted
  std::string prompt_;
  const WhileWaiting* while_waiting_ = nullptr;
  bool wait_ended_ = false;
  bool dropped_ = false;  // something was typed when the wait was ended
};

}  // namespace potluck
