// clip/eval/retrieval.cpp — ranks, a block of scores at a time.
#include "clip/eval/retrieval.h"

#include <algorithm>
#include <numeric>

#include "autograd/ops.h"

namespace diptych {
namespace {

constexpr int64_t kScores = int64_t{1} << 22;  // 16 MiB of them at a time

int64_t rank_in(const float* scores, int64_t N, int64_t own) {
  const float score = scores[own];
  int64_t before = 0;
  for (int64_t j = 0; j < N; ++j) before += scores[j] > score || (scores[j] == score && j < own);
  return before;
}

}  // namespace

std::vector<int64_t> ranks(const Tensor& queries, const Tensor& items) {
  check(queries.rank() == 2 && queries.shape() == items.shape() && queries.dim(0) > 0,
        "retrieval: needs queries and items (N, E), N > 0, got ", queries.shape(), " and ",
        items.shape());
  const NoGrad no_grad;
  const int64_t N = queries.dim(0), block = std::max<int64_t>(1, kScores / N);
  std::vector<int64_t> all;
  for (int64_t begin = 0; begin < N; begin += block) {
    const int64_t end = std::min(N, begin + block);
    const auto scores =
        matmul(slice(queries, 0, begin, end), transpose(items, 0, 1)).to_vector<float>();
    for (int64_t i = begin; i < end; ++i)
      all.push_back(rank_in(scores.data() + (i - begin) * N, N, i));
  }
  return all;
}

Recall recall(std::vector<int64_t> ranks) {
  check(!ranks.empty(), "retrieval: there is nothing to find");
  std::sort(ranks.begin(), ranks.end());
  const auto n = static_cast<double>(ranks.size());
  const auto share = [&](int64_t K) {
    return static_cast<double>(std::lower_bound(ranks.begin(), ranks.end(), K) - ranks.begin()) / n;
  };
  const size_t half = ranks.size() / 2;
  const int64_t middle = ranks.size() % 2 ? ranks[half] : (ranks[half - 1] + ranks[half]) / 2;
  const double sum = std::accumulate(ranks.begin(), ranks.end(), 0.0);
  return {share(1), share(5), share(10), 1 + sum / n, 1 + middle};
}

}  // namespace diptych
