# Files of any bytes as C++ data: the assembler takes them as they are, however large.
#
#   qkjit_embed_binary(<output.cpp> <accessor> <file>...)
#
# writes a source that defines
#   std::span<const qkjit::EmbeddedFile> qkjit::<accessor>();   // declared by the caller
# with the base names and contents of the files, in the given order. They may be made at build time.
function(qkjit_embed_binary output accessor)
  set(data "")
  set(rows "")
  foreach(file IN LISTS ARGN)
    get_filename_component(name ${file} NAME)
    string(MAKE_C_IDENTIFIER ${accessor}_${name} label)
    string(APPEND data "QKJIT_EMBED(${label}, \"${file}\")\n")
    string(APPEND rows "    {\"${name}\", {${label}, ${label}_end}},\n")
  endforeach()
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT [[
#include "util/embedded_file.hpp"

#define QKJIT_EMBED(label, file)                                                              \
  extern "C" __attribute__((visibility("hidden"))) const char label[], label##_end[];         \
  __asm__(".pushsection .rodata\n.globl " #label ", " #label "_end\n.hidden " #label ", " #label \
          "_end\n" #label ":\n.incbin \"" file "\"\n" #label "_end:\n.popsection");

@data@
namespace qkjit {
namespace {
const EmbeddedFile kFiles[] = {
@rows@};
}  // namespace

std::span<const EmbeddedFile> @accessor@() { return kFiles; }

}  // namespace qkjit
]])
  set_source_files_properties(${output} PROPERTIES OBJECT_DEPENDS "${ARGN}")
endfunction()
