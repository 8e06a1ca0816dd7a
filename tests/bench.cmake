# tests/bench/*.c: programs that `make bench` measures against, each bench/<name> in the build folder.
# Not part of `all`; target `bench_programs`.
file(GLOB bench_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/bench/*.c")
add_custom_target(bench_programs)
foreach(source IN LISTS bench_sources)
    cmake_path(GET source STEM name)
    add_executable(bench_${name} EXCLUDE_FROM_ALL "${source}")
    set_target_properties(bench_${name} PROPERTIES
        OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bench")
    target_link_libraries(bench_${name} PRIVATE trestle_warnings trestle_store_sqlite PkgConfig::libpq)
    add_dependencies(bench_programs bench_${name})
endforeach()
