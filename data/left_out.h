// data/left_out.h — what was found and not used, so that nothing is left out in silence.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace diptych {

/// Something that was found and is not used, and why.
struct LeftOut {
  std::string name, reason;
};

/// What became of the pictures of a command: listed = used + left_out.size().
struct Accounting {
  int64_t listed = 0, used = 0;
  std::vector<LeftOut> left_out;
};

/// "'a.png': reason, 'b.png': reason and 3 more": the first few.
std::string naming(const std::vector<LeftOut>&);

/// Throws Error if the numbers do not add up (a fault of ours), if nothing was used, or if more
/// than `max_bad_fraction` of the pictures were left out, which it names. `op` starts the message.
void check_accounting(const char* op, const Accounting&, double max_bad_fraction);

/// The last of these alone, while there are pictures still to come.
void check_bad_fraction(const char* op, const Accounting&, double max_bad_fraction);

}  // namespace diptych
