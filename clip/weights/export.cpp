// clip/weights/export.cpp — tensors under other names, and a configuration beside them.
#include "clip/weights/export.h"

#include <filesystem>

#include "clip/weights/export_config.h"
#include "clip/weights/hugging_face_tokenizer.h"
#include "clip/weights/names.h"
#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"

namespace diptych {
namespace {

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  check(!error, "convert: cannot create the folder '", folder, "': ", error.message());
  check(
      std::filesystem::is_empty(folder), "convert: '", folder,
      "' is not empty, and what lies there would be read along with the model; name a new folder");
}

}  // namespace

void export_open_clip(const std::string& folder, const Clip& model) {
  const std::string config = open_clip_config(model.config());
  make_folder(folder);
  save_safetensors(folder + "/open_clip_model.safetensors", model.state_dict(), {{"format", "pt"}});
  write_file_atomically(folder + "/open_clip_config.json", config);
}

void export_hugging_face(const std::string& folder, const Clip& model, const Tokenizer* tokenizer) {
  const std::string config = hugging_face_config(model.config(), tokenizer),
                    preprocessor = hugging_face_preprocessor(model.config());
  make_folder(folder);
  save_safetensors(folder + "/model.safetensors", with_hugging_face_names(model.state_dict()),
                   {{"format", "pt"}});
  write_file_atomically(folder + "/config.json", config);
  write_file_atomically(folder + "/preprocessor_config.json", preprocessor);
  if (tokenizer)
    write_hugging_face_tokenizer(folder, *tokenizer, model.config().text.context_length);
}

}  // namespace diptych
