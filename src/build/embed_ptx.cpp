// Build step: compiles the generic kernels to PTX, each packed into a file of its own.
//
//   qkjit_embed_ptx LIBNVRTC DIRECTORY HEADER...
#include <cstdio>
#include <deque>
#include <filesystem>
#include <vector>

#include "codegen/source.hpp"
#include "compile/nvrtc.hpp"
#include "kernels/generic_params.cuh"
#include "util/file.hpp"
#include "util/packed.hpp"

namespace qkjit {
namespace {

constexpr std::size_t kMaxSourceBytes = 1 << 20;

std::vector<GenericKind> all_kinds() {
  std::vector<GenericKind> kinds;
  for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
    for (const int slots : kGenericSlots) {
      kinds.push_back({dtype, slots, Forms::common});
      kinds.push_back({dtype, slots, Forms::all});
      kinds.push_back({dtype, slots, Forms::computed});
    }
    kinds.push_back({dtype, kGenericMaxSlots, Forms::by_token});
    kinds.push_back({dtype, kGenericMaxSlots, Forms::by_token_computed});
  }
  return kinds;
}

Result<void> write_ptx(const Nvrtc& nvrtc, const std::vector<EmbeddedFile>& headers,
                       const GenericKind& kind, int capability,
                       const std::filesystem::path& directory) {
  const Source source = generic_source(kind);
  const auto compiled =
      nvrtc.compile({source.file, source.text, headers, fmt::format("compute_{}", capability)});
  if (!compiled) return tl::unexpected(compiled.error());
  return publish_file(directory / generic_file(kind, capability), pack(compiled->ptx));
}

Result<void> embed_ptx(const std::string& library, const std::filesystem::path& directory,
                       const std::vector<std::string>& header_paths) {
  const auto nvrtc = Nvrtc::open(library);
  if (!nvrtc) return tl::unexpected(nvrtc.error());
  std::deque<std::string> names, texts;  // stable addresses for the views
  std::vector<EmbeddedFile> headers;
  for (const std::string& path : header_paths) {
    auto header = read_file(path, kMaxSourceBytes);
    if (!header) return tl::unexpected(header.error());
    names.push_back(std::filesystem::path(path).filename());
    texts.push_back(std::move(*header));
    headers.push_back({names.back(), texts.back()});
  }
  for (const GenericKind& kind : all_kinds()) {
    for (const int capability : kGenericCapabilities) {
      auto written = write_ptx(**nvrtc, headers, kind, capability, directory);
      if (!written) return written;
    }
  }
  return {};
}

}  // namespace
}  // namespace qkjit

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: qkjit_embed_ptx LIBNVRTC DIRECTORY HEADER...\n", stderr);
    return 2;
  }
  const auto done =
      qkjit::embed_ptx(argv[1], std::filesystem::absolute(argv[2]), {argv + 3, argv + argc});
  if (!done) std::fprintf(stderr, "qkjit_embed_ptx: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
