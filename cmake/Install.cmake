# What `cmake --install` puts where: headers, both libraries, the CMake package and the pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/qkjit)
install(DIRECTORY include/qkjit DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS qkjit_shared qkjit_static EXPORT qkjitTargets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT qkjitTargets NAMESPACE qkjit:: DESTINATION ${package_dir})
if(TARGET qkjit_command)
  install(TARGETS qkjit_command)
endif()

configure_package_config_file(cmake/qkjitConfig.cmake.in qkjitConfig.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may break the interface.
write_basic_package_version_file(qkjitConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/qkjitConfig.cmake ${PROJECT_BINARY_DIR}/qkjitConfigVersion.cmake
        DESTINATION ${package_dir})

# Relative to the file itself, so that an installed tree may be moved.
file(RELATIVE_PATH QKJIT_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/qkjit.pc.in qkjit.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/qkjit.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
