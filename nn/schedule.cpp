// nn/schedule.cpp — one line for each schedule.
#include "nn/schedule.h"

#include <cmath>

#include "nn/registry.h"

namespace diptych::nn {
namespace {

using Rate = double (*)(const Schedule&, double lr, double step);

double cosine(const Schedule& s, double lr, double step) {
  const auto w = static_cast<double>(s.warmup), total = static_cast<double>(s.total);
  return 0.5 * (1 + std::cos(3.14159265358979323846 * (step - w) / (total - w))) * lr;
}

double constant(const Schedule&, double lr, double) { return lr; }

double constant_with_cooldown(const Schedule& s, double lr, double step) {
  const double begin = static_cast<double>(s.total - s.cooldown);
  if (step < begin) return lr;
  const double left = 1 - (step - begin) / static_cast<double>(s.cooldown);
  return std::pow(left, s.power) * (lr - s.end) + s.end;
}

double linear(const Schedule& s, double lr, double step) {
  const auto w = static_cast<double>(s.warmup), total = static_cast<double>(s.total);
  return lr * (total - step) / (total - w);
}

constexpr std::pair<const char*, Rate> kSchedules[] = {{"cosine", cosine},
                                                       {"const", constant},
                                                       {"const-cooldown", constant_with_cooldown},
                                                       {"linear", linear}};

}  // namespace

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names = names_in(kSchedules);
  return names;
}

double rate_at(const Schedule& s, double lr, int64_t step) {
  const Rate rate = chosen_from(kSchedules, "schedule", s.name);
  if (step < s.warmup) return lr * static_cast<double>(step + 1) / static_cast<double>(s.warmup);
  if (step >= s.total && rate != constant) return 0;
  return rate(s, lr, static_cast<double>(step));
}

}  // namespace diptych::nn
