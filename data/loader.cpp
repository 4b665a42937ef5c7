// data/loader.cpp — batches from worker threads, in order.
#include "data/loader.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

#include "tensor/factory.h"
#include "tensor/parallel.h"

namespace diptych {

// The threads of one epoch. Each takes the next batch number, prepares the batch alone and puts it
// on the shelf; take() hands batches out in order. No number is given out that lies further ahead
// of take() than `prefetch` and one per worker, which bounds memory. Destruction drops what was not
// taken.
class Loader::Workers {
 public:
  Workers(const Loader& loader, int64_t first) : loader_(loader), assigned_(first), taken_(first) {
    try {
      for (int i = 0; i < loader.options_.workers; ++i) threads_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {  // those that run must not wait for ever
      stop();
      fail("threads: the system gives no more than ", threads_.size(),
           " to prepare batches: ", error.code().message(),
           "; ask for fewer with --workers, or raise the limit (ulimit -u, ulimit -v)");
    }
  }

  ~Workers() { stop(); }  // the threads are joined by their destructors

  Batch take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return shelf_.contains(taken_); });
    Result result = std::move(shelf_.extract(taken_++).mapped());
    lock.unlock();
    changed_.notify_all();
    if (result.error) std::rethrow_exception(result.error);
    return std::move(result.batch);
  }

 private:
  struct Result {
    Batch batch;
    std::exception_ptr error;
  };

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
  }

  void work() {
    const SerialScope serial;
    while (const std::optional<int64_t> batch = next_assignment()) {
      Result result = prepare(*batch);
      {
        const std::lock_guard lock(mutex_);
        shelf_.emplace(*batch, std::move(result));
      }
      changed_.notify_all();
    }
  }

  std::optional<int64_t> next_assignment() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] {
      return stopping_ || assigned_ == loader_.batches() ||
             assigned_ < taken_ + loader_.options_.prefetch + loader_.options_.workers;
    });
    if (stopping_ || assigned_ == loader_.batches()) return std::nullopt;
    return assigned_++;
  }

  Result prepare(int64_t batch) const noexcept {
    try {
      return {loader_.load(loader_.epoch_, batch), nullptr};
    } catch (...) {
      return {{}, std::current_exception()};
    }
  }

  const Loader& loader_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int64_t, Result> shelf_;  // finished, not yet taken
  int64_t assigned_, taken_;         // the next batch to prepare and to hand out
  bool stopping_ = false;
  std::vector<std::jthread> threads_;  // last: they use everything above
};

Loader::Loader(const Dataset& dataset, const Tokenizer& tokenizer, const LoaderOptions& options)
    : dataset_(dataset), tokenizer_(tokenizer), options_(options) {
  check(options.batch_size > 0, "loader: batch size ", options.batch_size);
  check(options.workers >= 0 && options.workers <= 1024, "loader: ", options.workers, " workers");
  check(options.prefetch >= 1, "loader: prefetch ", options.prefetch, "; at least 1 is needed");
  check(options.context_length >= 2, "loader: context length ", options.context_length);
  check(options.rank >= 0 && options.rank < options.ranks, "loader: rank ", options.rank, " of ",
        options.ranks);
  check(dataset.size() > 0, "loader: the dataset is empty");
  check(batches() > 0, "loader: ", dataset.size(), " samples do not fill one batch of ",
        options.batch_size * options.ranks, "; choose a smaller batch or keep the last one");
}

Loader::~Loader() = default;

int64_t Loader::batches() const {
  const int64_t step = options_.batch_size * options_.ranks;
  return options_.drop_last ? dataset_.size() / step : (dataset_.size() + step - 1) / step;
}

void Loader::start(int64_t epoch, int64_t first_batch) {
  check(first_batch >= 0 && first_batch <= batches(), "loader: no batch ", first_batch, " among ",
        batches());
  workers_.reset();
  epoch_ = epoch;
  cursor_ = first_batch;
  wait_seconds_ = 0;
  if (options_.workers > 0) workers_ = std::make_unique<Workers>(*this, first_batch);
}

