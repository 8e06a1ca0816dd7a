# trestle_embed(TARGET HEADER NAME FILE...)
#
# Compiles files into a target, as the table NAMEs of HEADER: each has a file's name and its content.
function(trestle_embed target header name)
    set(output "${PROJECT_BINARY_DIR}/embedded/${name}.c")
    add_custom_command(OUTPUT "${output}"
        COMMAND "${CMAKE_COMMAND}" "-DHEADER=${header}" "-DNAME=${name}" "-DFILES=${ARGN}"
                "-DOUTPUT=${output}" -P "${PROJECT_SOURCE_DIR}/cmake/WriteEmbedded.cmake"
        DEPENDS ${ARGN} "${PROJECT_SOURCE_DIR}/cmake/WriteEmbedded.cmake"
        COMMENT "Embedding ${name}" VERBATIM)
    target_sources(${target} PRIVATE "${output}")
endfunction()
