// Two writers over one base: repr(), which prompts show where a template prints a list or a dict,
// and json.dumps(). Both must give Python's text to the byte, since models were trained on it.
#include "engine/template/serialize.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "engine/base/utf8.h"
#include "engine/template/characters.h"

namespace potluck {
namespace {

Error nests_too_deep() {
  return {ErrorCode::kLimit, fmt::format("a value nests deeper than {}", limits::kJsonDepth * 2)};
}

bool is_atom(const Value& value) {
  return value.list() == nullptr && value.map() == nullptr;
}

// What both writers share: the output and its bounds.
class Writer {
 public:
  explicit Writer(Budget* budget) : out_(budget), budget_(*budget) {}
  MarkedText take() { return std::move(out_); }

 protected:
  void put(std::string_view text) { out_.append(text, Trust::kUser); }

  Status enter(uint32_t depth) {
    if (depth > limits::kJsonDepth * 2) return nests_too_deep();
    budget_.spend(1);
    return budget_.check();
  }

  // Writes each character as `escape` says, or as it is where that gives nothing.
  template <class Escape>
  // Segment by segment, so escapes get the mark of the character that they stand for.
  void put_escaped(const MarkedText& text, const Escape& escape) {
    for (size_t i = 0; i < text.segment_count() && !budget_.exceeded(); ++i) {
      const TextSegment segment = text.segment(i);
      std::string_view rest = segment.text;
      size_t plain = 0;  // bytes at the beginning of `rest` that stay as they are
      while (plain < rest.size() && !budget_.exceeded()) {
        const std::string escaped = escape(decode_utf8(rest.substr(plain)));
        const size_t bytes = utf8_length(rest[plain]);
        if (escaped.empty()) {
          plain += bytes;
          continue;
        }
        out_.append(rest.substr(0, plain), segment.trust);
        out_.append(escaped, segment.trust);
        rest.remove_prefix(plain + bytes);
        plain = 0;
      }
      out_.append(rest.substr(0, plain), segment.trust);
    }
  }

  MarkedText out_;
  Budget& budget_;
};

class ReprWriter : public Writer {
 public:
  using Writer::Writer;

  Status write(const Value& value, uint32_t depth) {
    if (Status status = enter(depth); !status) return status;
    if (const MarkedText* text = value.text()) {
      write_text(*text);
      return {};
    }
    if (const List* list = value.list()) return write_list(*list, depth);
    if (const Map* map = value.map()) return write_map(*map, depth);
    put(atom_text(value));
    return {};
  }

  static std::string atom_text(const Value& value) {
    if (value.is_undefined()) return "Undefined";
    if (value.is_none()) return "None";
    if (const bool* truth = value.boolean()) return *truth ? "True" : "False";
    if (const int64_t* whole = value.integer()) return std::to_string(*whole);
    if (const double* real = value.floating()) return float_text(*real);
    return fmt::format("<{}>", value.kind_name());
  }

 private:
  void write_text(const MarkedText& text) {
    const bool has_single = text.bytes().find('\'') != std::string_view::npos;
    const bool has_double = text.bytes().find('"') != std::string_view::npos;
    // Python prefers single quotes, and takes double ones where that saves escapes.
    const char quote = has_single && !has_double ? '"' : '\'';
    put({&quote, 1});
    put_escaped(text, [quote](uint32_t c) { return escape(c, static_cast<uint32_t>(quote)); });
    put({&quote, 1});
  }

  static std::string escape(uint32_t c, uint32_t quote) {
    if (c == '\\' || c == quote) return {'\\', static_cast<char>(c)};
    if (c == '\n') return "\\n";
    if (c == '\r') return "\\r";
    if (c == '\t') return "\\t";
    if (is_printable(c)) return {};
    if (c < 0x100) return fmt::format("\\x{:02x}", c);
    return c < 0x10000 ? fmt::format("\\u{:04x}", c) : fmt::format("\\U{:08x}", c);
  }

  Status write_list(const List& list, uint32_t depth) {
    put(list.is_tuple ? "(" : "[");
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) put(", ");
      if (Status status = write(list.items[i], depth + 1); !status) return status;
    }
    if (list.is_tuple && list.items.size() == 1) put(",");
    put(list.is_tuple ? ")" : "]");
    return {};
  }

  Status write_map(const Map& map, uint32_t depth) {
    put(map.is_namespace ? "<Namespace {" : "{");
    bool first = true;
    for (const Map::Entry& entry : map.entries()) {
      if (!first) put(", ");
      first = false;
      if (Status status = write(entry.key, depth + 1); !status) return status;
      put(": ");
      if (Status status = write(entry.value, depth + 1); !status) return status;
    }
    put(map.is_namespace ? "}>" : "}");
    return {};
  }
};

class JsonWriter : public Writer {
 public:
  JsonWriter(const JsonStyle& style, Budget* budget) : Writer(budget), style_(style) {
    item_separator_ = style.item_separator;
    // With an indentation Python drops the blank, which would stand at the end of a line.
    if (item_separator_.empty()) item_separator_ = style.indent < 0 ? ", " : ",";
    key_separator_ = style.key_separator;
    if (key_separator_.empty()) key_separator_ = ": ";
  }

  Status write(const Value& value, uint32_t depth) {
    if (Status status = enter(depth); !status) return status;
    if (const MarkedText* text = value.text()) {
      write_text(*text);
      return {};
    }
    if (const List* list = value.list()) return write_list(*list, depth);
    if (const Map* map = value.map(); map != nullptr && !map->is_namespace) {
      return write_map(*map, depth);
    }
    return write_atom(value);
  }

