# Text files as C++ data.
#
#   qkjit_embed_text(<output.cpp> <accessor> <file>...)
#
# writes at build time a source that defines
#   std::span<const qkjit::EmbeddedFile> qkjit::<accessor>();   // declared by the caller
# with the base names, texts and digests of the files, in the given order.
set(QKJIT_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/WriteEmbedded.cmake)

function(qkjit_embed_text output accessor)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DACCESSOR=${accessor} "-DFILES=${ARGN}" -P ${QKJIT_EMBED_SCRIPT}
    DEPENDS ${ARGN} ${QKJIT_EMBED_SCRIPT}
    COMMENT "Embedding ${accessor}"
    VERBATIM)
endfunction()
