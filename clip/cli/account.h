// clip/cli/account.h — what was left out, in the words of a command.
#pragma once

#include <string>
#include <vector>

#include "data/left_out.h"
#include "data/text/texts.h"
#include "data/text/tokenizer.h"

namespace diptych::cli {

/// "listed", "used" and "left_out" with every name and reason. Json is nlohmann's.
template <class Json>
void add_accounting(Json& object, const Accounting& a) {
  object["listed"] = a.listed;
  object["used"] = a.used;
  object["left_out"] = Json::array();
  for (const LeftOut& one : a.left_out)
    object["left_out"].push_back(Json{{"name", one.name}, {"reason", one.reason}});
}

/// "2 of 8 pictures were left out: …\n"; empty if none was.
std::string left_out_line(const Accounting&);
/// "5 other files are no pictures, the first is …\n"; empty if there are none.
std::string others_line(const std::vector<std::string>& others);

/// "2 of 5 class folders have no picture, …\n" with their names; empty if all have one.
std::string empty_classes_line(const std::vector<std::string>& empty, size_t classes);

/// Says on stderr how many of the texts are longer than the context, and so were cut.
void tell_cut(const Tokenizer&, const Texts& texts, int64_t context);
void tell_cut(const Tokenizer&, const std::vector<std::string>& texts, int64_t context);

/// Warns on stderr, naming them, of labels that stand there more than once.
void tell_repeated(const std::vector<std::string>& labels);

}  // namespace diptych::cli
