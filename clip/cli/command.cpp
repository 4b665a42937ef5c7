// clip/cli/command.cpp — sub-commands and flags in CLI11's terms.
#include "clip/cli/command.h"

#include <fmt/core.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdlib>
#include <optional>

#include "clip/console.h"
#include "tensor/device.h"
#include "tensor/parallel.h"

namespace diptych::cli {
namespace {

template <class T>
constexpr bool kIsOptional = false;
template <class T>
constexpr bool kIsOptional<std::optional<T>> = true;

template <class T>
CLI::Option* add_to(CLI::App* app, const std::string& name, T& value, const std::string& help) {
  CLI::Option* option = app->add_option(name, value, help);
  if constexpr (!kIsOptional<T> && !std::is_same_v<T, std::vector<std::string>>) {
    if (std::string shown = fmt::format("{}", value); !shown.empty() && shown != "\t")
      option->default_str(shown);
  }
  if constexpr (!std::is_same_v<T, std::vector<std::string>>) option->take_last();  // as argparse
  // An unset variable of a script must not switch off what was asked for.
  option->check([](const std::string& given) { return given.empty() ? "is empty" : ""; });
  return option;
}

// CLI11 takes NaN for a number in any range, 2⁶⁴ for 2⁶⁴ - 1, -1 for the same, and 010 for eight.
// So a number is read here first: decimal, or hexadecimal behind 0x, and nothing but finite.

/// The value of all of `text`, or what is wrong with it.
std::string read_number(const std::string& text, double& value) {
  char* end = nullptr;
  value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end) return "'" + text + "' is no number";
  return std::isfinite(value) ? "" : "'" + text + "' is no finite number";
}

/// 1e3 and 1.5e3 for 1000 and 1500: whole numbers up to 2⁵³, which a double has exactly.
template <std::integral T>
bool read_power(const std::string& text, T& value) {
  double x = 0;
  if (text.find_first_of("eE") == text.npos ||
      text.find_first_not_of("0123456789+-.eE") != text.npos || !read_number(text, x).empty())
    return false;
  constexpr double kMost = 9007199254740992;
  if (x != std::floor(x) || std::abs(x) > kMost ||
      x > static_cast<double>(std::numeric_limits<T>::max()) ||
      x < static_cast<double>(std::numeric_limits<T>::min()))
    return false;
  value = static_cast<T>(x);
  return true;
}

template <std::integral T>
std::string read_number(const std::string& text, T& value) {
  if (read_power(text, value)) return {};
  const bool hex = text.starts_with("0x");
  const char* begin = text.data() + (hex ? 2 : text.starts_with('+') ? 1 : 0);
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, value, hex ? 16 : 10);
  if (error == std::errc::result_out_of_range)
    return fmt::format("'{}' is beyond {}", text, std::numeric_limits<T>::max());
  return error == std::errc() && stop == end
             ? ""
             : "'" + text + "' is no whole number" + (std::is_unsigned_v<T> ? " from 0 on" : "");
}

/// "in [0 - 1]", ">= 1" where only people would count so far, empty if all is allowed.
template <class T>
std::string range_of(const Bounds& bounds) {
  const auto shown = [](double x) {
    return std::integral<T> ? fmt::format("{:.0f}", x) : fmt::format("{:g}", x);
  };
  const bool from = bounds.low > Bounds().low, to = bounds.high < kAtLeastOne.high;
  if (from && to) return fmt::format("in [{} - {}]", shown(bounds.low), shown(bounds.high));
  return from ? ">= " + shown(bounds.low) : to ? "<= " + shown(bounds.high) : "";
}

template <class T>
void check_number(CLI::Option* option, const Bounds& bounds) {
  const auto check = [bounds](std::string& text) -> std::string {
    T value{};
    if (std::string wrong = read_number(text, value); !wrong.empty()) return wrong;
    const auto x = static_cast<double>(value);
    if (x < bounds.low || x > bounds.high)
      return x > kAtLeastOne.high ? "'" + text + "' is too large"
                                  : "'" + text + "' is not " + range_of<T>(bounds);
    if constexpr (std::integral<T>) text = std::to_string(value);
    return {};
  };
  option->transform(CLI::Validator(check, ""));
  const char* type = std::integral<T> ? "INT" : "FLOAT";
  const std::string range = range_of<T>(bounds);
  option->type_name(range.empty() ? type : type + (' ' + range));
}

template <class T>
struct NumberIn {
  using type = T;
};
template <class T>
struct NumberIn<std::optional<T>> {
  using type = T;
};

}  // namespace

int64_t peak_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss >> 10;
}

template <class T>
Command& Command::option(const std::string& name, T& value, const std::string& help,
                         Bounds bounds) {
  CLI::Option* option = add_to(app_, name, value, help);
  using Number = typename NumberIn<T>::type;
  if constexpr (std::is_arithmetic_v<Number>) check_number<Number>(option, bounds);
  return *this;
}

