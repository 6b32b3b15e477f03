#include "engine/chat/call_probe.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/chat/tool_calls.h"
#include "engine/chat/uncertain_end.h"

namespace potluck {
namespace {

using Kind = CallPart::Kind;
constexpr size_t kNoPlace = std::string_view::npos;

struct ProbeWords {
  std::string_view name;
  std::string_view key;
  std::string_view value;
  std::string_view id;
};
// Ids are nine letters and digits: Mistral's templates refuse others.
constexpr ProbeWords kFirst{"probe_7f3a", "key_7f3a", "value_7f3a", "call12345"};
constexpr ProbeWords kSecond{"other_9c2e", "more_9c2e", "thing_9c2e", "call67890"};
constexpr int64_t kNumber = 739'158'264;
constexpr std::string_view kNumberText = "739158264";
// Shares neither its beginning nor its end with any mark.
constexpr const char* kCounterprobe = "7f3a";
// Stand for what differs from call to call, in texts between.
constexpr char kIdSign = '\x01';
constexpr char kNumberSign = '\x02';

// What a template writes is from a model file, and may be braces by the million. Real marks have
// some dozens of bytes, and few braces between the object's and the name.
constexpr size_t kMostBegins = 32;
constexpr size_t kMostCallBytes = 64 * kKiB;
constexpr size_t kMostMarkBytes = kKiB;

JsonValue text_value(std::string_view text) {
  return JsonValue{std::string(text)};
}

JsonValue probe_tool(const ProbeWords& words) {
  JsonValue::Object function{{"name", text_value(words.name)}};
  return JsonValue{JsonValue::Object{{"type", text_value("function")},
                                     {"function", JsonValue{std::move(function)}}}};
}

ToolCall probe_call(const ProbeWords& words) {
  JsonValue::Object arguments{{std::string(words.key), JsonValue{std::string(words.value)}}};
  return {std::string(words.id), std::string(words.name), JsonValue{std::move(arguments)}};
}

// The part of the first text that the second does not have.
std::string_view difference(std::string_view first, std::string_view second) {
  const size_t shorter = std::min(first.size(), second.size());
  size_t front = 0;
  while (front < shorter && first[front] == second[front]) ++front;
  size_t back = 0;
  while (back < shorter - front &&
         first[first.size() - 1 - back] == second[second.size() - 1 - back]) {
    ++back;
  }
  // What both end with may cut a mark apart: "|>" ends many.
  const std::string_view found = first.substr(front, first.size() - front - back);
  const size_t open = found.rfind('<');
  if (back == 0 || open == kNoPlace || found.find('>', open) != kNoPlace) return found;
  const size_t close = first.find_first_of("> \n", front + open);
  if (close == kNoPlace || first[close] != '>') return found;
  return first.substr(front, close + 1 - front);
}

// Where a call stands in a text, and how.
struct CallSite {
  Kind kind = Kind::kObject;
  size_t begin = 0;      // of the object, or of the name
  size_t name_end = 0;   // if it is no object,
  size_t arguments = 0;  // and where they begin: with JSON, or with the first key
  size_t end = 0;        // behind the object, the JSON or the first value
  std::string name_key;
  std::string arguments_key;
  std::string id_key;
  bool arguments_first = false;
};

bool is_probe_arguments(const JsonValue& value, const ProbeWords& words) {
  if (value.text() != nullptr) {
    // Some templates write the arguments as a text that holds JSON.
    auto inner = parse_json(*value.text());
    return inner && inner->object() != nullptr && is_probe_arguments(*inner, words);
  }
  if (value.object() == nullptr || value.object()->size() != 1) return false;
  const auto& [key, content] = value.object()->front();
  return key == words.key && content.text() != nullptr && *content.text() == words.value;
}

bool read_probe_object(const JsonValue& value, const ProbeWords& words, CallSite* site) {
  if (value.object() == nullptr) return false;
  bool has_name = false;
  bool has_arguments = false;
  site->id_key.clear();
  for (const auto& [key, member] : *value.object()) {
    if (member.text() != nullptr && *member.text() == words.id && has_name && has_arguments) {
      site->id_key = key;
    }
    if (member.text() != nullptr && *member.text() == words.name) {
      site->name_key = key;
      has_name = true;
    }
    if (!is_probe_arguments(member, words)) continue;
    site->arguments_key = key;
    site->arguments_first = !has_name;
    has_arguments = true;
  }
  if (has_arguments && !has_name && site->arguments_key == words.name) {
    site->arguments_key.clear();
    site->name_key.clear();
    site->arguments_first = false;
    return true;
  }
  return has_name && has_arguments;
}

// The JSON object that `text`, which begins with a brace, begins with; empty if it does not end.
std::string_view first_object(std::string_view text) {
  JsonScanner scanner;
  for (size_t i = 0; i < text.size(); ++i) {
    const JsonScanner::Step step = scanner.push(text[i]);
    if (step == JsonScanner::Step::kError) return {};
    if (step == JsonScanner::Step::kEnd || step == JsonScanner::Step::kPastEnd) {
      return text.substr(0, i + 1);
    }
  }
  return {};
}

// The last brace between `from` and `before` from which on there is whole JSON that `fits`.
template <class Fits>
std::optional<std::pair<size_t, size_t>> find_object(std::string_view text, size_t from,
                                                     size_t before, const Fits& fits) {
  size_t begin = before;
  for (size_t tried = 0; tried < kMostBegins && begin > from; ++tried) {
    begin = text.rfind('{', begin - 1);
    if (begin == kNoPlace || begin < from) break;
    const std::string_view object = first_object(text.substr(begin, kMostCallBytes));
    auto parsed = parse_json(object);
    if (!object.empty() && parsed && fits(*parsed)) return std::pair(begin, begin + object.size());
  }
  return std::nullopt;
}

std::optional<CallSite> find_site(std::string_view text, size_t from, const ProbeWords& words,
                                  std::string_view value) {
  CallSite site;
  site.begin = text.find(words.name, from);
  if (site.begin == kNoPlace) return std::nullopt;
  const size_t key = text.find(words.key, site.begin);
  const auto call = find_object(text, from, std::min(site.begin, key), [&](const JsonValue& json) {
    return read_probe_object(json, words, &site);
  });
  if (call) {
    site.begin = call->first;
    site.end = call->second;
    return site;
  }
  if (key == kNoPlace) return std::nullopt;
  site.name_end = site.begin + words.name.size();
  const auto json = find_object(text, site.name_end, key, [&](const JsonValue& object) {
    return is_probe_arguments(object, words);
  });
  if (json) {
    site.kind = Kind::kArguments;
    site.arguments = json->first;
    site.end = json->second;
    return site;
  }
  site.kind = Kind::kTagged;
  site.arguments = key;
  const size_t at = text.find(value, key + words.key.size());
  if (at == kNoPlace) return std::nullopt;
  site.end = at + value.size();
  return site;
}

std::string with_id_signs(std::string_view text) {
  std::string out(text);
  for (const std::string_view id : {kFirst.id, kSecond.id}) {
    for (size_t at = out.find(id); at != std::string::npos; at = out.find(id, at)) {
      out.replace(at, id.size(), 1, kIdSign);
    }
  }
  return out;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == kNoPlace;
}

// The first text with a sign for the number in which it differs from the second, if that is all.
std::string with_number_sign(const std::string& first, const std::string& second) {
  const std::string_view mine = difference(first, second);
  if (!is_number(mine) || !is_number(difference(second, first))) return first;
  const auto at = static_cast<size_t>(mine.data() - first.data());
  return first.substr(0, at) + kNumberSign + first.substr(at + mine.size());
}

size_t common_begin(const CallMark& a, const CallMark& b) {
  const auto [end, unused] = std::ranges::mismatch(a.pieces(), b.pieces());
  return static_cast<size_t>(end - a.pieces().begin());
}

// Of the pieces of `a` from `first` on.
size_t common_end(const CallMark& a, size_t first, const CallMark& b) {
  size_t count = 0;
  while (count < a.pieces().size() - first && count < b.pieces().size() &&
         a.pieces()[a.pieces().size() - 1 - count] == b.pieces()[b.pieces().size() - 1 - count]) {
    ++count;
  }
  return count;
}

// The text up to the end of its first `count` pieces, and the text from its last ones on.
size_t end_of_pieces(std::string_view text, size_t count) {
  return count == 0 ? 0 : mark_pieces(text)[count - 1].end;
}
size_t begin_of_last_pieces(std::string_view text, size_t count) {
  const std::vector<MarkPiece> pieces = mark_pieces(text);
  return count == 0 ? text.size() : pieces[pieces.size() - count].begin;
}

// What stands around a call, and what of it stands around each one.
struct CallFrame {
  std::string begin;
  std::string open;
  std::string close;
  std::string separator;
  std::string end;
};

// From what is in front of one call, behind it, and between two.
CallFrame split_frame(const std::string& front, const std::string& back,
                      const std::optional<std::string>& between) {
  if (!between) return {"", front, back, "", ""};
  const CallMark middle(*between);
  const size_t closing = common_begin(middle, CallMark(back));
  const size_t opening = common_end(middle, closing, CallMark(front));
  const size_t open = begin_of_last_pieces(front, opening);
  const size_t close = end_of_pieces(back, closing);
  const size_t from = end_of_pieces(*between, closing);
  const size_t to = begin_of_last_pieces(*between, opening);
  return {front.substr(0, open), front.substr(open), back.substr(0, close),
          between->substr(from, to - from), back.substr(close)};
}

void add_marks(std::string_view text, std::vector<CallPart>* parts) {
  std::string mark;
  const auto add_mark = [&] {
    if (!mark.empty()) parts->push_back({Kind::kMark, std::exchange(mark, {})});
  };
  for (const char byte : text) {
    if (byte != kIdSign && byte != kNumberSign) {
      mark += byte;
      continue;
    }
    add_mark();
    parts->push_back({byte == kIdSign ? Kind::kId : Kind::kNumber});
  }
  add_mark();
}

class SyntaxFinder {
 public:
  explicit SyntaxFinder(const ProbeRenderer& render) : render_(render) {}

