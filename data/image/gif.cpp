// data/image/gif.cpp — the first picture of a GIF as Pillow 9.4 reads it.
#include <algorithm>
#include <bit>
#include <optional>

#include "data/image/byte_reader.h"

namespace diptych {
namespace {

using Colours = std::vector<std::array<uint8_t, 3>>;

// Data in blocks of up to 255 bytes, each behind its length; one of length 0 is the end.
class Blocks {
 public:
  explicit Blocks(ByteReader& in) : in_(in) {}

  // The next bits of the data, the lowest first; -1 at the end of the data.
  int code(int bits) {
    for (; held_ < bits; held_ += 8) {
      if (block_.empty()) block_ = in_.take(in_.byte());
      if (block_.empty()) return -1;
      pool_ |= uint32_t{block_.front()} << held_;
      block_ = block_.subspan(1);
    }
    const auto code = static_cast<int>(pool_ & ((uint32_t{1} << bits) - 1));
    pool_ >>= bits;
    held_ -= bits;
    return code;
  }

  // To the block of length 0.
  static void skip(ByteReader& in) {
    while (!in.take(in.byte()).empty()) {
    }
  }

 private:
  ByteReader& in_;
  std::span<const uint8_t> block_;
  uint32_t pool_ = 0;
  int held_ = 0;
};

// Lempel, Ziv and Welch: code → a string one longer than an earlier one. Codes below `clear` are
// the indices; `clear` forgets all strings, the code behind it ends the data.
class Strings {
 public:
  explicit Strings(int bits) : clear_(1 << bits) { forget(); }

  int code_bits() const { return bits_; }
  int clear() const { return clear_; }

  void forget() {
    next_ = clear_ + 2;
    bits_ = std::countr_zero(static_cast<unsigned>(clear_)) + 1;
    last_ = -1;
  }

  // The string of a code, backwards; nothing if there is no such code yet.
  const std::vector<uint8_t>& of(int code) {
    string_.clear();
    if (code > next_ || (last_ < 0 && code >= clear_)) return string_;
    if (code == next_) string_.push_back(first_);  // the string being learned: last + its first
    for (int c = code == next_ ? last_ : code;; c = before_[static_cast<size_t>(c)]) {
      string_.push_back(c < clear_ ? static_cast<uint8_t>(c) : ends_[static_cast<size_t>(c)]);
      if (c < clear_) break;
    }
    first_ = string_.back();
    learn();
    last_ = code;
    return string_;
  }

 private:
  static constexpr int kMostBits = 12;

  void learn() {
    if (last_ < 0 || next_ == 1 << kMostBits) return;
    ends_[static_cast<size_t>(next_)] = first_;
    before_[static_cast<size_t>(next_)] = last_;
    if (++next_ == 1 << bits_ && bits_ < kMostBits) ++bits_;
  }

  int clear_, next_ = 0, bits_ = 0, last_ = -1;
  uint8_t first_ = 0;
  std::array<uint8_t, 1 << kMostBits> ends_{};
  std::array<int, 1 << kMostBits> before_{};
  std::vector<uint8_t> string_;
};

struct Frame {
  Box box;
  bool interlaced = false;
  std::optional<Colours> colours;  // its own
};

// The rows of a frame in the order of the file: every eighth, those between, …
std::vector<int64_t> row_order(const Frame& frame) {
  constexpr int64_t kPasses[4][2] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
  std::vector<int64_t> rows;
  for (const auto& [first, step] : kPasses)
    for (int64_t y = first; frame.interlaced && y < frame.box.height; y += step) rows.push_back(y);
  for (int64_t y = 0; !frame.interlaced && y < frame.box.height; ++y) rows.push_back(y);
  return rows;
}

class GifReader {
 public:
  explicit GifReader(const PictureFile& file) : file_(file), in_(file, 6) {}

  Picture read() {
    Picture picture;
    picture.width = in_.u16();
    picture.height = in_.u16();
    const uint8_t flags = in_.byte();
    in_.take(2);  // background, which Pillow does not show; ratio of a pixel's sides
    const std::optional<Colours> global = read_colours(flags);
    find_frame();
    const Frame frame = read_frame();
    picture.width = std::max(picture.width, frame.box.x + frame.box.width);
    picture.height = std::max(picture.height, frame.box.y + frame.box.height);
    file_.require_size(frame.box.width, frame.box.height);
    file_.require_size(picture.width, picture.height);
    take_colours(frame.colours, global, picture);
    picture.samples.assign(static_cast<size_t>(picture.width * picture.height), transparent_);
    read_pixels(frame, picture);
    return picture;
  }