std::optional<Batch> Loader::next() {
  if (cursor_ == batches()) return std::nullopt;
  const auto begin = std::chrono::steady_clock::now();
  const int64_t batch = cursor_++;
  Batch result = workers_ ? workers_->take() : load(epoch_, batch);
  wait_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

Batch Loader::load(int64_t epoch, int64_t batch) const {
  const int64_t n = dataset_.size(), size = options_.batch_size;
  const int64_t begin = std::min(n, (batch * options_.ranks + options_.rank) * size);
  const Permutation order(n, options_.seed, epoch);
  Batch out;
  std::vector<Example> examples;
  for (int64_t i = begin; i < std::min(n, begin + size); ++i) {
    if (options_.drop_last) {
      fill_place(i, order, epoch, out, examples);
    } else {
      add_sample(options_.shuffle ? order(i) : i, epoch, out, examples);
    }
  }
  out.pixels = stack_pixels(examples, out);
  pack_tokens(out);
  return out;
}

// Only what the dataset throws as Error is a damaged sample; anything else is a fault of ours.
bool Loader::add_sample(int64_t index, int64_t epoch, Batch& batch,
                        std::vector<Example>& examples) const {
  try {
    examples.push_back(dataset_.get(index, epoch));
  } catch (const Error& error) {
    batch.bad.push_back({index, dataset_.name_of(index), error.what()});
    return false;
  }
  batch.indices.push_back(index);
  batch.labels.push_back(examples.back().label);
  batch.texts.push_back(examples.back().caption);
  return true;
}

// Which position of the epoch's order is tried in the place of `position`: first those of the tail
// that fills no batch, then the same place of the batches behind, around the end; nothing when all
// were tried. A function of position and attempt alone, so that it is the same for any number of
// workers and after a restart.
std::optional<int64_t> Loader::stand_in(int64_t position, int64_t attempt) const {
  const int64_t step = options_.batch_size * options_.ranks, used = batches() * step;
  const int64_t tail = dataset_.size() - used, behind = attempt - tail + 1;
  if (attempt < tail) return used + (position + attempt) % tail;
  if (behind == batches()) return std::nullopt;
  return (position + behind * step) % used;
}

void Loader::fill_place(int64_t position, const Permutation& order, int64_t epoch, Batch& batch,
                        std::vector<Example>& examples) const {
  std::optional<int64_t> place = position;
  for (int64_t attempt = 0; place; place = stand_in(position, attempt++)) {
    const int64_t index = options_.shuffle ? order(*place) : *place;
    const auto& have = batch.indices;
    if (std::find(have.begin(), have.end(), index) != have.end()) continue;
    if (add_sample(index, epoch, batch, examples)) return;
  }
  fail("loader: a batch cannot be filled, too many samples are bad, the last is '",
       batch.bad.back().name, "': ", batch.bad.back().reason);
}

Tensor Loader::stack_pixels(const std::vector<Example>& examples, const Batch& batch) const {
  if (examples.empty()) return {};
  const Shape& one = examples.front().pixels.shape();
  Shape all{static_cast<int64_t>(examples.size())};
  for (int64_t extent : one) all.push_back(extent);
  Tensor pixels = empty(all, DType::u8);
  for (size_t b = 0; b < examples.size(); ++b) {
    const Tensor& x = examples[b].pixels;
    check(x.shape() == one && x.is_contiguous(), "loader: '", dataset_.name_of(batch.indices[b]),
          "' is ", x.shape(), ", '", dataset_.name_of(batch.indices[0]), "' is ", one,
          "; pictures of a batch must have one size");
    std::copy_n(x.data<uint8_t>(), x.numel(),
                pixels.data<uint8_t>() + static_cast<int64_t>(b) * x.numel());
  }
  return pixels;
}

void Loader::pack_tokens(Batch& batch) const {
  const auto limit = static_cast<size_t>(options_.context_length);
  const bool may_cut = options_.overflow == Overflow::truncate;
  const int64_t room = may_cut ? INT64_MAX : options_.context_length;
  std::vector<std::vector<int64_t>> captions;
  for (const std::string& text : batch.texts) {
    std::vector<int64_t> ids = tokenizer_.tokenize(text, room, Overflow::error);
    if (ids.size() > limit) {
      ids.resize(limit);
      ids.back() = tokenizer_.end_token();
      ++batch.truncated;
    }
    captions.push_back(std::move(ids));
  }
  batch.captions = pack(captions);
  batch.captions.layout.numbers();  // made here, by a worker, rather than by who trains
}

}  // namespace diptych