  std::optional<ToolCallSyntax> find() {
    const auto text = render_(call_probe(CallProbe::kText));
    const auto one = render_(call_probe(CallProbe::kOneCall));
    if (!text || !one) return std::nullopt;
    counterprobe_ = *text;
    one_ = difference(*one, *text);
    const auto site = find_site(one_, 0, kFirst, kFirst.value);
    if (!site) return std::nullopt;
    site_ = *site;
    front_ = with_id_signs(std::string_view(one_).substr(0, site_.begin));
    back_ = with_id_signs(std::string_view(one_).substr(site_.end));
    if (front_.size() > kMostMarkBytes || back_.size() > kMostMarkBytes) return std::nullopt;
    behind_name_ = with_id_signs(behind_name(one_, site_));
    look_at_two();
    ToolCallSyntax syntax;
    if (!describe(&syntax) || !is_sound(syntax)) return std::nullopt;
    return syntax;
  }

 private:
  std::optional<std::string> rendered(CallProbe probe) const {
    const auto text = render_(call_probe(probe));
    if (!text) return std::nullopt;
    return std::string(difference(*text, counterprobe_));
  }

  static std::string behind_name(std::string_view text, const CallSite& site) {
    if (site.kind == Kind::kObject) return {};
    return std::string(text.substr(site.name_end, site.arguments - site.name_end));
  }

