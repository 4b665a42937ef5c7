// tests/cuda/test_host_reads.cu — what a training step asks of the device, call by call: the host
// waits for nothing before the last kernel is queued, and uploads twice.
#include <doctest/doctest.h>

#include <algorithm>

#include "clip/train/train.h"
#include "tests/cuda/emulated.h"
#include "tests/squares.h"

using namespace diptych;
using namespace diptych::test;

namespace {

/// Noise with captions.
class Noise : public Dataset {
 public:
  explicit Noise(const ModelConfig& config) : config_(config) {}
  int64_t size() const override { return 64; }
  std::string name_of(int64_t index) const override { return "noise " + std::to_string(index); }
  Example get(int64_t index, int64_t) const override {
    const int64_t R = config_.image_size();
    const Tensor x = uniform({R, R, config_.channels()}, 0, 255, {1, static_cast<uint64_t>(index)});
    return {x.to(DType::u8), "a " + kWords[static_cast<size_t>(index % 4)] + " one", index % 4};
  }

 private:
  ModelConfig config_;
};

using Calls = std::vector<emu::Call>;

/// The calls of the second step: at the first, handles and buffers are made.
Calls calls_of_a_step(ModelConfig config) {
  const Tokenizer tokenizer = squares_tokenizer();
  config.text.vocab_size = tokenizer.vocab_size();
  const Noise data(config);
  const TempDir dir;
  Clip model(config);
  model.initialize(1);
  model.to(Device::cuda);
  RunLog log(dir / "run", false, /*echo=*/false);
  Trainer trainer(model, tokenizer, data, squares_training(), log);
  Loader loader(data, tokenizer, {.batch_size = 8, .workers = 0});
  loader.start(0);
  trainer.finish(trainer.queue_step(*loader.next()));
  const Batch batch = *loader.next();
  emu::start_trace();
  const QueuedStep step = trainer.queue_step(batch);
  const Calls calls = emu::take_trace();
  trainer.finish(step);
  return calls;
}

bool is_read(const emu::Call& call) {
  return call.kind == emu::Call::wait ||
         (call.kind == emu::Call::copy && call.direction == cudaMemcpyDeviceToHost);
}
bool is_upload(const emu::Call& call) {
  return call.kind == emu::Call::copy && call.direction == cudaMemcpyHostToDevice;
}
bool is_launch(const emu::Call& call) { return call.kind == emu::Call::launch; }

void check_step(const ModelConfig& config) {
  const Calls calls = calls_of_a_step(config);
  const auto last = std::find_if(calls.rbegin(), calls.rend(), is_launch).base();
  CHECK(std::count_if(calls.begin(), calls.end(), is_launch) > 100);
  for (const emu::Call& call : Calls(calls.begin(), last)) {
    CAPTURE(call.name);
    CHECK(!is_read(call));
  }
  CHECK(std::count_if(last, calls.end(), is_read) ==
        1);  // loss, norm and temperature, by themselves
  CHECK(std::count_if(calls.begin(), calls.end(), is_upload) == 2);  // pictures and captions
}

}  // namespace

TEST_CASE("host reads: a step of a ViT has none before its last launch") {
  check_step(tiny_config());
}

TEST_CASE("host reads: a step of a ResNet has none before its last launch") {
  check_step(preset("tiny-resnet"));
}
