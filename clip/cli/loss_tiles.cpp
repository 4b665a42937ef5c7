// clip/cli/loss_tiles.cpp — the streamed loss as a table, by the kernels that compute it.
#include "clip/cli/loss_tiles.h"

#include <fmt/core.h>

#include <limits>

#include "tensor/kernels.h"

namespace diptych::cli {
namespace {

/// A line of numbers under a title.
std::string line(const std::string& title, const Tensor& values) {
  std::string text = fmt::format("  {:<16}", title);
  for (const double v : values.to_vector<double>()) text += fmt::format(" {:10.4f}", v);
  return text + '\n';
}

struct Stretch {
  int64_t begin, end;
  Tensor of(const Tensor& x) const { return x.slice(0, begin, end).contiguous(); }
  std::string text() const { return fmt::format("{} to {}", begin, end - 1); }
};

std::vector<Stretch> stretches(int64_t n, int64_t length) {
  std::vector<Stretch> all;
  for (int64_t i = 0; i < n; i += length) all.push_back({i, std::min(n, i + length)});
  return all;
}

std::string logits_text(const Tensor& x, const Stretch& rows) {
  std::string text;
  for (int64_t i = 0; i < x.dim(0); ++i)
    text += line(fmt::format("x[{}]", rows.begin + i), x.select(0, i));
  return text;
}

/// Of rows, or of columns, and what they have come to.
struct Lines {
  Lines(const char* name_, int64_t N, DType dtype)
      : name(name_),
        sums{full({N}, -std::numeric_limits<double>::infinity(), dtype), zeros({N}, dtype)} {}
  LogSums part(const Stretch& s) const {
    return {sums.most.slice(0, s.begin, s.end), sums.total.slice(0, s.begin, s.end)};
  }
  std::string text(const Stretch& s) const {
    return line(fmt::format("{}: most", name), s.of(sums.most)) +
           line(fmt::format("{}: total", name), s.of(sums.total));
  }
  Tensor lse() const { return sums.most + log(sums.total); }

  const char* name;
  LogSums sums;
};

/// Softmax: both running sums.
struct Softmax {
  Softmax(int64_t N, DType dtype)
      : rows("rows", N, dtype), columns("columns", N, dtype), right(zeros({N}, dtype)) {}

  std::string take(const Tensor& x, const Tensor& label, const Stretch& r, const Stretch& c) {
    Tensor of_rows = right.slice(0, r.begin, r.end);
    kernel::contrastive(Device::cpu, x, r.of(label), c.of(label), rows.part(r), columns.part(c),
                        of_rows);
    return rows.text(r) + columns.text(c);
  }
  std::string end() const {
    return line("ln Σ e^x, rows", rows.lse()) + line("ln Σ e^x, columns", columns.lse()) +
           line("Σ x of right", right);
  }

  Lines rows, columns;
  Tensor right;
};

/// Sigmoid: the losses of rows so far.
struct Sigmoid {
  Sigmoid(int64_t N, DType dtype) : losses(zeros({N}, dtype)) {}

  std::string take(const Tensor& x, const Tensor& label, const Stretch& r, const Stretch& c) {
    Tensor of_rows = losses.slice(0, r.begin, r.end);
    kernel::contrastive_sigmoid(Device::cpu, x, r.of(label), c.of(label), of_rows);
    return line("rows: loss", of_rows);
  }
  std::string end() const { return line("loss of each row", losses); }

  Tensor losses;
};

template <class Loss>
std::string walk(const Tensor& logits, const Tensor& label, int64_t tile, Loss loss) {
  std::string text;
  for (const Stretch& r : stretches(logits.dim(0), tile))
    for (const Stretch& c : stretches(logits.dim(0), tile)) {
      const Tensor x = logits.slice(0, r.begin, r.end).slice(1, c.begin, c.end).contiguous();
      text += fmt::format("tile: pictures {}, texts {}\n", r.text(), c.text()) + logits_text(x, r);
      text += loss.take(x, label, r, c);
    }
  return text + "after all tiles\n" + loss.end();
}

}  // namespace

std::string explain_tiles(const Tensor& image, const Tensor& text, const Tensor& scale,
                          const Tensor& bias, const LossOptions& options) {
  const NoGrad no_grad;
  const auto here = [](const Tensor& x) { return x.detach().to(Device::cpu); };
  const Tensor cosines =
      matmul(l2_normalize(here(image)), transpose(l2_normalize(here(text)), 0, 1));
  const Tensor logits = here(scale) * cosines;
  const int64_t N = logits.dim(0), tile = std::min(options.tile, N);
  const Tensor label = options.label.defined() ? options.label : arange(N);
  if (bias.defined()) return walk(logits + here(bias), label, tile, Sigmoid(N, logits.dtype()));
  return walk(logits, label, tile, Softmax(N, logits.dtype()));
}

}  // namespace diptych::cli