  // Templates that write one call alone, or refuse, leave everything around each call.
  void look_at_two() {
    const auto two = rendered(CallProbe::kTwoCalls);
    if (!two) return;
    const auto first = find_site(*two, 0, kFirst, kFirst.value);
    if (!first) return;
    const auto second = find_site(*two, first->end, kSecond, kSecond.value);
    if (!second || first->kind != site_.kind || second->kind != site_.kind) return;
    const std::string_view text = *two;
    if (CallMark(with_id_signs(text.substr(0, first->begin))).pieces() !=
        CallMark(front_).pieces()) {
      return;
    }
    between_ = with_id_signs(text.substr(first->end, second->begin - first->end));
    // Some write the mark behind all calls only where there are several.
    const std::string behind = with_id_signs(text.substr(second->end));
    const CallMark back(back_);
    if (common_begin(CallMark(behind), back) == back.pieces().size()) back_ = behind;
    behind_name_ = with_number_sign(behind_name_, with_id_signs(behind_name(text, *second)));
  }

  bool describe(ToolCallSyntax* syntax) {
    CallFrame frame = split_frame(front_, back_, between_);
    syntax->begin = frame.begin;
    syntax->separator = frame.separator;
    syntax->end = frame.end;
    if (site_.kind == Kind::kObject) {
      add_marks(frame.open, &syntax->parts);
      syntax->parts.push_back({Kind::kObject});
      add_marks(frame.close, &syntax->parts);
      syntax->name_key = site_.name_key;
      syntax->arguments_key = site_.arguments_key;
      syntax->arguments_first = site_.arguments_first;
      syntax->id_key = site_.id_key;
    } else if (site_.kind == Kind::kArguments) {
      add_marks(frame.open, &syntax->parts);
      syntax->parts.push_back({Kind::kName});
      add_marks(behind_name_, &syntax->parts);
      syntax->parts.push_back({Kind::kArguments});
      add_marks(frame.close, &syntax->parts);
    } else if (!describe_tags(frame, syntax)) {
      return false;
    }
    trim(syntax);
    return true;
  }

