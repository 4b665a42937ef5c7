// data/left_out.cpp — counting and naming what was not used.
#include "data/left_out.h"

#include <algorithm>

#include "tensor/io/file.h"
#include "tensor/types.h"

namespace diptych {

std::string naming(const std::vector<LeftOut>& left_out) {
  constexpr size_t kNamed = 3;
  std::string text;
  for (size_t i = 0; i < std::min(kNamed, left_out.size()); ++i)
    text += (i ? ", " : "") + in_quotes(left_out[i].name) + ": " + left_out[i].reason;
  if (left_out.size() > kNamed)
    text += " and " + std::to_string(left_out.size() - kNamed) + " more";
  return text;
}

void check_accounting(const char* op, const Accounting& a, double max_bad_fraction) {
  const auto lost = static_cast<int64_t>(a.left_out.size());
  check(a.listed == a.used + lost, op, ": ", a.listed, " pictures were listed, ", a.used,
        " used and ", lost, " left out; the sums must agree");
  check(a.used > 0, op, ": no picture is left of ", a.listed, "; left out: ", naming(a.left_out));
  check_bad_fraction(op, a, max_bad_fraction);
}

void check_bad_fraction(const char* op, const Accounting& a, double max_bad_fraction) {
  const auto lost = static_cast<int64_t>(a.left_out.size());
  check(static_cast<double>(lost) <= max_bad_fraction * static_cast<double>(a.listed), op, ": ",
        a.used + lost < a.listed ? "at least " : "", lost, " of ", a.listed,
        " pictures cannot be used, more than --max-bad-fraction ", max_bad_fraction, ": ",
        naming(a.left_out));
}

}  // namespace diptych
