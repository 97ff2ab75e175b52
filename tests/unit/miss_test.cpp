// Every cause of a miss has its name, in what the layers say and in the log.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/unit/jit_fixture.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"
#include "tools/qkjit/explanation.hpp"
#include "tuning/builtin.hpp"

using namespace qkjit;
using namespace qkjit::test;
namespace fs = std::filesystem;

namespace {

Explanation explain_by(JitFixture& f, const Spec& spec = kSpec,
                       const std::string& target = "sm_90") {
  const auto explanation = explain(f.jit(), spec, target, {{0, default_variant(spec)}});
  REQUIRE(explanation.has_value());
  return *explanation;
}

/// The name of what the only layer has.
std::string cause(JitFixture& f) {
  const Explanation explanation = explain_by(f);
  REQUIRE(explanation.variants.size() == 1);
  const auto& layers = explanation.variants[0].layers;
  CHECK(explanation.variants[0].is_hit() == (layers[0].lookup.found == Found::entry));
  return std::string(name_of(layers.at(0).lookup.found));
}

/// Why the only layer has none: a sentence.
std::string problem(JitFixture& f) {
  return explain_by(f).variants.at(0).layers.at(0).lookup.problem;
}

/// The differences from the nearest entry, as sentences.
std::vector<std::string> near_differences(JitFixture& f, const Spec& spec,
                                          const std::string& target) {
  const VariantExplanation variant = explain_by(f, spec, target).variants.at(0);
  std::vector<std::string> sentences;
  if (!variant.near) return sentences;
  for (const auto& each :
       differences(*fields_of(variant.key.record()), *fields_of(variant.near->record))) {
    sentences.push_back(sentence_of(each));
  }
  return sentences;
}

bool has(const std::vector<std::string>& sentences, const std::string& sentence) {
  return std::ranges::find(sentences, sentence) != sentences.end();
}

}  // namespace

TEST_CASE("each miss has the name of its cause", "[cache][explain]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path() / "cache");
  {
    JitFixture f(cache);
    CHECK(cause(f) == "absent");
    CHECK(problem(f).empty());
    CHECK_FALSE(fs::exists(cache.path()));  // looking makes nothing
  }
  const fs::path file = fill(cache);
  JitFixture f(cache);
  CHECK(cause(f) == "entry");

  SECTION("damaged, and nothing is put out of the way") {
    std::ofstream(file, std::ios::app) << "x";
    CHECK(cause(f) == "damaged");
    CHECK(mentions(problem(f), {file.string(), "says it has"}));
    CHECK(fs::exists(file));
  }
  SECTION("another key's") {
    const Key other = Key::of({{"x", "y"}});
    REQUIRE(CacheDirectory(root.path() / "o").store(other, {other.record(), "{}", "c", ""}));
    fs::copy_file(CacheDirectory(root.path() / "o").file_of(other.digest()), file,
                  fs::copy_options::overwrite_existing);
    CHECK(cause(f) == "damaged");
    CHECK(mentions(problem(f), {"another key's"}));
  }
  SECTION("no kernel in it") {
    const Key key = kernel_key(kSpec, default_variant(kSpec), "sm_90");
    REQUIRE(cache.store(key, {key.record(), "{}", "", ""}).has_value());
    CHECK(cause(f) == "damaged");
    CHECK(mentions(problem(f), {"no code"}));
  }
  SECTION("untrusted") {
    REQUIRE(::chmod(file.c_str(), 0666) == 0);
    CHECK(cause(f) == "untrusted");
    CHECK(mentions(problem(f), {file.string(), "other users", "0666"}));
  }
  SECTION("refused") {
    REQUIRE(::chmod(cache.path().c_str(), 0777) == 0);
    JitFixture new_process(CacheDirectory(cache.path()));
    CHECK(cause(new_process) == "refused");
    CHECK(mentions(problem(new_process), {cache.path().string(), "chmod go-w"}));
  }
  SECTION("unreadable") {
    static_cast<void>(cause(f));  // the directory has been looked at
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit none = before;
    none.rlim_cur = 0;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    const auto layers = f.jit().look(kernel_key(kSpec, default_variant(kSpec), "sm_90"));
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(name_of(layers.at(0).lookup.found) == "unreadable");
    CHECK(mentions(layers[0].lookup.problem, {file.string(), "Too many open files"}));
  }
  SECTION("another toolchain") {
    static_cast<void>(f.jit().compiler());  // now this machine's is known
    Entry entry = **cache.find(kernel_key(kSpec, default_variant(kSpec), "sm_90"));
    entry.toolchain = "nvrtc-other";
    fs::remove(file);
    REQUIRE(cache.store(kernel_key(kSpec, default_variant(kSpec), "sm_90"), entry).has_value());
    CHECK(cause(f) == "another_toolchain");
    CHECK(mentions(problem(f), {"nvrtc-other", "nvrtc-13.9"}));
    CHECK_FALSE(f.is_at_hand());  // obtain() would compile
  }
  SECTION("this toolchain's, which is read once") {
    static_cast<void>(f.jit().compiler());
    CHECK(f.is_at_hand());
    fs::remove(file);
    CHECK(f.obtain().has_value());
    CHECK((f.nvrtc->compiles == 0 && f.jit().counters().cache_hits() == 1));
  }
  SECTION("off") {
    JitFixture none(std::nullopt);
    CHECK(explain_by(none).variants.at(0).layers.empty());
  }
}

