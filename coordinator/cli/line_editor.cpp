#include "coordinator/cli/line_editor.h"

#include <clocale>
#include <cstdio>
#include <string_view>

#include <poll.h>
#include <unistd.h>

#include "coordinator/cli/terminal_style.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"

namespace potluck {
namespace {

constexpr int kInputMilliseconds = 100;
constexpr int kHistory = InputHistory::kMostEntries;
// What terminals send around pasted text once they are asked to (xterm's "bracketed paste").
constexpr std::string_view kBracketsOn = "\x1b[?2004h";
constexpr std::string_view kBracketsOff = "\x1b[?2004l";
constexpr std::wstring_view kPasteEnd = L"\x1b[201~";
constexpr wchar_t kReplacement = 0xFFFD;

void tell_terminal(std::string_view sequence) {
  // Where it does not arrive, pasted lines are messages of their own.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, sequence.data(), sequence.size());
}

// Line ends as "\n", and no other control characters: what is pasted must not work as keys.
std::wstring plain_paste(std::wstring_view pasted) {
  std::wstring plain;
  for (size_t i = 0; i < pasted.size(); ++i) {
    const wchar_t c = pasted[i];
    if (c == L'\r') {
      if (i + 1 == pasted.size() || pasted[i + 1] != L'\n') plain += L'\n';
    } else if (c == L'\n' || c == L'\t' || (c >= 0x20 && c != 0x7F)) {
      plain += c;
    }
  }
  while (plain.ends_with(L'\n')) plain.pop_back();
  return plain;
}

}  // namespace

std::unique_ptr<LineEditor> LineEditor::open(Terminal& terminal, InputHistory* kept) {
  // Input is UTF-8 here regardless of the environment; the format of numbers does not change.
  if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) return nullptr;
  // The prompt and what is typed show on standard error: standard output carries answers alone.
  EditLine* editor = el_init("potluck", stdin, stderr, stderr);
  if (editor == nullptr) return nullptr;
  History* history = history_init();
  return std::unique_ptr<LineEditor>(new LineEditor(editor, history, terminal, kept));
}

LineEditor::LineEditor(EditLine* editor, History* history, Terminal& terminal, InputHistory* kept)
    : editor_(editor), history_(history), terminal_(terminal), kept_(kept) {
  brackets_pastes_ = own_terminal_style(true).draws;
  el_set(editor, EL_CLIENTDATA, this);
  el_set(editor, EL_EDITOR, "emacs");
  // Signals belong to StopSignal; libedit would put handlers of its own in place.
  el_set(editor, EL_SIGNAL, 0);
  el_set(editor, EL_PROMPT, &LineEditor::on_prompt);
  el_set(editor, EL_GETCFN, &LineEditor::on_read);
  if (history != nullptr) {
    HistEvent event;
    ::history(history, &event, H_SETSIZE, kHistory);
    ::history(history, &event, H_SETUNIQUE, 1);
    el_set(editor, EL_HIST, &::history, history);
  }
  bind_keys();
  if (kept_ == nullptr) return;
  for (const std::string& message : kept_->load()) enter(message);
}

LineEditor::~LineEditor() = default;

void LineEditor::bind_keys() {
  EditLine* editor = editor_.get();
  el_set(editor, EL_ADDFN, "potluck-paste", "insert pasted text", &LineEditor::on_paste);
  el_set(editor, EL_ADDFN, "potluck-line-end", "insert a line end", &LineEditor::on_line_end);
  el_set(editor, EL_BIND, "\\e[200~", "potluck-paste", nullptr);
  el_set(editor, EL_BIND, "\\e\\r", "potluck-line-end", nullptr);
  el_set(editor, EL_BIND, "\\e\\n", "potluck-line-end", nullptr);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_source(editor, nullptr);  // the user's own ~/.editrc
}

Result<std::optional<std::string>> LineEditor::next(const std::string& prompt,
                                                    const WhileWaiting& while_waiting) {
  prompt_ = prompt;
  while_waiting_ = &while_waiting;
  wait_ended_ = false;
  if (brackets_pastes_) tell_terminal(kBracketsOn);
  int length = 0;
  const char* line = el_gets(editor_.get(), &length);
  if (brackets_pastes_) tell_terminal(kBracketsOff);
  if (wait_ended_) {
    el_reset(editor_.get());
    tell_terminal("\r\n");
    return dropped_ ? std::optional(std::string()) : std::nullopt;
  }
  if (line == nullptr || length <= 0) return std::optional<std::string>();
  std::string message(line, static_cast<size_t>(length));
  while (message.ends_with('\n') || message.ends_with('\r')) message.pop_back();
  if (message.size() > limits::kPromptBytes) {
    return Error{ErrorCode::kLimit, "not sent: the message is too long"};
  }
  return std::optional(std::move(message));
}

void LineEditor::enter(const std::string& message) {
  HistEvent event;
  if (history_ != nullptr) ::history(history_.get(), &event, H_ENTER, message.c_str());
}

void LineEditor::remember(const std::string& message) {
  enter(message);
  if (kept_ == nullptr) return;
  if (Status done = kept_->add(message); !done) {
    // Said once: it would come with every message.
    terminal_.notice("what is typed is not kept for later: " + done.error().message);
    kept_ = nullptr;
  }
}

std::optional<unsigned char> LineEditor::read_byte() {
  while (true) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, kInputMilliseconds) > 0) {
      unsigned char byte = 0;
      if (read(STDIN_FILENO, &byte, 1) == 1) return byte;
      return std::nullopt;
    }
    if (!(*while_waiting_)()) {
      const LineInfo* typed = el_line(editor_.get());
      wait_ended_ = true;
      // Ctrl-C with something typed drops that; on an empty line it ends the input.
      dropped_ = typed->lastchar != typed->buffer;
      return std::nullopt;
    }
  }
}

// libedit's own reader follows the locale of the user, and stops at the first byte that is wrong.
bool LineEditor::read_character(wchar_t* character) {
  std::string bytes;
  while (true) {
    const auto byte = read_byte();
    if (!byte) return false;
    bytes += static_cast<char>(*byte);
    const Utf8Step step = first_utf8_step(bytes);
    if (step.kind == Utf8Kind::kUnfinished) continue;
    const bool good = step.kind == Utf8Kind::kCharacter;
    *character = good ? static_cast<wchar_t>(decode_utf8(bytes)) : kReplacement;
    return true;
  }
}

std::wstring LineEditor::read_paste() {
  // Bounded, for the end of a paste may never come.
  std::wstring pasted;
  wchar_t character = 0;
  while (!pasted.ends_with(kPasteEnd) && pasted.size() <= limits::kPromptBytes &&
         read_character(&character)) {
    pasted += character;
  }
  if (pasted.ends_with(kPasteEnd)) pasted.resize(pasted.size() - kPasteEnd.size());
  return plain_paste(pasted);
}

LineEditor& LineEditor::of(EditLine* editor) {
  void* self = nullptr;
  el_get(editor, EL_CLIENTDATA, &self);
  return *static_cast<LineEditor*>(self);
}

int LineEditor::on_read(EditLine* editor, wchar_t* character) {
  return of(editor).read_character(character) ? 1 : 0;
}

char* LineEditor::on_prompt(EditLine* editor) {
  return of(editor).prompt_.data();
}

unsigned char LineEditor::on_paste(EditLine* editor, int) {
  const std::wstring text = of(editor).read_paste();
  return el_winsertstr(editor, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

unsigned char LineEditor::on_line_end(EditLine* editor, int) {
  return el_winsertstr(editor, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
}

}  // namespace potluck
