// tensor/io/npy.cpp — NumPy's .npy format: magic, version, a Python dictionary as text, the array.
#include "tensor/io/npy.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "tensor/factory.h"

namespace diptych {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian here");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr int64_t kMaxHeader = 1 << 16;
constexpr int64_t kMaxExtent = int64_t{1} << 56;
constexpr size_t kAlignment = 64;  // of the data, as NumPy writes it

/// How the file spells an element type, and what it becomes in memory.
struct FileType {
  std::string_view name;
  DType dtype;
  int64_t bytes;  // per element, in the file
};

constexpr FileType kTypes[] = {
    {"<f4", DType::f32, 4}, {"<f8", DType::f64, 8}, {"<f2", DType::f16, 2}, {"<i8", DType::i64, 8},
    {"|u1", DType::u8, 1},  {"|b1", DType::u8, 1},  {"<i4", DType::i64, 4},
};

struct Header {
  const FileType* type = nullptr;
  bool fortran_order = false;
  Shape shape;
};

/// Reads the dictionary {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }: these three
/// keys, each once, in any order.
class HeaderParser {
 public:
  HeaderParser(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  Header parse() {
    expect('{');
    while (!accept('}')) {
      parse_member();
      if (accept(',')) continue;
      expect('}');
      break;
    }
    skip_space();
    require(text_.empty(), "text after the dictionary");
    require(has_descr_ && has_order_ && has_shape_, "it lacks descr, fortran_order or shape");
    return header_;
  }

 private:
  template <class... Args>
  void require(bool ok, const Args&... what) const {
    check(ok, "load: '", path_, "': bad .npy header: ", what...);
  }

  void skip_space() {
    text_.remove_prefix(std::min(text_.find_first_not_of(" \t\n"), text_.size()));
  }

  bool accept(char c) {
    skip_space();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }

  void expect(char c) {
    const bool found = accept(c);
    require(found, "expected '", c, "' before ", in_quotes(text_.substr(0, 20)));
  }

  std::string_view parse_string() {
    skip_space();
    const char quote = text_.empty() ? '\0' : text_.front();
    require(quote == '\'' || quote == '"', "expected a string before ",
            in_quotes(text_.substr(0, 20)));
    const size_t end = text_.find(quote, 1);
    require(end != std::string_view::npos, "a string does not end");
    const std::string_view inside = text_.substr(1, end - 1);
    require(inside.find('\\') == std::string_view::npos, "escape in the string ",
            in_quotes(inside));
    text_.remove_prefix(end + 1);
    return inside;
  }

  void parse_member() {
    const std::string_view key = parse_string();
    expect(':');
    if (key == "descr") {
      once(has_descr_, key);
      parse_type();
    } else if (key == "fortran_order") {
      once(has_order_, key);
      parse_order();
    } else if (key == "shape") {
      once(has_shape_, key);
      parse_shape();
    } else {
      require(false, "unknown key ", in_quotes(key));
    }
  }

  void once(bool& seen, std::string_view key) {
    require(!seen, key, " appears twice");
    seen = true;
  }

  void parse_type() {
    const std::string_view name = parse_string();
    for (const FileType& type : kTypes)
      if (type.name == name) header_.type = &type;
    require(header_.type != nullptr, "the dtype ", in_quotes(name),
            " is not supported; convert it, for example with .astype('<f4')");
  }

  void parse_order() {
    skip_space();
    header_.fortran_order = text_.starts_with("True");
    require(header_.fortran_order || text_.starts_with("False"), "fortran_order is no boolean");
    text_.remove_prefix(header_.fortran_order ? 4 : 5);
  }

  void parse_shape() {
    expect('(');
    bool comma = true;  // (3) is a number in Python, (3,) a tuple
    while (!accept(')')) {
      require(comma, "expected ',' or ')' in the shape");
      require(header_.shape.rank() < Shape::kMaxRank, "more than ", Shape::kMaxRank, " dimensions");
      header_.shape.push_back(parse_extent());
      comma = accept(',');
    }
    require(comma || header_.shape.rank() > 1, "the shape is a number, not a tuple");
  }

  int64_t parse_extent() {
    skip_space();
    int64_t value = 0;
    size_t digits = 0;
    for (; digits < text_.size() && text_[digits] >= '0' && text_[digits] <= '9'; ++digits) {
      require(value <= kMaxExtent, "an extent overflows");
      value = 10 * value + (text_[digits] - '0');
    }
    require(digits > 0, "expected an extent before ", in_quotes(text_.substr(0, 20)));
    text_.remove_prefix(digits);
    return value;
  }

  const std::string& path_;
  std::string_view text_;
  Header header_;
  bool has_descr_ = false, has_order_ = false, has_shape_ = false;
};

struct Layout {
  Header header;
  int64_t data_begin;
};

Layout read_layout(const InputFile& file, const std::string& path) {
  char start[12] = {};  // magic, major, minor, length of the header in 2 or 4 bytes
  const int64_t available = std::min<int64_t>(file.size(), sizeof start);
  file.read_at(0, start, available);
  const auto byte = [&](int i) { return static_cast<uint32_t>(static_cast<uint8_t>(start[i])); };
  check(std::string_view(start, 6) == kMagic, "load: '", path, "' is not an .npy file");
  const uint32_t major = byte(6);
  check(major >= 1 && major <= 3 && byte(7) == 0, "load: '", path, "': unknown .npy version ",
        major, '.', byte(7));
  const int64_t prefix = major == 1 ? 10 : 12;
  const uint32_t high = major == 1 ? 0 : byte(10) << 16 | byte(11) << 24;
  const int64_t length = byte(8) | byte(9) << 8 | high;
  check(prefix <= available && length <= kMaxHeader && length <= file.size() - prefix, "load: '",
        path, "': an .npy header of ", length, " bytes in a file of ", file.size(),
        "; it may be cut short");
  std::string text(static_cast<size_t>(length), ' ');
  file.read_at(prefix, text.data(), length);
  return {HeaderParser(path, text).parse(), prefix + length};
}

/// The bytes that the header announces, checked against the file.
void check_size(const std::string& path, const Header& header, int64_t bytes) {
  check(is_addressable(header.shape), "load: '", path, "': the shape overflows: ", header.shape);
  const int64_t expected = header.shape.numel() * header.type->bytes;
  check(bytes == expected, "load: '", path, "': ", bytes, " bytes of data; shape ", header.shape,
        " of ", header.type->name, " needs ", expected);
}

Shape reversed(const Shape& shape) {
  Shape out;
  for (int i = shape.rank() - 1; i >= 0; --i) out.push_back(shape[i]);
  return out;
}

/// All that stands before the data, padded with spaces so that the data is aligned and begins at
/// `least` or behind it.
std::string head_of(DType dtype, const Shape& shape, size_t least = 0) {
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const FileType& t) { return t.dtype == dtype; });
  std::string text = "{'descr': '" + std::string(type->name) + "', 'fortran_order': False, ";
  text += "'shape': (";
  for (int i = 0; i < shape.rank(); ++i) {
    if (i > 0) text += ' ';
    text += std::to_string(shape[i]) + (i == 0 || i + 1 < shape.rank() ? "," : "");
  }
  text += "), }";
  const size_t before = kMagic.size() + 4;
  const size_t end = std::max(least, before + text.size() + 1);
  text.resize((end + kAlignment - 1) / kAlignment * kAlignment - before - 1, ' ');
  text += '\n';
  const char prefix[4] = {1, 0, static_cast<char>(text.size() & 0xff),
                          static_cast<char>(text.size() >> 8)};
  return std::string(kMagic) + std::string(prefix, sizeof prefix) + text;
}

}  // namespace

