# libarchive and zstd, for the tool alone. Statically where that can be, so that a built tool runs on a
# machine without them: of libarchive only tar and zstd are used, and --gc-sections leaves out the rest
# and the libraries that the rest would need.
find_path(QKJIT_ARCHIVE_INCLUDE_DIR archive.h REQUIRED)
find_library(QKJIT_ARCHIVE_LIBRARY archive REQUIRED)
find_library(QKJIT_ARCHIVE_STATIC libarchive.a)
mark_as_advanced(QKJIT_ARCHIVE_INCLUDE_DIR QKJIT_ARCHIVE_LIBRARY QKJIT_ARCHIVE_STATIC)

add_library(qkjit_archive INTERFACE)
target_include_directories(qkjit_archive SYSTEM INTERFACE ${QKJIT_ARCHIVE_INCLUDE_DIR})

if(QKJIT_ARCHIVE_STATIC AND QKJIT_ZSTD_LIBRARY MATCHES "[.]a$")
  include(CheckCSourceCompiles)
  include(CMakePushCheckState)
  cmake_push_check_state()
  set(CMAKE_REQUIRED_INCLUDES ${QKJIT_ARCHIVE_INCLUDE_DIR})
  set(CMAKE_REQUIRED_LIBRARIES ${QKJIT_ARCHIVE_STATIC} ${QKJIT_ZSTD_LIBRARY} Threads::Threads)
  set(CMAKE_REQUIRED_LINK_OPTIONS LINKER:--gc-sections)
  check_c_source_compiles("#include <archive.h>
    int main(void) {
      struct archive* in = archive_read_new();
      struct archive* out = archive_write_new();
      return archive_read_support_format_tar(in) + archive_read_support_filter_zstd(in) +
             archive_write_set_format_pax_restricted(out) + archive_write_add_filter_zstd(out) +
             archive_write_set_filter_option(out, \"zstd\", \"compression-level\", \"1\");
    }" QKJIT_ARCHIVE_LINKS_STATICALLY)
  cmake_pop_check_state()
endif()
if(QKJIT_ARCHIVE_LINKS_STATICALLY)
  target_link_libraries(qkjit_archive INTERFACE ${QKJIT_ARCHIVE_STATIC} ${QKJIT_ZSTD_LIBRARY} Threads::Threads)
  target_link_options(qkjit_archive INTERFACE LINKER:--gc-sections)
else()
  message(STATUS "libarchive is linked dynamically: the qkjit tool needs libarchive.so where it runs")
  target_link_libraries(qkjit_archive INTERFACE ${QKJIT_ARCHIVE_LIBRARY})
endif()
