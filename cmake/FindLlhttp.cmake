# llhttp, Node's HTTP/1.1 parser: target `llhttp`.
#
# Debian 13 packages it as a library (libllhttp-dev). Debian 12 has only its generated C sources, in
# node-llhttp, and these we compile. That package wants all of Node.js beside it, so where it is not
# installed tools/install_dependencies unpacks it alone into .deps/.

find_package(PkgConfig REQUIRED)
pkg_check_modules(libllhttp IMPORTED_TARGET libllhttp)

add_library(llhttp_interface INTERFACE)
if(TARGET PkgConfig::libllhttp)
    add_library(llhttp ALIAS llhttp_interface)
    target_link_libraries(llhttp_interface INTERFACE PkgConfig::libllhttp)
    return()
endif()

set(llhttp_roots /usr /usr/local "${PROJECT_SOURCE_DIR}/.deps/usr")
find_library(LLHTTP_LIBRARY llhttp)
find_path(LLHTTP_INCLUDE_DIR llhttp.h HINTS ${llhttp_roots}
          PATH_SUFFIXES include include/llhttp share/include/llhttp)
if(LLHTTP_LIBRARY AND LLHTTP_INCLUDE_DIR)
    add_library(llhttp ALIAS llhttp_interface)
    target_link_libraries(llhttp_interface INTERFACE "${LLHTTP_LIBRARY}")
    target_include_directories(llhttp_interface SYSTEM INTERFACE "${LLHTTP_INCLUDE_DIR}")
    return()
endif()

find_path(LLHTTP_SOURCE_DIR llhttp.c HINTS ${llhttp_roots} PATH_SUFFIXES share/llhttp)
if(NOT LLHTTP_INCLUDE_DIR OR NOT LLHTTP_SOURCE_DIR)
    message(FATAL_ERROR "llhttp is missing. `make deps` installs it, and whatever else is missing.")
endif()

add_library(llhttp STATIC
    "${LLHTTP_SOURCE_DIR}/api.c" "${LLHTTP_SOURCE_DIR}/http.c" "${LLHTTP_SOURCE_DIR}/llhttp.c")
# Version 8 compiles one of two parsers; the strict one is not its default. (Version 9 has no other.)
target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)
target_include_directories(llhttp SYSTEM PUBLIC "${LLHTTP_INCLUDE_DIR}")
target_compile_options(llhttp PRIVATE -w)
