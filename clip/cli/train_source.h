// clip/cli/train_source.h — what a run begins with: an architecture, weights, a vocabulary.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "clip/cli/train_flags.h"
#include "data/text/texts.h"
#include "data/text/tokenizer.h"

namespace diptych::cli {

struct TrainSource {
  ModelConfig config;
  std::vector<NamedTensor> weights;  ///< empty: drawn by the seed, or a checkpoint's to come
  std::string pretrained;            ///< fingerprint_of(weights) that the run begins or began with
  std::optional<Tokenizer> tokenizer;  ///< of --pretrained; complete() sees to the others
  std::string vocabulary_file;         ///< empty: the model's own, or learned from the captions
};

/// By --model, --set and --pretrained; where a run goes on from a checkpoint nothing of the weights
/// it began with is read. Throws Error naming the first tensor that differs if --pretrained is of
/// another architecture than --model. `so_far`: what the run was begun with, if it was.
TrainSource open_source(const TrainFlags&, const std::optional<RunParams>& so_far);

/// Settles the vocabulary, and with it the size of the embedding: the checkpoint's, that of
/// --pretrained, --vocab, OpenAI's for a model of that size, or one learned from the captions.
/// Throws Error if --vocab is not the one that the embedding was trained for.
void complete(TrainSource&, const TrainFlags&, const Checkpoint*, const Texts& captions);

/// Draws the parameters or takes those of --pretrained, which are released.
void fill(TrainSource&, uint64_t seed, Clip&);

}  // namespace diptych::cli
