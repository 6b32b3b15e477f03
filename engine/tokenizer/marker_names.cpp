// Names collected from published vocabularies. An end that is missing here makes a model talk on
// past its turn; a text that is taken for one would cut answers short.
#include "engine/tokenizer/marker_names.h"

#include <algorithm>
#include <array>
#include <span>

namespace potluck {
namespace {

constexpr std::array<std::string_view, 38> kEndNames{
    "<|im_end|>",
    "<|im:end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|eot|>",
    "<|eom|>",
    "<|eos|>",
    "<|end_of_text|>",
    "<|end_of_sentence|>",
    "<|end_of_turn|>",
    "<|endofturn|>",
    "[|endofturn|]",
    "<|END_OF_TURN_TOKEN|>",
    "<|role_end|>",
    "<|endofresponse|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<end_of_turn>",
    "</end_of_turn>",
    "<turn|>",
    "<|tool_response>",
    "<end_of_utterance>",
    "<eos>",
    "</s>",
    "<EOT>",
    "_<EOT>",
    "<|EOT|>",
    "[EOT]",
    "[EOS]",
    "[e~[",
    "<｜end▁of▁sentence｜>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
};

constexpr std::array<std::string_view, 19> kTurnNames{
    "<s>",
    "<bos>",
    "<start_of_turn>",
    "<|turn>",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_CALLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[ARGS]",
    "[gMASK]",
    "<sop>",
    "]~!b[",
    "]~b]",
    "[BOS]",
};

bool is_among(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_between(std::string_view name, std::string_view open, std::string_view close) {
  return name.size() > open.size() + close.size() && name.starts_with(open) &&
         name.ends_with(close);
}

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '/' || c == ':' || c == '|';
}

}  // namespace

bool is_end_name(std::string_view name) {
  return is_among(name, kEndNames);
}

bool is_turn_name(std::string_view name) {
  return is_among(name, kTurnNames);
}

bool looks_like_control(std::string_view name) {
  return is_between(name, "<|", "|>") || is_between(name, "<｜", "｜>");
}

// A letter is asked for, so "[1]" and "<>" stay text.
bool looks_added(std::string_view name) {
  if (!is_between(name, "<", ">") && !is_between(name, "[", "]")) return false;
  const std::string_view inside = name.substr(1, name.size() - 2);
  return std::all_of(inside.begin(), inside.end(), is_name_byte) &&
         std::any_of(inside.begin(), inside.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

bool is_also_html(std::string_view name) {
  return name == "<s>" || name == "</s>";
}

}  // namespace potluck
