// clip/cli/resume_flags.h — --resume repeats the flags that its run was begun with.
#pragma once

#include <string>
#include <vector>

namespace diptych::cli {

/// The words of a command line that is to be parsed. Behind `train` with --resume come the flags
/// that the run's params.json keeps, but for those given anew, with --logs and --name of its
/// folder; any other command line stays as it is. Throws Error if params.json is damaged.
std::vector<std::string> with_flags_of_run(std::vector<std::string> words);

/// Throws Error unless `resume` is "latest" or lies in the run's own folder: what goes on elsewhere
/// is a new run.
void check_own_run(const std::string& resume, const std::string& folder);

}  // namespace diptych::cli