  bool describe_tags(const CallFrame& frame, ToolCallSyntax* syntax) {
    const auto pair = rendered(CallProbe::kTwoArguments);
    if (!pair) return false;
    const std::string_view text = *pair;
    const size_t first = text.find(kFirst.value);
    const size_t key = text.find(kSecond.key, first);
    const size_t value = text.find(kSecond.value, key);
    if (first == kNoPlace || key == kNoPlace || value == kNoPlace) return false;
    const size_t first_end = first + kFirst.value.size();
    const std::string between(text.substr(first_end, key - first_end));
    const size_t closing = common_begin(CallMark(between), CallMark(frame.close));
    const size_t opening = common_end(CallMark(between), closing, CallMark(behind_name_));
    if (closing == 0 || opening == 0) return false;
    const size_t open = begin_of_last_pieces(behind_name_, opening);
    const size_t close = end_of_pieces(frame.close, closing);
    syntax->key_open = behind_name_.substr(open);
    syntax->value_close = frame.close.substr(0, close);
    const size_t key_end = key + kSecond.key.size();
    syntax->value_open = text.substr(key_end, value - key_end);
    const size_t from = end_of_pieces(between, closing);
    syntax->tag_separator = between.substr(from, begin_of_last_pieces(between, opening) - from);
    if (!look_at_number(syntax)) return false;
    add_marks(frame.open, &syntax->parts);
    syntax->parts.push_back({Kind::kName});
    add_marks(behind_name_.substr(0, open), &syntax->parts);
    syntax->parts.push_back({Kind::kTagged});
    add_marks(frame.close.substr(close), &syntax->parts);
    return CallMark(syntax->key_open).is_strong() && CallMark(syntax->value_close).is_strong();
  }

  // Values that are no texts may stand behind another mark, or have no quotes where texts do.
  bool look_at_number(ToolCallSyntax* syntax) {
    const auto number = rendered(CallProbe::kNumber);
    if (!number) return false;
    const size_t key = number->find(kFirst.key);
    const size_t value = number->find(kNumberText, std::min(key, number->size()));
    if (key == kNoPlace || value == kNoPlace) return false;
    const size_t key_end = key + kFirst.key.size();
    const std::string open = number->substr(key_end, value - key_end);
    if (open == syntax->value_open) return true;
    if (open + '"' == syntax->value_open && syntax->value_close.starts_with('"')) {
      syntax->value_open = open;
      syntax->value_close.erase(0, 1);
      syntax->json_texts = true;
    } else {
      syntax->json_open = open;
    }
    return true;
  }