template <class T>
Command& Command::required(const std::string& name, T& value, const std::string& help) {
  add_to(app_, name, value, help)->required();
  return *this;
}

template Command& Command::option(const std::string&, std::string&, const std::string&, Bounds);
template Command& Command::option(const std::string&, int&, const std::string&, Bounds);
template Command& Command::option(const std::string&, int64_t&, const std::string&, Bounds);
template Command& Command::option(const std::string&, uint64_t&, const std::string&, Bounds);
template Command& Command::option(const std::string&, double&, const std::string&, Bounds);
template Command& Command::option(const std::string&, std::optional<int64_t>&, const std::string&,
                                  Bounds);
template Command& Command::option(const std::string&, std::optional<uint64_t>&, const std::string&,
                                  Bounds);
template Command& Command::option(const std::string&, std::optional<double>&, const std::string&,
                                  Bounds);
template Command& Command::option(const std::string&, std::vector<std::string>&, const std::string&,
                                  Bounds);
template Command& Command::required(const std::string&, std::string&, const std::string&);
template Command& Command::required(const std::string&, std::vector<std::string>&,
                                    const std::string&);

Command& Command::flag(const std::string& name, bool& value, const std::string& help) {
  app_->add_flag(name, value, help);
  return *this;
}

Command& Command::choice(const std::string& name, std::string& value, const std::string& help,
                         const std::vector<std::string>& choices) {
  add_to(app_, name, value, help)->check(CLI::IsMember(choices));
  return *this;
}

Command& Command::given(std::map<std::string, std::vector<std::string>>& flags) {
  app_->parse_complete_callback([app = app_, &flags] {
    for (const CLI::Option* option : app->get_options())
      if (option->count() > 0) flags["--" + option->get_single_name()] = option->results();
  });
  return *this;
}

Command& Command::threads() {
  CLI::Option* option = app_->add_option_function<int>(
      "--threads", [](int n) { set_num_threads(n); }, "to compute with (default: all cores)");
  check_number<int>(option, {1, 1024});
  return *this;
}

Command& Command::image_limits(ImageLimits& limits) {
  return option("--max-image-pixels", limits.max_pixels, "refuse larger pictures (as Pillow)",
                kAtLeastOne);
}

Command& Command::device(DeviceFlag& flag) {
  return choice("--device", flag.device_name, "cpu, or cuda: an NVIDIA GPU", {"cpu", "cuda"});
}

char separator_from(const std::string& flag) {
  check_usage(flag.size() == 1 || flag == "\\t", "--csv-separator must be one character, got '",
              flag, "'");
  return flag == "\\t" ? '\t' : flag[0];
}

Command& Command::locks(LockFlags& flags) {
  return flag("--lock-image", flags.lock_image,
              "the image tower stays as it is, statistics of batch norms too")
      .option("--lock-image-unlocked-groups", flags.unlocked_groups,
              "but for its last groups: 1 the projection, 2 the last block, …", kNotNegative)
      .flag("--lock-text", flags.lock_text, "the text tower stays as it is");
}

void LockFlags::check() const {
  check_usage(lock_image || unlocked_groups == 0,
              "--lock-image-unlocked-groups is of a locked image tower; give --lock-image");
}

void LockFlags::apply(Clip& model) const {
  check();
  if (lock_image) model.lock_image(unlocked_groups);
  if (lock_text) model.lock_text();
}

Command& Command::accumulation(StepFlags& flags) {
  return option("--accum-freq", flags.accum_freq,
                "work through the batch in that many parts, with the same gradients (GradCache; of "
                "a ResNet see the first lines of training): less memory, one more forward pass",
                kAtLeastOne)
      .flag("--grad-checkpointing", flags.grad_checkpointing,
            "compute blocks again in the backward pass instead of keeping their insides: less "
            "memory, the same bits");
}

void StepFlags::check(int64_t pairs) const {
  check_usage(accum_freq <= pairs, "--accum-freq ", accum_freq, " is more parts than a batch of ",
              pairs, " pairs has");
}

Command& Command::precision(PrecisionFlag& flag) {
  return option("--precision", flag.precision_name,
                "fp32, amp_bf16, amp_fp16 or pure_bf16: the type that products read");
}

PrecisionConfig PrecisionFlag::precision() const {
  try {
    return {precision_from(precision_name)};
  } catch (const Error& error) {
    throw UsageError(std::string("--") + error.what());
  }
}

void DeviceFlag::require() const {
  check(available(device()), "--device ", device_name, ": no CUDA device: ", cuda::why_not());
}

Command Commands::begin(const std::string& name, const std::string& help,
                        std::function<int()> run) {
  CLI::App* command = app_.add_subcommand(name, help);
  command->callback([this, run = std::move(run)] { chosen_ = run; });
  return Command(*command);
}

}  // namespace diptych::cli
