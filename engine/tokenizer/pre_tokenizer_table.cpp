// The patterns are those of the models' published tokenizers, some rewritten where they would be
// slow. One wrong class shifts words, and the model gets tokens that it has never seen in such a
// place: fluent, but worse.
#include "engine/tokenizer/pre_tokenizer_table.h"

namespace potluck {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))";

// Digits in groups of up to three from the left; qwen2 takes each digit alone.
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Marks belong to words here, so combining accents and Indic vowel signs do not break them.
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)"
    R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// o200k: words are also cut where a small letter is followed by a capital one.
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Words are cut like o200k's, but what follows an apostrophe stays a word of its own; each digit
// alone.
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Words stay together over single spaces. The published pattern nests repetitions; this form finds
// the same.
constexpr std::string_view kExaoneMoe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|)"
    R"([^\r\n\p{L}\p{N}]?\p{L}[\p{L}\p{M}]*+(?: \p{L}[\p{L}\p{M}]*+)*+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";

constexpr std::string_view kBailingMoe = R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
                                         R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";

// Digits in groups of three from the right. The published patterns look ahead to the end of the
// number from each group; this form does so at its beginning, and goes on from group to group.
constexpr std::string_view kDigitsFromTheRight =
    R"((?<!\p{N})\p{N}{1,3}(?=(?:\p{N}{3})*+(?!\p{N}))|\G(?<=\p{N})\p{N}{3})";

// The same where the number ends a word.
constexpr std::string_view kWholeNumbersFromTheRight =
    R"((?<!\d)\d{1,3}(?=(?:\d{3})*+\b)|\G(?<=\d)\d{3})";

// Scripts that are written without spaces, as Trinity has them.
constexpr std::string_view kAfmoeWide =
    R"([\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{F900}-\x{FAFF}\x{3040}-\x{30FF}\x{FF65}-\x{FF9F})"
    R"(\x{2F00}-\x{2FDF}\x{E40}-\x{EFF}\x{1780}-\x{17FF}\x{1000}-\x{109F}\x{AA60}-\x{AA7F})"
    R"(\x{A9E0}-\x{A9FF}\x{AC00}-\x{D7AF}\x{1100}-\x{11FF}]+)";

constexpr std::string_view kLineBreak = R"([\r\n])";

// The published pattern is "\s+$"; this form finds the same and is linear in a run of spaces. The
// published one tries again at every space of a run that does not reach the end.
constexpr std::string_view kTrailingSpace = R"((?<!\s)\s++\z)";

// CJK ideographs and Hangul as DeepSeek's first models have them: U+0800 to U+9FA5 in one run.
constexpr std::string_view kDeepSeekWide = R"([\x{800}-\x{9FA5}\x{AC00}-\x{D7FF}]+)";

// CJK ideographs, Hiragana and Katakana.
constexpr std::string_view kDeepSeekV3Wide =
    R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";

constexpr std::string_view kDeepSeekV3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|)"
    R"([^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

// Letters with case, as Unicode knew them when deepseek-llm was made.
constexpr std::string_view kDeepSeekLetters =
    R"(\s?[\x{41}-\x{5A}\x{61}-\x{7A}\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA})"
    R"(\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377})"
    R"(\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5})"
    R"(\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5})"
    R"(\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77})"
    R"(\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D})"
    R"(\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4})"
    R"(\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3})"
    R"(\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107})"
    R"(\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D})"
    R"(\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184})"
    R"(\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D})"
    R"(\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF})"
    R"(\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F})"
    R"(\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2})"
    R"(\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+)";

constexpr std::string_view kDeepSeekMarks =
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";

constexpr std::array<PreTokenizerRow, 19> kTable{{
    {.names = "qwen2", .patterns = {kQwen2}, .composes = true},
    {.names = "qwen35", .patterns = {kQwen35}, .composes = true},
    {.names = "deepseek-r1-qwen megrez hunyuan grok-2", .patterns = {kQwen2}},
    {.names = "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral lfm2",
     .patterns = {kLlama3},
     .keeps_whole_tokens = true,
     .adds_begin = true},
    {.names = "glm4 chatglm-bpe dbrx smaug-bpe", .patterns = {kLlama3}},
    {.names = "gpt-4o llama4 minimax-m2", .patterns = {kGpt4o}},
    {.names = "tekken", .patterns = {kTekken}, .keeps_whole_tokens = true, .adds_begin = true},
    {.names = "cohere2moe tiny_aya", .patterns = {kWholeNumbersFromTheRight, kGpt4o}},
    {.names = "exaone-moe", .patterns = {kExaoneMoe}},
    {.names = "bailingmoe2 bailingmoe llada-moe", .patterns = {kBailingMoe}},
    {.names = "afmoe", .patterns = {kDigitsFromTheRight, kAfmoeWide, kDeepSeekV3}},
    {.names = "deepseek-llm",
     .patterns = {kLineBreak, kDeepSeekLetters, kDeepSeekMarks, kTrailingSpace, kDeepSeekWide,
                  R"(\p{N}+)"}},
    {.names = "deepseek-coder",
     .patterns = {kLineBreak, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepSeekWide, R"(\p{N})"}},
    {.names = "deepseek-v3 hunyuan-dense joyai-llm",
     .patterns = {R"(\p{N}{1,3})", kDeepSeekV3Wide, kDeepSeekV3}},
    {.names = "gpt-2 phi-2 gigachat exaone4 mellum trillion", .patterns = {kGpt2}},
    {.names = "olmo mpt", .patterns = {kGpt2}, .composes = true},
    {.names = "starcoder refact command-r smollm codeshell exaone minerva-7b mellum2",
     .patterns = {R"(\p{N})", kGpt2}},
    {.names = "falcon", .patterns = {R"([\p{P}$+<=>^~|`]+)", kGpt2, "[0-9][0-9][0-9]"}},
    {.names = "default",
     .patterns = {R"([\p{P}$+<=>^~|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
}};

}  // namespace

std::span<const PreTokenizerRow> pre_tokenizer_table() {
  return kTable;
}

}  // namespace potluck
