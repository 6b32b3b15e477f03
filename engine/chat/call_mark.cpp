#include "engine/chat/call_mark.h"

#include <algorithm>

#include "engine/chat/uncertain_end.h"

namespace potluck {
namespace {

bool is_space(char byte) {
  return kWhiteSpace.find(byte) != std::string_view::npos;
}

bool is_letter(char byte) {
  const auto code = static_cast<unsigned char>(byte);
  return code >= 0x80 || byte == '_' || (byte >= '0' && byte <= '9') ||
         (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

// "<name", up to and with '>' or '='; attributes stand by themselves.
size_t end_of_angle(std::string_view text, size_t at) {
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '>' || text[i] == '=') return i + 1;
    if (is_space(text[i]) || text[i] == '<' || text[i] == '"') return i;
  }
  return text.size();
}

size_t end_of_square(std::string_view text, size_t at) {
  size_t i = at + 1;
  while (i < text.size() && (is_letter(text[i]) || text[i] == '/')) ++i;
  return i > at + 1 && i < text.size() && text[i] == ']' ? i + 1 : at + 1;
}

size_t end_of_piece(std::string_view text, size_t at) {
  if (text[at] == '<') return end_of_angle(text, at);
  if (text[at] == '[') return end_of_square(text, at);
  if (!is_letter(text[at])) return at + 1;
  size_t i = at;
  while (i < text.size() && is_letter(text[i])) ++i;
  return i;
}

}  // namespace

std::vector<MarkPiece> mark_pieces(std::string_view text) {
  std::vector<MarkPiece> pieces;
  for (size_t at = 0; at < text.size();) {
    if (is_space(text[at])) {
      ++at;
      continue;
    }
    const size_t end = end_of_piece(text, at);
    pieces.push_back({at, end});
    at = end;
  }
  return pieces;
}

bool is_bracketed(std::string_view piece) {
  return piece.size() > 2 && ((piece.front() == '<' && piece.back() == '>') ||
                              (piece.front() == '[' && piece.back() == ']'));
}

CallMark::CallMark(std::string_view text) {
  for (const MarkPiece& piece : mark_pieces(text)) {
    pieces_.emplace_back(text.substr(piece.begin, piece.end - piece.begin));
  }
}

bool CallMark::is_strong() const {
  if (empty()) return false;
  const std::string& first = pieces_.front();
  return first.size() > 2 && (first.front() == '<' || first.front() == '[');
}

CallMark CallMark::from(size_t piece) const {
  CallMark rest;
  rest.pieces_.assign(pieces_.begin() + static_cast<std::ptrdiff_t>(piece), pieces_.end());
  return rest;
}

CallMark::Match CallMark::match(std::string_view text) const {
  size_t at = 0;
  for (const std::string& piece : pieces_) {
    while (at < text.size() && is_space(text[at])) ++at;
    const std::string_view rest = text.substr(at);
    if (!rest.starts_with(piece)) {
      const bool may_become = std::string_view(piece).starts_with(rest);
      return {may_become ? Match::Kind::kPartial : Match::Kind::kNo, 0};
    }
    at += piece.size();
  }
  return {Match::Kind::kFull, at};
}

CallMark::Match CallMark::match_end(std::string_view text) const {
  bool may_become = false;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const Match found = from(i).match(text);
    if (found.full()) return found;
    may_become = may_become || found.partial();
  }
  return {may_become ? Match::Kind::kPartial : Match::Kind::kNo, 0};
}

CallMark::Found CallMark::find(std::string_view text, size_t from) const {
  if (empty()) return {};
  const std::string& first = pieces_.front();
  for (size_t at = text.find(first.front(), from); at != std::string_view::npos;
       at = text.find(first.front(), at + 1)) {
    const Match found = match(text.substr(at));
    if (found.kind != Match::Kind::kNo) return {at, found};
  }
  return {};
}

}  // namespace potluck
