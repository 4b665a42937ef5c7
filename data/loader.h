// data/loader.h — Loader: a dataset in batches, in seeded order, prepared by worker threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/permutation.h"
#include "data/text/captions.h"
#include "data/text/tokenizer.h"

namespace diptych {

struct LoaderOptions {
  int64_t batch_size = 64;                 ///< B, per rank
  int workers = 1;                         ///< threads; 0 loads inside next()
  uint64_t seed = 0;                       ///< of the order
  int64_t context_length = 77;             ///< longest tokenized caption, start and end included
  Overflow overflow = Overflow::truncate;  ///< of captions; with `error` next() throws
  bool shuffle = true;
  /// For training, never for evaluation: drop a last, incomplete batch, and keep the others whole.
  bool drop_last = false;
  int prefetch = 2;  ///< batches kept ready besides the one each worker prepares, at least 1
  int64_t rank = 0, ranks = 1;  ///< this rank's share: each step takes ranks · B samples in order
};

/// A sample that was left out, and why.
struct BadSample {
  int64_t index = 0;
  std::string name, reason;
};

/// B pairs. Without drop_last a batch is smaller by its bad samples; if they are all of it (or a
/// rank gets nothing of the last batch) `indices` is empty and `pixels` the null tensor.
struct Batch {
  Tensor pixels;                         ///< u8 (B, R, R, C): see normalized()
  Captions captions;                     ///< B
  std::vector<int64_t> indices, labels;  ///< dataset index and label per row
  std::vector<std::string> texts;        ///< captions as found, per row
  std::vector<BadSample> bad;            ///< left out
  int64_t truncated = 0;                 ///< captions that lost their tail
};

/// Walks over a dataset in batches. Order and content are functions of (seed, epoch, batch number):
/// the same bits for any number of workers, and from any `first_batch`. With drop_last every batch
/// has B pairs: in the place of a bad sample stands one of the tail that fills no batch, or else
/// the one of the same place in a later batch (see Loader::stand_in). The dataset and the tokenizer
/// must outlive the loader. One thread calls the member functions.
class Loader {
 public:
  Loader(const Dataset&, const Tokenizer&, const LoaderOptions&);
  ~Loader();  ///< may come in the middle of an epoch
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  int64_t batches() const;  ///< per epoch, equal on all ranks

  /// Begins an epoch at batch `first_batch`, ending the one under way.
  void start(int64_t epoch, int64_t first_batch = 0);
  /// The next batch; nothing at the end of the epoch. A sample that throws Error is left out and
  /// reported; any other exception comes out here, and the call after it goes on behind that batch.
  std::optional<Batch> next();

  double wait_seconds() const { return wait_seconds_; }  ///< spent waiting in next() since start()

 private:
  class Workers;

  Batch load(int64_t epoch, int64_t batch) const;
  bool add_sample(int64_t index, int64_t epoch, Batch&, std::vector<Example>&) const;
  void fill_place(int64_t position, const Permutation&, int64_t epoch, Batch&,
                  std::vector<Example>&) const;
  std::optional<int64_t> stand_in(int64_t position, int64_t attempt) const;
  Tensor stack_pixels(const std::vector<Example>&, const Batch&) const;
  void pack_tokens(Batch&) const;

  const Dataset& dataset_;
  const Tokenizer& tokenizer_;
  LoaderOptions options_;
  int64_t epoch_ = 0, cursor_ = 0;  // cursor_: the batch next() returns
  double wait_seconds_ = 0;
  std::unique_ptr<Workers> workers_;  // null when options_.workers is 0
};

}  // namespace diptych
