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

/// Class names from "a,b,c", without blanks around them. Throws Error if there is none, or one is
/// empty. A name may stand there twice, as "missile" does among OpenAI's for ImageNet: both are
/// classes, and the first of them has whatever fits both.
std::vector<std::string> split_labels(const std::string& comma_separated);
/// Class names from a file, one per line; same rules.
std::vector<std::string> read_labels(const std::string& path);
/// Which names stand there more than once: "'missile' is label 658 and 745"; empty if none does.
std::string repeated_labels(const std::vector<std::string>&);

/// Names for classes that are kept in folders, and a sentence on how the file was read.
struct ClassNames {
  std::vector<std::string> names;  ///< at the positions of the folders
  std::string understood;
};
/// From a file with lines "folder<TAB>name" in any order, or of names alone in the order of the
/// folders, which is sorted. Throws Error unless each folder gets one name, and for lines of both
/// kinds.
ClassNames read_class_names(const std::string& path, const std::vector<std::string>& folders);

}  // namespace diptych
