// clip/weights/best_checkpoint.cpp — a link from the run's folder to its best checkpoint.
#include <fmt/core.h>

#include <filesystem>

#include "clip/weights/run_folder.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;

fs::path link_of(const std::string& run) { return fs::path(run) / "best"; }

}  // namespace

std::string mark_best_checkpoint(const std::string& run, int64_t step) {
  const fs::path link = link_of(run), fresh = link.string() + ".tmp-link";
  const fs::path checkpoint = checkpoint_path(run, step);
  const fs::path target = checkpoint.parent_path().filename() / checkpoint.filename();
  std::error_code failed;
  if (!fs::exists(checkpoint, failed)) return {};  // not saved yet
  if (fs::exists(fs::symlink_status(link, failed)) && !fs::is_symlink(link, failed))
    return fmt::format("'{}' is no link, so it does not lead to {}, the best checkpoint",
                       link.string(), target.string());
  if (fs::read_symlink(link, failed) == target) return {};
  fs::remove(fresh, failed);
  fs::create_directory_symlink(target, fresh, failed);
  if (!failed) fs::rename(fresh, link, failed);
  if (!failed) return {};
  return fmt::format("'{}' cannot be made to lead to {}: {}", link.string(), target.string(),
                     failed.message());
}

std::string best_checkpoint(const std::string& run) {
  std::error_code none;
  const auto step = step_of_checkpoint(fs::read_symlink(link_of(run), none));
  return step ? checkpoint_path(run, *step) : "";
}

}  // namespace diptych
