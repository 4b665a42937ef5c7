// clip/cli/command.h — declaring sub-commands of `diptych` and their flags, without seeing the
// parser.
#pragma once

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clip/weights/model_file.h"
#include "data/image/picture.h"

namespace CLI {
class App;
}

namespace diptych::cli {

/// Flags that contradict each other or say too little: exit code 2 instead of 1.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// check() for what the flags alone decide.
template <class... Args>
void check_usage(bool ok, const Args&... message) {
  try {
    check(ok, message...);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

/// Values a number may have.
struct Bounds {
  double low = std::numeric_limits<double>::lowest();
  double high = std::numeric_limits<double>::max();
};
inline constexpr Bounds kAtLeastOne{1, 1e15}, kNotNegative{0, 1e15}, kFraction{0, 1};

/// The most memory that this process has had so far.
int64_t peak_rss_mib();

/// The character between the fields of a table: itself, or \\t for a tab. Throws UsageError
/// otherwise.
char separator_from(const std::string& flag);

/// --device: where the arithmetic is done.
struct DeviceFlag {
  std::string device_name = "cpu";
  Device device() const { return device_name == "cuda" ? Device::cuda : Device::cpu; }
  /// Throws Error, saying what is missing, if there is no such device. To be asked before anything
  /// is read or written.
  void require() const;
};

/// --lock-image, --lock-image-unlocked-groups, --lock-text: what gets no gradients.
struct LockFlags {
  bool lock_image = false, lock_text = false;
  int64_t unlocked_groups = 0;  ///< the last ones of a locked image tower
  /// Throws UsageError if groups of a tower that is not locked shall stay unlocked.
  void apply(Clip&) const;
  void check() const;
};

/// --accum-freq, --grad-checkpointing: how a step is worked through in less memory.
struct StepFlags {
  int64_t accum_freq = 1;
  bool grad_checkpointing = false;
  bool any() const { return accum_freq > 1 || grad_checkpointing; }
  /// Throws UsageError if a batch has not that many pairs.
  void check(int64_t pairs) const;
};

/// --precision: in which types a model that was trained computes.
struct PrecisionFlag {
  std::string precision_name = diptych::name(Precision::fp32);
  /// Throws UsageError, with the nearest name, if there is no such precision.
  PrecisionConfig precision() const;
};

/// A sub-command being declared. The names, types and checks of its flags go to CLI11, which only
/// command.cpp includes: it takes the compiler four seconds per file.
class Command {
 public:
  explicit Command(CLI::App& app) : app_(&app) {}

  /// "--name" takes a value, "name" without dashes is positional. The value before parsing is the
  /// default shown in --help. A number must be one: NaN, infinity and what the type cannot hold are
  /// wrong usage, as is what lies outside the bounds. T: std::string, int, int64_t, uint64_t,
  /// double, std::vector<std::string>, or a std::optional of a number.
  template <class T>
  Command& option(const std::string& name, T& value, const std::string& help, Bounds = {});
  template <class T>
  Command& required(const std::string& name, T& value, const std::string& help);
  Command& flag(const std::string& name, bool& value, const std::string& help);
  Command& choice(const std::string& name, std::string& value, const std::string& help,
                  const std::vector<std::string>& choices);
  Command& threads();                   ///< --threads; results do not depend on it
  Command& image_limits(ImageLimits&);  ///< --max-image-pixels, of what reads pictures
  Command& device(DeviceFlag&);
  Command& locks(LockFlags&);
  Command& accumulation(StepFlags&);
  Command& precision(PrecisionFlag&);
  /// After parsing: the flags that were given, with their values as given ("true" where there is
  /// none).
  Command& given(std::map<std::string, std::vector<std::string>>& flags);
  Command& json(bool& value) { return flag("--json", value, "one JSON object on stdout"); }

 private:
  CLI::App* app_;
};

/// All sub-commands, and the one that was chosen.
class Commands {
 public:
  explicit Commands(CLI::App& app) : app_(app) {}

  /// Declares a command. `execute` gets the parsed flags and returns the exit code: 0 done, 1
  /// failed.
  template <class Flags>
  void add(const std::string& name, const std::string& help, void (*declare)(Command, Flags&),
           int (*execute)(const Flags&)) {
    const auto flags = std::make_shared<Flags>();
    declare(begin(name, help, [flags, execute] { return execute(*flags); }), *flags);
  }

  int run() const { return chosen_(); }

 private:
  Command begin(const std::string& name, const std::string& help, std::function<int()> run);

  CLI::App& app_;
  std::function<int()> chosen_;
};

/// Flags of every command that opens a model.
struct ModelFlags : DeviceFlag, PrecisionFlag {
  std::string model, vocab, activation, sha256, config;
  int64_t image_size = 0, vision_heads = 0, text_heads = 0;
  void declare(Command);          ///< --model, --device, --precision and the rest
  void declare_options(Command);  ///< the rest
  bool any() const;               ///< whether one of the rest was given
  /// Opens it on its device, says on stderr what had to be inferred, and takes the vocabulary from
  /// --vocab, the model file or, for models with OpenAI's, from where find_vocabulary finds it.
  /// `needed`: for commands that do with one tower.
  LoadedModel open(Towers needed = Towers::both) const;
};

// One file each.
void add_train(Commands&);
void add_curves(Commands&);
void add_classify(Commands&);
void add_embed(Commands&);
void add_eval(Commands&);
void add_step(Commands&);
void add_tokenize(Commands&);
void add_preprocess(Commands&);
void add_gradcheck(Commands&);
void add_bench(Commands&);
void add_info(Commands&);
void add_convert(Commands&);
void add_round(Commands&);
void add_loss(Commands&);

}  // namespace diptych::cli
