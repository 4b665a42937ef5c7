// clip/eval/prompts.cpp — templates and label lists.
#include "clip/eval/prompts.h"

#include <sstream>

#include "clip/eval/templates.h"
#include "data/tinted_fashion.h"
#include "tensor/io/text_file.h"

namespace diptych {
namespace {

std::string trim(const std::string& s) {
  const size_t begin = s.find_first_not_of(" \t"), end = s.find_last_not_of(" \t");
  return begin == std::string::npos ? "" : s.substr(begin, end - begin + 1);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  if (!text.empty() && text.back() == separator) parts.emplace_back();
  return parts;
}

/// Without empty lines at the end.
std::vector<std::string> lines_of(const std::string& path) {
  constexpr int64_t kMaxBytes = 16 << 20;  // ImageNet-21k's labels have half a megabyte
  std::vector<std::string> lines = read_lines(path, kMaxBytes);
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

std::vector<std::string> checked_labels(std::vector<std::string> labels,
                                        const std::string& source) {
  for (size_t i = 0; i < labels.size(); ++i) {
    labels[i] = trim(labels[i]);
    check(!labels[i].empty(), "labels: label ", i + 1, " of ", source, " is empty");
    check(std::count(labels.begin(), labels.end(), labels[i]) == 1, "labels: '", labels[i],
          "' stands twice in ", source);
  }
  check(labels.size() >= 2, "labels: ", source, " has ", labels.size(),
        ", classification needs at least two to choose from");
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

}  // namespace diptych
