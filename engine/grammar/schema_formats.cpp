#include "engine/grammar/schema_formats.h"

#include <algorithm>
#include <iterator>

namespace potluck {
namespace {

// Days of each month, leap years included; of the years 1000 to 2999.
#define POTLUCK_DATE                                                                           \
  "([12][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)" \
  "|02-(0[1-9]|1[0-9]|2[0-8]))"                                                                \
  "|([12][0-9](0[48]|[2468][048]|[13579][26])|(12|16|20|24|28)00)-02-29)"
#define POTLUCK_TIME                                         \
  "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?" \
  "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define POTLUCK_LABEL "[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
#define POTLUCK_BYTE "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"

struct Format {
  std::string_view name;
  std::string_view expression;
};

constexpr Format kFormats[] = {
    {"date", "^" POTLUCK_DATE "$"},
    {"time", "^" POTLUCK_TIME "$"},
    {"date-time", "^" POTLUCK_DATE "T" POTLUCK_TIME "$"},
    {"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
    {"email", "^[A-Za-z0-9_+-]{1,30}(\\.[A-Za-z0-9_+-]{1,20}){0,2}@" POTLUCK_LABEL
              "(\\." POTLUCK_LABEL "){1,3}$"},
    {"ipv4", "^" POTLUCK_BYTE "(\\." POTLUCK_BYTE "){3}$"},
    {"uri",
     "^[a-z][a-z0-9+.-]{1,15}://" POTLUCK_LABEL "(\\." POTLUCK_LABEL "){0,4}(:[1-9][0-9]{0,3})?"
     "(/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*(\\?[A-Za-z0-9._~!$&'()*+,;=:@/?-]*)?"
     "(#[A-Za-z0-9._~!$&'()*+,;=:@/?-]*)?$"},
};

#undef POTLUCK_DATE
#undef POTLUCK_TIME
#undef POTLUCK_LABEL
#undef POTLUCK_BYTE

}  // namespace

std::optional<std::string_view> expression_of_format(std::string_view format) {
  const auto* found = std::ranges::find(kFormats, format, &Format::name);
  if (found == std::end(kFormats)) return std::nullopt;
  return found->expression;
}

}  // namespace potluck
