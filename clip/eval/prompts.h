// clip/eval/prompts.h — sentences around class names.
#pragma once

#include <string>
#include <vector>

namespace diptych {

/// Templates with one "{}" each: "simple" (a photo of a {}.), "exact" ({}), "fashion" (the
/// sentences of the tinted Fashion-MNIST task), "openai" and "openai-7" (templates.h), or a file
/// with one per line. Throws Error on a line without exactly one "{}", an empty file, or a name
/// that is neither.
std::vector<std::string> prompt_templates(const std::string& spec);
std::string template_names();  ///< of the known sets, for help and errors

std::string fill_prompt(const std::string& prompt, const std::string& name);
/// Every template with every name, name by name.
std::vector<std::string> filled_prompts(const std::vector<std::string>& templates,
                                        const std::vector<std::string>& names);

/// Class names from "a,b,c". Throws Error if fewer than two are left or one is empty: a softmax
/// over a single label says 100 % whatever the picture shows.
std::vector<std::string> split_labels(const std::string& comma_separated);
/// Class names from a file, one per line; same rules.
std::vector<std::string> read_labels(const std::string& path);

}  // namespace diptych
