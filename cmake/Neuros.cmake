# Functions every src/<folder>/CMakeLists.txt uses: one library and one test program per folder.
# A folder is a floor of docs/ARCHITECTURE.md; DEPS may only name folders on lower floors (tests/tidy checks it).

function(neuros_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Werror ${NEUROS_SANITIZE_FLAGS}>)
  target_link_options(${target} PRIVATE ${NEUROS_SANITIZE_FLAGS})
endfunction()

# neuros_library(formats SOURCES a.cc b.cc DEPS base PRIVATE_DEPS nlohmann_json::nlohmann_json)
function(neuros_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LINK;PRIVATE_LINK" ${ARGN})
  add_library(neuros_${name} STATIC ${ARG_SOURCES})
  add_library(neuros::${name} ALIAS neuros_${name})
  neuros_options(neuros_${name})
  foreach(dep ${ARG_DEPS})
    target_link_libraries(neuros_${name} PUBLIC neuros::${dep})
  endforeach()
  target_link_libraries(neuros_${name} PUBLIC ${ARG_LINK} PRIVATE ${ARG_PRIVATE_LINK})
endfunction()

# neuros_test(formats SOURCES gguf_test.cc DEPS formats): program formats_test, run by ctest.
function(neuros_test name)
  if(NOT NEUROS_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LINK" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  neuros_options(${name}_test)
  foreach(dep ${ARG_DEPS})
    target_link_libraries(${name}_test PRIVATE neuros::${dep})
  endforeach()
  target_link_libraries(${name}_test PRIVATE ${ARG_LINK} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name}_test PRIVATE NEUROS_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name}_test WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endfunction()

# neuros_fuzz(gguf SOURCES gguf_fuzz.cc DEPS formats): libFuzzer program gguf_fuzz (Clang, NEUROS_FUZZ=ON).
function(neuros_fuzz name)
  if(NOT NEUROS_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name}_fuzz ${ARG_SOURCES})
  neuros_options(${name}_fuzz)
  target_compile_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
  target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
  foreach(dep ${ARG_DEPS})
    target_link_libraries(${name}_fuzz PRIVATE neuros::${dep})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY NEUROS_FUZZERS ${name}_fuzz)
endfunction()

# neuros_embed(sources neuros::device::kProfiles a.yaml b.yaml): a C++ source, made when CMake runs, that
# defines an array of {name, text}, a row for each file under its name without extension.
function(neuros_embed sources variable)
  set(rows "")
  foreach(file ${ARGN})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${file} NAME_WLE)
    file(READ ${file} text)
    string(APPEND rows "    {\"${name}\", R\"neuros(${text})neuros\"},\n")
  endforeach()
  string(REGEX MATCH "^(.*)::([A-Za-z]+)$" matched ${variable})
  set(namespace ${CMAKE_MATCH_1})
  set(array ${CMAKE_MATCH_2})
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${sources}.generated.cc)
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT "#include \"base/embedded_file.h\"

namespace @namespace@ {

extern const std::span<const base::EmbeddedFile> @array@;
const base::EmbeddedFile rows[] = {
@rows@};
const std::span<const base::EmbeddedFile> @array@{rows};

}
")
  set(${sources} ${output} PARENT_SCOPE)
endfunction()

# neuros_flatbuffers(plan plan.fbs): the header plan_generated.h in the build folder, made by flatc from the
# schema; ${plan_generated} goes among the sources of who includes it.
function(neuros_flatbuffers name schema)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${name}_generated.h)
  add_custom_command(OUTPUT ${output}
    COMMAND ${NEUROS_FLATC} --cpp --scoped-enums -o ${CMAKE_CURRENT_BINARY_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${schema}
    DEPENDS ${schema} VERBATIM)
  set(${name}_generated ${output} PARENT_SCOPE)
endfunction()
