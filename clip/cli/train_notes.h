// clip/cli/train_notes.h — what somebody should know before a run begins.
#pragma once

#include <string>

#include "clip/data_source.h"
#include "clip/train/validation.h"
#include "data/text/tokenizer.h"

namespace diptych::cli {

/// "warning: 54 % of the captions …" with what would help; empty if none is longer than the context
/// of `model`. Of many captions about ten thousand are looked at.
std::string cut_captions_note(const std::string& model, const Tokenizer&, const Texts& captions,
                              int64_t context);

/// "warning: the run was begun by diptych 0.1 …"; empty if that is this version.
std::string version_note(const std::string& begun_by);

/// What of the data's folder is used and what is not, by name; empty if all is.
std::string left_out_note(const DataSource&);
/// The classes of validation that have no picture; empty if all have.
std::string empty_classes_note(const ValidationData&);

/// How many pairs share their picture with another, for --positives key; empty for others.
std::string shared_pictures_note(Positives, const DataSource&);

}  // namespace diptych::cli
