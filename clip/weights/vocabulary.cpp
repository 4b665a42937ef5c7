// clip/weights/vocabulary.cpp — where OpenAI's merges file is.
#include "clip/weights/vocabulary.h"

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "tensor/io/file.h"
#include "tensor/types.h"

namespace diptych {

std::string find_vocabulary(const std::string& model_path) {
  namespace fs = std::filesystem;
  if (const char* named = std::getenv("DIPTYCH_VOCAB"); named && *named) {
    check(is_file(named), "vocabulary: DIPTYCH_VOCAB names '", named,
          "', which is no file; correct it or unset it");
    return named;
  }
  std::vector<fs::path> folders{"vocab"};
  if (!model_path.empty()) folders.insert(folders.begin(), fs::path(model_path).parent_path());
  for (const fs::path& folder : folders)
    if (is_file(folder / kVocabularyName)) return folder / kVocabularyName;
  return "";
}

}  // namespace diptych