 private:
  Status write_atom(const Value& value) {
    if (value.is_none()) {
      put("null");
    } else if (const bool* truth = value.boolean()) {
      put(*truth ? "true" : "false");
    } else if (const double* real = value.floating(); real != nullptr && !std::isfinite(*real)) {
      // No JSON, but what json.dumps() writes.
      put(std::isnan(*real) ? "NaN" : *real > 0 ? "Infinity" : "-Infinity");
    } else if (value.number()) {
      put(ReprWriter::atom_text(value));
    } else {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("a value of type {} cannot become JSON", value.kind_name())};
    }
    return {};
  }

  void write_text(const MarkedText& text) {
    put("\"");
    put_escaped(text, [this](uint32_t c) { return escape(c); });
    put("\"");
  }

  std::string escape(uint32_t c) const {
    switch (c) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      case '\f':
        return "\\f";
      case '\b':
        return "\\b";
      default:
        break;
    }
    if (c < 0x20) return fmt::format("\\u{:04x}", c);
    if (!style_.ascii_only || c < 0x7F) return {};
    if (c < 0x10000) return fmt::format("\\u{:04x}", c);
    const uint32_t rest = c - 0x10000;
    return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
  }

  // Keys of JSON are texts.
  void write_key(const Value& key) {
    if (key.text() != nullptr) return write_text(*key.text());
    put("\"");
    put(key.boolean() != nullptr ? (*key.boolean() ? "true" : "false")
                                 : ReprWriter::atom_text(key));
    put("\"");
  }

  // Begins a new line where the style asks for it.
  Status new_line(uint32_t depth) {
    if (style_.indent < 0) return {};
    put("\n");
    const auto width = static_cast<uint64_t>(style_.indent);
    if (width > limits::kTemplateTextBytes) {
      return Error{ErrorCode::kLimit, fmt::format("an indentation of {}", style_.indent)};
    }
    out_.append_spaces(depth * width, Trust::kUser);
    return budget_.check();
  }

  Status write_list(const List& list, uint32_t depth) {
    if (list.items.empty()) {
      put("[]");
      return {};
    }
    put("[");
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) put(item_separator_);
      if (Status status = new_line(depth + 1); !status) return status;
      if (Status status = write(list.items[i], depth + 1); !status) return status;
    }
    if (Status status = new_line(depth); !status) return status;
    put("]");
    return {};
  }

  // Names differ, so a sort that takes no memory gives the one order there is. std::stable_sort()
  // would allocate outside of the budget.
  void sort_by_name(BudgetVector<const Map::Entry*>* entries) {
    uint64_t bytes = 0;
    for (const Map::Entry* entry : *entries) bytes += 1 + entry->name->size();
    budget_.spend_text(bytes * static_cast<uint64_t>(std::bit_width(entries->size())));
    if (budget_.exceeded()) return;
    std::sort(entries->begin(), entries->end(),
              [](const auto* a, const auto* b) { return a->name->bytes() < b->name->bytes(); });
  }

  Status write_map(const Map& map, uint32_t depth) {
    if (map.entries().empty()) {
      put("{}");
      return {};
    }
    BudgetVector<const Map::Entry*> entries(&budget_);
    for (const Map::Entry& entry : map.entries()) entries.push_back(&entry);
    if (style_.sort_keys) sort_by_name(&entries);
    if (Status status = budget_.check(); !status) return status;
    put("{");
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) put(item_separator_);
      if (Status status = new_line(depth + 1); !status) return status;
      write_key(entries[i]->key);
      put(key_separator_);
      if (Status status = write(entries[i]->value, depth + 1); !status) return status;
    }
    if (Status status = new_line(depth); !status) return status;
    put("}");
    return {};
  }

  const JsonStyle& style_;
  std::string_view item_separator_;
  std::string_view key_separator_;
};

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char scientific[64];
  const auto end = std::to_chars(scientific, scientific + sizeof scientific, value,
                                 std::chars_format::scientific)
                       .ptr;
  const std::string_view text(scientific, static_cast<size_t>(end - scientific));
  const int exponent = std::atoi(std::string(text.substr(text.find('e') + 1)).c_str());
  // repr() changes to an exponent at these two borders. to_chars() gives the fewest digits that
  // read back, as repr() does.
  if (exponent < -4 || exponent >= 16) return std::string(text);
  char fixed[64];
  const auto fixed_end =
      std::to_chars(fixed, fixed + sizeof fixed, value, std::chars_format::fixed).ptr;
  std::string out(fixed, fixed_end);
  return out.find('.') == std::string::npos ? out + ".0" : out;
}

Result<TextPtr> to_text(const Value& value, Heap* heap) {
  if (value.text() != nullptr) return value.shared_text();
  MarkedText out = heap->blank();
  if (is_atom(value)) {
    if (!value.is_undefined()) out.append(ReprWriter::atom_text(value), Trust::kTemplate);
    return heap->own(std::move(out));
  }
  ReprWriter writer(&heap->budget());
  if (Status status = writer.write(value, 0); !status) return status.error();
  return heap->own(writer.take());
}

Result<MarkedText> to_json(const Value& value, const JsonStyle& style, Budget* budget) {
  JsonWriter writer(style, budget);
  if (Status status = writer.write(value, 0); !status) return status.error();
  if (Status status = budget->check(); !status) return status.error();
  return writer.take();
}

}  // namespace potluck
