// clip/cli/embed_names.h — which picture is which row of an array: names.tsv beside it.
#pragma once

#include <string>
#include <vector>

namespace diptych::cli {

/// A row of names.tsv, as pandas reads it back: what could be taken for more is in quotes.
std::string row_name(const std::string& picture);

/// names.tsv in the folder of the array `out`; empty if that is a device or a pipe.
std::string names_beside(const std::string& out);

/// Whether both lead to one file, or would.
bool same_file(const std::string& a, const std::string& b);

/// names_beside(out); or NAME.names.tsv of NAME.npy, if that is there already or, which is told, if
/// the former names other rows than `pictures` and belongs to another array: as many rows as one
/// beside it, and not as `out` has now.
std::string free_names(const std::string& out, const std::vector<std::string>& pictures);

}  // namespace diptych::cli
