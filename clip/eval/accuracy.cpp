// clip/eval/accuracy.cpp — rankings, and averages over them.
#include "clip/eval/accuracy.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "clip/eval/zero_shot.h"

namespace diptych {

namespace {

void add_ranked(const float* row, size_t K, Predictions& out) {
  std::vector<int64_t> order(K);
  std::iota(order.begin(), order.end(), 0);
  const auto best = order.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(5, K));
  // Ties go to the smaller index, so that the ranking is a function of the numbers alone.
  std::partial_sort(order.begin(), best, order.end(), [row](int64_t i, int64_t j) {
    return row[i] != row[j] ? row[i] > row[j] : i < j;
  });
  out.ranked.emplace_back(order.begin(), best);
}

}  // namespace

Predictions rank_classes(const Tensor& logits, const std::vector<int64_t>& labels) {
  Predictions out;
  out.labels = labels;
  out.indices.resize(labels.size());
  std::iota(out.indices.begin(), out.indices.end(), 0);
  const auto K = static_cast<size_t>(logits.dim(1));
  const auto scores = logits.to_vector<float>();
  for (size_t i = 0; i < labels.size(); ++i) add_ranked(scores.data() + i * K, K, out);
  return out;
}

Predictions classify_dataset(const Clip& model, const Tensor& head, Loader& loader,
                             const std::function<void(int64_t)>& progress) {
  Predictions out;
  const auto K = static_cast<size_t>(head.dim(0));
  const Tensor table = pixel_table(model.config().preprocess).to(model.device());
  loader.start(0);
  while (const auto batch = loader.next()) {
    for (const BadSample& bad : batch->bad) out.left_out.push_back({bad.name, bad.reason});
    if (batch->indices.empty()) continue;
    const auto logits =
        zero_shot_logits(model, head, normalized(batch->pixels, table)).to_vector<float>();
    for (size_t b = 0; b < batch->labels.size(); ++b) {
      add_ranked(logits.data() + b * K, K, out);
      out.labels.push_back(batch->labels[b]);
      out.indices.push_back(batch->indices[b]);
    }
    if (progress) progress(static_cast<int64_t>(out.labels.size() + out.left_out.size()));
  }
  return out;
}

Accuracy accuracy(const Predictions& predictions, const std::function<bool(int64_t)>& include) {
  Accuracy result;
  std::map<int64_t, std::pair<double, double>> per_class;  // hits, pictures
  for (size_t i = 0; i < predictions.labels.size(); ++i) {
    const int64_t label = predictions.labels[i];
    if (!include(label)) continue;
    const auto& ranked = predictions.ranked[i];
    const bool first = ranked[0] == label;
    ++result.pictures;
    result.acc1 += first;
    result.acc5 += std::find(ranked.begin(), ranked.end(), label) != ranked.end();
    per_class[label].first += first;
    per_class[label].second += 1;
  }
  if (result.pictures == 0) return result;
  for (const auto& [label, count] : per_class)
    result.mean_per_class_recall += count.first / count.second;
  result.mean_per_class_recall /= static_cast<double>(per_class.size());
  result.acc1 /= static_cast<double>(result.pictures);
  result.acc5 /= static_cast<double>(result.pictures);
  return result;
}

std::vector<Accuracy> accuracy_by_class(const Predictions& predictions, int64_t classes) {
  std::vector<Accuracy> rows(static_cast<size_t>(classes));
  for (size_t i = 0; i < predictions.labels.size(); ++i) {
    const int64_t label = predictions.labels[i];
    const auto& ranked = predictions.ranked[i];
    Accuracy& row = rows.at(static_cast<size_t>(label));
    ++row.pictures;
    row.acc1 += ranked[0] == label;
    row.acc5 += std::find(ranked.begin(), ranked.end(), label) != ranked.end();
  }
  for (Accuracy& row : rows) {
    if (row.pictures == 0) continue;
    row.acc1 /= static_cast<double>(row.pictures);
    row.acc5 /= static_cast<double>(row.pictures);
    row.mean_per_class_recall = row.acc1;
  }
  return rows;
}

std::vector<Confusion> confusions(const Predictions& predictions) {
  std::map<std::pair<int64_t, int64_t>, int64_t> counts;
  for (size_t i = 0; i < predictions.labels.size(); ++i) {
    const int64_t label = predictions.labels[i], first = predictions.ranked[i][0];
    if (first != label) ++counts[{label, first}];
  }
  std::vector<Confusion> pairs;
  for (const auto& [pair, count] : counts) pairs.push_back({pair.first, pair.second, count});
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Confusion& a, const Confusion& b) { return a.pictures > b.pictures; });
  return pairs;
}

}  // namespace diptych
