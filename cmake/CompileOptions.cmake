# How our own code is compiled. Two interface libraries:
#   trestle_options   what every floor and test needs: language, include path, hardening, sanitizers
#   trestle_warnings  our warnings, as errors; PRIVATE, so that no other code is judged by them

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# Assertions stay on in a release: a process whose invariants are broken must stop before it writes.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
# -O1, not -O0: under the sanitizers the tests take half the time, and stacks are still readable.
set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()

include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

if(TRESTLE_LTO)
    include(CheckIPOSupported)
    check_ipo_supported(RESULT lto_works OUTPUT lto_reason LANGUAGES C)
    if(lto_works)
        set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
    else()
        message(STATUS "no link-time optimization: ${lto_reason}")
    endif()
endif()

add_library(trestle_options INTERFACE)
target_include_directories(trestle_options INTERFACE "${PROJECT_SOURCE_DIR}/src")
target_compile_definitions(trestle_options INTERFACE _GNU_SOURCE)

# Set for all targets, so that llhttp's sources are hardened and instrumented as ours are.
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    add_compile_options(-fstack-protector-strong -fno-plt -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed)

if(TRESTLE_SANITIZE)
    add_compile_options(-fsanitize=${TRESTLE_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${TRESTLE_SANITIZE})
endif()

add_library(trestle_warnings INTERFACE)
target_compile_options(trestle_warnings INTERFACE
    -Werror
    -Wall -Wextra -Wpedantic
    -Wno-unused-parameter       # callbacks have the parameters that others gave them
    -Wconversion
    -Wno-sign-conversion        # only noise about sizes; -Wsign-compare (in -Wextra) finds the bugs
    -Wshadow
    -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
    -Wvla
    -Wformat=2
    -Wundef
    -Wpointer-arith -Wcast-align -Wwrite-strings
    -Wdouble-promotion
    $<$<C_COMPILER_ID:Clang>:-Wimplicit-fallthrough>
    # =5: only the attribute says that a case falls through; clang does not read comments.
    $<$<C_COMPILER_ID:GNU>:-Wimplicit-fallthrough=5 -Wlogical-op -Wduplicated-cond>)
