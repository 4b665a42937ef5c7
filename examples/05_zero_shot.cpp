// examples/05_zero_shot.cpp — a trained model, a picture and some words: what `diptych classify`
// does.
//
// Usage: 05_zero_shot [MODEL PICTURE LABEL LABEL…]. Without arguments, an untrained model and a
// picture made here show the mechanics; the probabilities mean nothing then.
#include <iostream>

#include "clip/eval/zero_shot.h"
#include "clip/weights/model_file.h"
#include "data/image/transform.h"

using namespace diptych;

namespace {

LoadedModel untrained() {
  LoadedModel loaded;
  loaded.tokenizer = Tokenizer::train(
      {"a photo of a red square.", "a photo of a blue circle.", "a red square", "a blue circle"},
      640);
  ModelConfig config = preset("fashion");
  config.text.vocab_size = loaded.tokenizer->vocab_size();
  loaded.model = std::make_unique<Clip>(config);
  loaded.model->initialize(0);
  return loaded;
}

Picture red_square() {
  RgbImage image{40, 40, std::vector<uint8_t>(3 * 40 * 40, 0)};
  for (size_t i = 0; i < image.rgb.size(); i += 3) image.rgb[i] = 255;
  return to_picture(image);
}

void run(const std::vector<std::string>& arguments) {
  const bool given = arguments.size() > 2;
  const LoadedModel loaded = given ? load_model(arguments[0]) : untrained();
  const Picture picture = given ? load_picture(arguments[1]) : red_square();
  const std::vector<std::string> labels =
      given ? std::vector<std::string>(arguments.begin() + 2, arguments.end())
            : std::vector<std::string>{"red square", "blue circle"};

  // The picture as the model wants it: R × R, normalised, in a batch of one.
  const Tensor pixels = preprocess(picture, loaded.model->config().preprocess);
  const Tensor batch = reshape(pixels, {1, pixels.dim(0), pixels.dim(1), pixels.dim(2)});
  // Each label as a sentence, encoded and normalised: the weights of a linear classifier.
  const Tensor head = zero_shot_head(*loaded.model, loaded.words(), labels, {"a photo of a {}."});

  const auto p = softmax(zero_shot_logits(*loaded.model, head, batch)).to_vector<double>();
  for (size_t i = 0; i < labels.size(); ++i) {
    std::cout << labels[i] << ": " << 100 * p[i] << " %\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