 private:
  std::optional<Colours> read_colours(uint8_t flags) {
    if ((flags & 0x80) == 0) return std::nullopt;
    Colours colours(size_t{2} << (flags & 7));
    for (auto& colour : colours) {
      const auto rgb = in_.take(3);
      std::copy(rgb.begin(), rgb.end(), colour.begin());
    }
    return colours;
  }

  // Pillow calls a picture grey if it has no colours, or those that it would have without.
  static bool is_ramp(const std::optional<Colours>& colours) {
    for (size_t i = 0; colours && i < colours->size(); ++i)
      for (const uint8_t sample : (*colours)[i])
        if (sample != i) return false;
    return true;
  }

  // An index without a colour is grey.
  void take_colours(const std::optional<Colours>& own, const std::optional<Colours>& global,
                    Picture& picture) {
    file_.require(!own || !is_ramp(own) || is_ramp(global),
                  "a GIF that puts greys in order before its colours, which Pillow misreads; save "
                  "it anew, as PNG");
    const std::optional<Colours>& colours = own ? own : global;
    picture.mode = is_ramp(colours) ? Mode::grey : Mode::palette;
    if (picture.mode == Mode::grey) return;
    picture.palette = *colours;
    for (size_t i = colours->size(); i < 256; ++i)
      picture.palette.emplace_back().fill(static_cast<uint8_t>(i));
  }

  // Behind the mark of the first frame.
  void find_frame() {
    for (;;) {
      const uint8_t mark = in_.byte();
      if (mark == ',') return;
      file_.require(mark != ';', "a GIF without a picture");
      file_.require(mark == '!' || mark == 0, "damaged: a GIF's byte ", in_.position() - 1, " is ",
                    int{mark}, ", which begins nothing");
      if (mark == '!') read_extension();
    }
  }

  void read_extension() {
    constexpr uint8_t kGraphicControl = 0xF9, kComment = 0xFE;
    const uint8_t kind = in_.byte();
    const auto block = in_.take(in_.byte());
    if (kind == kGraphicControl) {
      file_.require(block.size() >= 4, "damaged: a GIF's graphic control is too short");
      if ((block[0] & 1) != 0) transparent_ = block[3];
    }
    file_.require(!block.empty() || kind == kComment, "damaged: an extension of a GIF is empty");
    if (!block.empty()) Blocks::skip(in_);
  }

  Frame read_frame() {
    Frame frame;
    frame.box.x = in_.u16();
    frame.box.y = in_.u16();
    frame.box.width = in_.u16();
    frame.box.height = in_.u16();
    const uint8_t flags = in_.byte();
    frame.interlaced = (flags & 0x40) != 0;
    frame.colours = read_colours(flags);
    return frame;
  }

  void read_pixels(const Frame& frame, Picture& picture) {
    const int bits = in_.byte();
    file_.require(bits >= 2 && bits <= 8, "damaged: a GIF whose codes begin with ", bits,
                  " bits; there can be 2 to 8");
    Strings strings(bits);
    Blocks blocks(in_);
    std::vector<uint8_t> pixels;
    const int64_t count = frame.box.width * frame.box.height;
    pixels.reserve(static_cast<size_t>(count));
    while (static_cast<int64_t>(pixels.size()) < count) add_string(blocks, strings, count, pixels);
    place(frame, pixels, picture);
  }

  void add_string(Blocks& blocks, Strings& strings, int64_t count, std::vector<uint8_t>& pixels) {
    const int code = blocks.code(strings.code_bits());
    if (code == strings.clear()) return strings.forget();
    file_.require(code >= 0 && code != strings.clear() + 1,
                  "the data of this GIF end before its last pixel");
    const auto& string = strings.of(code);
    file_.require(!string.empty(), "damaged: a code of a GIF stands for nothing yet");
    const auto room = static_cast<size_t>(count) - pixels.size();
    const auto used = static_cast<int64_t>(std::min(room, string.size()));
    pixels.insert(pixels.end(), string.rbegin(), string.rbegin() + used);
  }

  static void place(const Frame& frame, const std::vector<uint8_t>& pixels, Picture& picture) {
    auto from = pixels.begin();
    for (const int64_t y : row_order(frame)) {
      std::copy_n(from, frame.box.width,
                  picture.samples.begin() + (frame.box.y + y) * picture.width + frame.box.x);
      from += frame.box.width;
    }
  }

  const PictureFile& file_;
  ByteReader in_;
  uint8_t transparent_ = 0;  // what is no part of the frame
};

}  // namespace

Picture decode_gif(const PictureFile& file) { return GifReader(file).read(); }

}  // namespace diptych
