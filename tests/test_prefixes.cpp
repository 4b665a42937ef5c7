// tests/test_prefixes.cpp — whatever stands in front of a model's names, and what stands beside it.
#include <doctest/doctest.h>

#include "clip/weights/model_file.h"
#include "clip/weights/names.h"
#include "clip/weights/prefixes.h"
#include "tensor/io/safetensors.h"
#include "tests/config_files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

std::vector<NamedTensor> under(const std::string& prefix, std::vector<NamedTensor> tensors) {
  for (NamedTensor& x : tensors) x.name = prefix + x.name;
  return tensors;
}

void append(std::vector<NamedTensor>& all, const std::vector<NamedTensor>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

std::string names_of(const std::vector<NamedTensor>& tensors) {
  std::string all;
  for (const NamedTensor& x : tensors) all += x.name + '\n';
  return all;
}

// open_clip's CustomTextCLIP.
std::vector<NamedTensor> custom(std::vector<NamedTensor> tensors) {
  for (NamedTensor& x : tensors)
    if (!x.name.starts_with("visual.") && x.name != "logit_scale") x.name = "text." + x.name;
  return tensors;
}

}  // namespace

TEST_CASE("prefixes: any, stacked ones too, with each library's names") {
  const auto plain = bare_weights(), theirs = with_hugging_face_names(plain);
  const auto resnet = load_safetensors("tests/golden/tiny_resnet.safetensors").tensors;
  for (const std::string prefix :
       {"", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.module.",
        "model.", "clip.", "clip_model.", "net.0.a.visual.", "text.", "visual.",
        "my.text_model."}) {
    CAPTURE(prefix);
    CHECK(names_of(with_openai_names(under(prefix, plain))) == names_of(plain));
    CHECK(names_of(with_openai_names(under(prefix, resnet))) == names_of(resnet));
    CHECK(names_of(with_openai_names(under(prefix, custom(plain)))) == names_of(plain));
    CHECK(names_of(with_openai_names(under(prefix, theirs))) ==
          names_of(with_openai_names(theirs)));
  }
}

TEST_CASE("prefixes: parts that wrappers put between are taken out wherever they are") {
  const auto plain = bare_weights();
  auto wrapped = plain;
  for (NamedTensor& x : wrapped) {
    const std::string block = "resblocks.1.";
    if (const size_t at = x.name.find(block); at != std::string::npos)
      x.name.insert(at + block.size(), "_checkpoint_wrapped_module._fsdp_wrapped_module.");
  }
  CHECK(names_of(with_openai_names(wrapped)) == names_of(plain));
  for (NamedTensor& x : wrapped)
    if (x.name.starts_with("visual.")) x.name.insert(7, "module.");  // DDP of one tower
  CHECK(names_of(with_openai_names(wrapped)) == names_of(plain));
}

TEST_CASE("prefixes: what lies outside of the model's is left out and named, inside it is not") {
  const auto plain = bare_weights();
  std::vector<NamedTensor> all = under("clip.", plain);
  append(all, {{"loss.weight", zeros({2})}, {"optimizer.0.exp_avg", zeros({2})}});
  append(all, under("ema.", plain));
  const ModelTensors found = find_model(all);
  CHECK(names_of(found.tensors) == names_of(under("clip.", plain)));
  REQUIRE(found.left_out.size() == 2 + plain.size());
  CHECK(found.left_out[0] == "loss.weight");
  append(all, {{"clip.head.weight", zeros({2})}});
  CHECK(contains(names_of(with_openai_names(all)),
                 "head.weight"));  // the model's: for others to refuse
  all = plain;
  append(all, {{"loss.weight", zeros({2})}});
  CHECK(contains(names_of(with_openai_names(all)), "loss.weight"));
}

TEST_CASE("prefixes: an average is passed over, of two models neither is guessed") {
  const auto plain = bare_weights();
  for (const std::string ema : {"ema.", "ema_model.module.", "model_ema.", "net.ema."}) {
    auto both = under(ema, plain);
    append(both, plain);
    CHECK(find_model(both).tensors.size() >= plain.size());
    CHECK(Prefixes(both).strip("visual.proj") == "visual.proj");
    CHECK(names_of(with_openai_names(under(ema, plain))) == names_of(plain));
  }
  auto two = under("student.", plain);
  append(two, under("teacher.", plain));
  const std::string error = error_of([&] { find_model(two); });
  CHECK(contains(error, "2 image towers, under 'student.visual.' and 'teacher.visual.'"));
}

TEST_CASE("prefixes: a tensor that two prefixes name is refused, q, k and v too") {
  const TempDir dir;
  auto twice = under("module.", with_hugging_face_names(bare_weights()));
  const std::string q = "text_model.encoder.layers.0.self_attn.q_proj.weight";
  twice.push_back({"module._orig_mod." + q, zeros({32, 32})});
  CHECK(contains(error_of([&] { with_openai_names(twice); }), "comes twice"));
}

TEST_CASE("prefixes: a model file says in its notes what was not read of it") {
  const TempDir dir;
  const auto plain = bare_weights();
  auto all = under("clip.", plain);
  append(all, {{"loss.weight", zeros({2})}});
  save_safetensors(dir / "m.safetensors", all);
  const LoadOptions options{.activation = nn::Activation::gelu, .vision_heads = 2, .text_heads = 2};
  const LoadedModel loaded = load_model(dir / "m.safetensors", options);
  CHECK(contains(loaded.notes, "outside of the model's prefix, not read: 'loss.weight'\n"));
}
