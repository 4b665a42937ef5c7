// clip/eval/prompts.cpp — templates and label lists.
#include "clip/eval/prompts.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <string_view>

#include "clip/eval/templates.h"
#include "data/tinted_fashion.h"
#include "tensor/io/text_file.h"

namespace diptych {
namespace {

std::string trim(const std::string& s) {
  constexpr const char* kBlank = " \t\r\v\f";
  const size_t begin = s.find_first_not_of(kBlank), end = s.find_last_not_of(kBlank);
  return begin == std::string::npos ? "" : s.substr(begin, end - begin + 1);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  if (!text.empty() && text.back() == separator) parts.emplace_back();
  return parts;
}

/// Without blank lines at the end.
std::vector<std::string> lines_of(const std::string& path) {
  constexpr int64_t kMaxBytes = 16 << 20;  // ImageNet-21k's labels have half a megabyte
  std::vector<std::string> lines = read_lines(path, kMaxBytes);
  while (!lines.empty() && trim(lines.back()).empty()) lines.pop_back();
  return lines;
}

std::vector<std::string> checked_labels(std::vector<std::string> labels,
                                        const std::string& source) {
  for (size_t i = 0; i < labels.size(); ++i) {
    labels[i] = trim(labels[i]);
    check(!labels[i].empty(), "labels: label ", i + 1, " of ", source, " is empty");
  }
  check(!labels.empty(), "labels: there is none in ", source);
  return labels;
}

size_t places(const std::string& prompt) {
  size_t count = 0;
  for (size_t at = prompt.find("{}"); at != prompt.npos; at = prompt.find("{}", at + 2)) ++count;
  return count;
}

std::vector<std::string> checked_templates(std::vector<std::string> prompts,
                                           const std::string& path) {
  check(!prompts.empty(), "templates: '", path, "' is empty");
  for (size_t i = 0; i < prompts.size(); ++i) {
    check(places(prompts[i]) == 1, "templates: line ", i + 1, " of '", path,
          "' must have one {} for the class name, it has ", places(prompts[i]));
  }
  return prompts;
}

}  // namespace

std::string template_names() { return "simple, exact, fashion, openai, openai-7"; }

std::vector<std::string> prompt_templates(const std::string& spec) {
  if (spec == "simple") return {"a photo of a {}."};
  if (spec == "exact") return {"{}"};
  if (spec == "fashion") return {tinted::templates().begin(), tinted::templates().end()};
  if (spec == "openai") return {openai_templates().begin(), openai_templates().end()};
  if (spec == "openai-7") return {openai_best_templates().begin(), openai_best_templates().end()};
  check(is_file(spec), "templates: '", spec, "' is neither a file nor a known set (",
        template_names(), ")");
  return checked_templates(lines_of(spec), spec);
}

std::string fill_prompt(const std::string& prompt, const std::string& name) {
  std::string text = prompt;
  return text.replace(text.find("{}"), 2, name);
}

std::vector<std::string> filled_prompts(const std::vector<std::string>& templates,
                                        const std::vector<std::string>& names) {
  std::vector<std::string> texts;
  for (const std::string& name : names) {
    for (const std::string& prompt : templates) texts.push_back(fill_prompt(prompt, name));
  }
  return texts;
}

std::vector<std::string> split_labels(const std::string& text) {
  return checked_labels(split(text, ','), "the list");
}

std::vector<std::string> read_labels(const std::string& path) {
  return checked_labels(lines_of(path), "'" + path + "'");
}

std::string repeated_labels(const std::vector<std::string>& labels) {
  constexpr size_t kNamed = 3;
  std::map<std::string_view, std::vector<size_t>> places;
  for (size_t i = 0; i < labels.size(); ++i) places[labels[i]].push_back(i + 1);
  std::string text;
  size_t repeated = 0;
  for (const auto& [label, at] : places) {
    if (at.size() == 1 || ++repeated > kNamed) continue;
    text += (repeated > 1 ? ", " : "") + in_quotes(label) + " is label " + std::to_string(at[0]) +
            " and " + std::to_string(at[1]) + (at.size() > 2 ? " and more" : "");
  }
  if (repeated > kNamed) text += ", and " + std::to_string(repeated - kNamed) + " others repeat";
  return text;
}

namespace {

/// The names of folders out of lines "folder<TAB>name".
std::vector<std::string> names_by_folder(const std::vector<std::string>& lines,
                                         const std::vector<std::string>& folders,
                                         const std::string& path) {
  std::map<std::string, std::string> names;
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto fields = split(lines[i], '\t');
    const std::string folder = trim(fields[0]);
    check(fields.size() == 2, "labels: '", path, "': line ", i + 1, " has ", fields.size(),
          " columns, others two: a folder, a TAB, the name of its class");
    check(!trim(fields[1]).empty(), "labels: '", path, "': line ", i + 1, " has no name");
    check(std::binary_search(folders.begin(), folders.end(), folder), "labels: '", path, "': line ",
          i + 1, ": no class folder is called ", in_quotes(folder), "; the first is ",
          in_quotes(folders.at(0)));
    check(names.emplace(folder, trim(fields[1])).second, "labels: '", path, "': line ", i + 1, ": ",
          in_quotes(folder), " has a name already");
  }
  std::vector<std::string> out;
  for (const std::string& folder : folders) {
    check(names.contains(folder), "labels: '", path, "' has no name for the folder ",
          in_quotes(folder), "; it names ", names.size(), " of ", folders.size());
    out.push_back(names[folder]);
  }
  return out;
}

std::vector<std::string> names_in_order(const std::vector<std::string>& lines,
                                        const std::vector<std::string>& folders,
                                        const std::string& path) {
  check(lines.size() == folders.size(), "labels: '", path, "' has ", lines.size(),
        " names, there are ", folders.size(), " class folders; one per line in the order of the ",
        "folders, or lines \"folder<TAB>name\"");
  const auto names = checked_labels(lines, "'" + path + "'");
  bool each_begins = true;
  for (const std::string& name : names) {
    const std::string first = name.substr(0, name.find_first_of(" ,;"));
    each_begins &= std::binary_search(folders.begin(), folders.end(), first);
  }
  check(!each_begins || names == folders, "labels: '", path,
        "': each line begins with the name of a folder; put a TAB behind it");
  return names;
}

}  // namespace

ClassNames read_class_names(const std::string& path, const std::vector<std::string>& folders) {
  const auto lines = lines_of(path);
  const bool table = std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find('\t') != std::string::npos;
  });
  ClassNames out{
      table ? names_by_folder(lines, folders, path) : names_in_order(lines, folders, path),
      table ? "folders with their names" : "names in the order of the folders"};
  out.understood = "'" + path + "': " + out.understood + "; " + in_quotes(folders.at(0)) + " is " +
                   in_quotes(out.names.at(0)) + ", " + in_quotes(folders.back()) + " is " +
                   in_quotes(out.names.back());
  return out;
}

}  // namespace diptych