  // White space at the ends of a call, and around an object, is of no account.
  static void trim(ToolCallSyntax* syntax) {
    std::vector<CallPart>& parts = syntax->parts;
    if (trimmed(syntax->begin).empty()) syntax->begin.clear();
    if (trimmed(syntax->end).empty()) syntax->end.clear();
    const auto cut_front = [](std::string* text) {
      text->erase(0, std::min(text->find_first_not_of(kWhiteSpace), text->size()));
    };
    const auto cut_back = [](std::string* text) {
      text->resize(without_space_at_end(*text).size());
    };
    cut_front(syntax->begin.empty() ? &parts.front().text : &syntax->begin);
    cut_back(syntax->end.empty() ? &parts.back().text : &syntax->end);
    if (syntax->begin.empty()) cut_front(&parts.front().text);
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i + 1 < parts.size() && parts[i + 1].kind == Kind::kObject) cut_back(&parts[i].text);
      if (i > 0 && parts[i - 1].kind == Kind::kObject) cut_front(&parts[i].text);
    }
    std::erase_if(
        parts, [](const CallPart& part) { return part.kind == Kind::kMark && part.text.empty(); });
    if (!syntax->begin.empty() || parts.front().kind != Kind::kObject) return;
    syntax->bare = true;
    if (syntax->separator.empty()) syntax->separator = "; ";
  }

  // It has marks of a usual length, and reads what it was found in.
  bool is_sound(const ToolCallSyntax& syntax) const {
    for (const std::string& mark : marks_of(syntax)) {
      if (mark.size() > kMostMarkBytes) return false;
    }
    const CallPart& first = syntax.parts.front();
    const bool is_marked = !syntax.begin.empty() || first.kind == Kind::kMark || syntax.bare;
    if (!is_marked || !reads(syntax, one_, CallProbe::kOneCall)) return false;
    if (between_ && !reads(syntax, *rendered(CallProbe::kTwoCalls), CallProbe::kTwoCalls)) {
      return false;
    }
    const auto pair = rendered(CallProbe::kTwoArguments);
    return !pair || reads(syntax, *pair, CallProbe::kTwoArguments);
  }

  static bool reads(const ToolCallSyntax& syntax, const std::string& text, CallProbe probe) {
    const Conversation conversation = call_probe(probe);
    ToolCallSplitter splitter(syntax, ArgumentTypes({probe_tool(kFirst), probe_tool(kSecond)}));
    SplitCalls read = splitter.push(text);
    SplitCalls last = splitter.finish();
    read.calls.insert(read.calls.end(), last.calls.begin(), last.calls.end());
    const std::vector<ToolCall>& written = conversation.messages.back().tool_calls;
    if (!trimmed(read.content + last.content).empty()) return false;
    return std::ranges::equal(read.calls, written, [](const ToolCall& a, const ToolCall& b) {
      return a.name == b.name && write_json(a.arguments) == write_json(b.arguments);
    });
  }

  const ProbeRenderer& render_;
  std::string counterprobe_;
  std::string one_;
  CallSite site_;
  std::string front_;
  std::string back_;
  std::string behind_name_;  // up to the arguments
  std::optional<std::string> between_;
};

}  // namespace

Conversation call_probe(CallProbe probe) {
  Conversation conversation;
  conversation.messages.push_back({"user", text_value("Hello"), {}, {}, {}, {}});
  ChatMessage answer{"assistant", text_value(""), {}, {}, {}, {}};
  conversation.add_generation_prompt = false;
  if (probe == CallProbe::kText) {
    answer.content = text_value(kCounterprobe);
  } else {
    ToolCall call = probe_call(kFirst);
    if (probe == CallProbe::kTwoArguments) {
      std::get<JsonValue::Object>(call.arguments.data)
          .emplace_back(kSecond.key, text_value(kSecond.value));
    } else if (probe == CallProbe::kNumber) {
      std::get<JsonValue::Object>(call.arguments.data).front().second = JsonValue{kNumber};
    }
    answer.tool_calls.push_back(std::move(call));
    if (probe == CallProbe::kTwoCalls) answer.tool_calls.push_back(probe_call(kSecond));
  }
  conversation.messages.push_back(std::move(answer));
  return conversation;
}

std::optional<ToolCallSyntax> find_call_syntax(const ProbeRenderer& render) {
  return SyntaxFinder(render).find();
}

}  // namespace potluck