TEST_CASE("the log names the cause of each compile", "[cache][explain]") {
  const TemporaryDirectory root;
  const CacheDirectory own(root.path() / "own"), shipped(root.path() / "shipped");
  std::ofstream(fill(own)) << "damaged";
  std::vector<std::string> messages;
  const auto keep = [](int, const char* message, void* list) {
    static_cast<std::vector<std::string>*>(list)->push_back(message);
  };
  JitFixture f(own);
  f.options.read_only = {shipped};
  f.options.open_compiler = [&]() -> Result<std::shared_ptr<const Nvrtc>> { return f.nvrtc; };
  Jit jit(f.options, *Log::create(keep, &messages, ""));
  REQUIRE(jit.obtain(kSpec, default_variant(kSpec), "sm_90").has_value());
  const auto said = std::ranges::find_if(messages, [](const std::string& message) {
    return message.starts_with("no kernel is cached");
  });
  REQUIRE(said != messages.end());
  CHECK(mentions(
      *said, {"head_dim=128", "sm_90", "damaged in " + own.name(), "absent in " + shipped.name()}));
}

TEST_CASE("the fields in which the nearest entry differs are named", "[cache][explain]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  JitFixture f(cache);
  CHECK(near_differences(f, kSpec, "sm_90").empty());  // there is none
  REQUIRE(f.obtain().has_value());
  REQUIRE(f.obtain(kOther).has_value());

  const auto target = near_differences(f, kSpec, "sm_90a");
  CHECK(has(target, "target sm_90a, entry has sm_90"));
  CHECK_FALSE(has(target, "source: its text differs"));

  Spec eager = kSpec;
  eager.rounding = Rounding::eager;
  const auto spec = near_differences(f, eager, "sm_90");
  CHECK(has(spec, "spec rounding=eager, entry has none"));
  CHECK(has(spec, "source: its text differs"));

  // As another version of the library would have made it: of this spec, so nearer than all others.
  const Key now = kernel_key(kSpec, default_variant(kSpec), "sm_90");
  const std::string zeros(64, '0');
  auto fields = fields_of(now.record());
  std::erase_if(*fields, [](const KeyField& field) { return field.name == "options"; });
  for (KeyField& field : *fields) {
    if (field.name == "headers") field.value = zeros;
  }
  const Key then = Key::of(*fields);
  Entry entry = **cache.find(now);
  entry.key = then.record();
  REQUIRE(cache.clear().has_value());
  REQUIRE(cache.store(then, entry).has_value());
  JitFixture later(cache);
  REQUIRE(later.obtain(kOther).has_value());
  const auto version = near_differences(later, kSpec, "sm_90");
  REQUIRE(version.size() == 2);
  CHECK(
      has(version, "headers: their digest differs (entry made by another version of the library)"));
  CHECK(has(version, "options: the entry lacks it"));
}

TEST_CASE("the path that would serve is told with its reason", "[explain]") {
  const TemporaryDirectory root;
  JitFixture f{CacheDirectory(root.path())};
  CHECK(explain_by(f).dispatch == Dispatch{Path::generic, Reason::nvrtc_missing});
  {
    JitFixture forbidden{CacheDirectory(root.path())};
    forbidden.options.compile = CompilePolicy::never;
    CHECK(explain_by(forbidden).dispatch == Dispatch{Path::generic, Reason::compile_forbidden});
    fill(CacheDirectory(root.path()));
    CHECK(explain_by(forbidden).dispatch == Dispatch{Path::fused, Reason::none});
  }
  JitFixture found(std::nullopt);
  found.options.find_compiler = [] { return std::string("/proc/self/exe"); };
  const Explanation compiles = explain_by(found);
  CHECK(compiles.dispatch == Dispatch{Path::fused, Reason::none});
  CHECK(mentions(compiles.why, {"0 of 1", "compiled when"}));
  CHECK(found.opened == 0);

  Spec odd = kSpec;
  odd.head_dim = odd.rope_dim = 90;
  const auto shape = explain(found.jit(), odd, "sm_90", {});
  REQUIRE(shape.has_value());
  CHECK(shape->dispatch == Dispatch{Path::generic, Reason::shape});
  CHECK(shape->variants.empty());
}
