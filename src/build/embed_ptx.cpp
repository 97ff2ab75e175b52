// Build step: compiles the generic kernel to PTX for the oldest target that NVRTC has, so that
// every GPU which the driver serves can run it.
//
//   qkjit_embed_ptx LIBNVRTC SOURCE OUTPUT HEADER...
#include <cstdio>
#include <deque>
#include <filesystem>
#include <vector>

#include "compile/nvrtc.hpp"
#include "util/file.hpp"

namespace qkjit {
namespace {

constexpr std::size_t kMaxSourceBytes = 1 << 20;

Result<void> embed_ptx(const std::string& library, const std::string& source,
                       const std::string& output, const std::vector<std::string>& header_paths) {
  const auto nvrtc = Nvrtc::open(library);
  if (!nvrtc) return tl::unexpected(nvrtc.error());
  const auto text = read_file(source, kMaxSourceBytes);
  if (!text) return tl::unexpected(text.error());
  std::deque<std::string> names, texts;  // stable addresses for the views
  std::vector<EmbeddedFile> headers;
  for (const std::string& path : header_paths) {
    auto header = read_file(path, kMaxSourceBytes);
    if (!header) return tl::unexpected(header.error());
    names.push_back(std::filesystem::path(path).filename());
    texts.push_back(std::move(*header));
    headers.push_back({names.back(), texts.back()});
  }
  const std::string oldest = (*nvrtc)->targets().at(0);  // "sm_75"
  const auto compiled = (*nvrtc)->compile(
      {"/qkjit/generic.cu", *text, headers, "compute_" + oldest.substr(sizeof("sm_") - 1)});
  if (!compiled) return tl::unexpected(compiled.error());
  return publish_file(std::filesystem::absolute(output), compiled->ptx);
}

}  // namespace
}  // namespace qkjit

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fputs("usage: qkjit_embed_ptx LIBNVRTC SOURCE OUTPUT HEADER...\n", stderr);
    return 2;
  }
  const auto done = qkjit::embed_ptx(argv[1], argv[2], argv[3], {argv + 4, argv + argc});
  if (!done) std::fprintf(stderr, "qkjit_embed_ptx: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