Tensor load_npy(const std::string& path) {
  const InputFile file("load", path);
  const auto [header, data_begin] = read_layout(file, path);
  const int64_t bytes = file.size() - data_begin;
  check_size(path, header, bytes);
  Tensor x =
      empty(header.fortran_order ? reversed(header.shape) : header.shape, header.type->dtype);
  if (header.type->bytes == size_of(x.dtype())) {
    file.read_at(data_begin, x.raw(), bytes);
  } else {
    file.read_i32_at(data_begin, x.data<int64_t>(), x.numel());
  }
  if (header.fortran_order)
    for (int i = 0; i < x.rank() / 2; ++i) x = x.transpose(i, x.rank() - 1 - i);
  return x;
}

Shape npy_shape(const std::string& path) {
  return read_layout(InputFile("load", path), path).header.shape;
}

void save_npy(const std::string& path, const Tensor& x) {
  check(x.dtype() != DType::bf16, "save: '", path, "': NumPy has no bf16; convert to f32 first");
  const Tensor packed = x.to(Device::cpu).contiguous();
  write_file_atomically(path, [&](FileWriter& out) {
    out.write(head_of(packed.dtype(), packed.shape()));
    out.write(packed.raw(), packed.numel() * size_of(packed.dtype()));
  });
}

NpyRows::NpyRows(FileWriter& out, const Shape& row, int64_t expected)
    : out_(out), row_(row), expected_(expected) {
  out_.write(head_of(DType::f32, with(expected)));
}

Shape NpyRows::with(int64_t rows) const {
  Shape shape{rows};
  for (int i = 0; i < row_.rank(); ++i) shape.push_back(row_[i]);
  return shape;
}

void NpyRows::add(const Tensor& rows) {
  check(rows.rank() == row_.rank() + 1 && rows.shape() == with(rows.dim(0)) &&
            rows.dtype() == DType::f32 && size_ + rows.dim(0) <= expected_,
        "save: rows of ", row_, " f32, at most ", expected_, " of them, do not go on after ", size_,
        " with ", rows.shape(), ' ', name(rows.dtype()));
  const Tensor packed = rows.to(Device::cpu).contiguous();
  out_.write(packed.raw(), packed.numel() * size_of(packed.dtype()));
  size_ += packed.dim(0);
}

void NpyRows::finish() {
  if (size_ == expected_) return;
  const size_t begin = head_of(DType::f32, with(expected_)).size();
  out_.overwrite(0, head_of(DType::f32, with(size_), begin));
}

}  // namespace diptych
