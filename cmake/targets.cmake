# portolan_library(NAME SOURCES ... LINK ...): one room of the house. Headers are included from the
# root of the tree ("common/ip.h"), so a reader sees which floor one comes from.
function(portolan_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${PORTOLAN_WARNINGS})
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
endfunction()

# portolan_program(NAME SOURCES ... LINK ...): an executable in build/bin.
function(portolan_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${PORTOLAN_WARNINGS})
  target_compile_definitions(${name} PRIVATE PORTOLAN_VERSION="${PROJECT_VERSION}")
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# For the programs under test. What is left out, and why, is in the file.
if(PORTOLAN_SANITIZER STREQUAL "tsan")
  set(PORTOLAN_TEST_ENVIRONMENT
    "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/sanitizers/tsan.supp \
history_size=7 hard_rss_limit_mb=4096")
endif()

# portolan_test(NAME SOURCES ... LINK ...): a GoogleTest binary, labelled "unit".
# Of one test program, in seconds. A sanitizer makes it some ten times slower.
set(PORTOLAN_TEST_TIMEOUT 120)
if(NOT PORTOLAN_SANITIZER STREQUAL "")
  set(PORTOLAN_TEST_TIMEOUT 600)
endif()

function(portolan_test name)
  if(NOT PORTOLAN_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  # Nobody waits for a test's own code: a fifth of the time to compile it is saved.
  target_compile_options(${name} PRIVATE ${PORTOLAN_WARNINGS}
    $<$<STREQUAL:${PORTOLAN_SANITIZER},>:-O1>)
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}/tests)
  set_tests_properties(${name} PROPERTIES
    LABELS unit TIMEOUT ${PORTOLAN_TEST_TIMEOUT} ENVIRONMENT "${PORTOLAN_TEST_ENVIRONMENT}")
endfunction()

# portolan_fuzz(NAME CORPUS DIR SOURCES ... LINK ...): a fuzz target in build/fuzz. ctest replays its
# corpus (label "fuzz"), under --asan too. With PORTOLAN_FUZZ it is libFuzzer's, for ./dev fuzz.
function(portolan_fuzz name)
  if(NOT PORTOLAN_FUZZ AND NOT PORTOLAN_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${PORTOLAN_WARNINGS})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  if(PORTOLAN_FUZZ)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers ${name})
  else()
    target_link_libraries(${name} PRIVATE fuzz_replay)
    add_test(NAME ${name} COMMAND ${name} ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_CORPUS})
    set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT ${PORTOLAN_TEST_TIMEOUT})
  endif()
endfunction()

# portolan_proto(NAME PROTOS ... [GRPC] [LINK ...]): generated code; paths are relative to IMPORT_ROOT.
function(portolan_proto name)
  cmake_parse_arguments(ARG "" "IMPORT_ROOT" "PROTOS;GRPC_PROTOS;LINK" ${ARGN})
  set(out ${CMAKE_BINARY_DIR}/generated/${name})
  file(MAKE_DIRECTORY ${out})
  set(sources)
  foreach(proto ${ARG_PROTOS} ${ARG_GRPC_PROTOS})
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    set(generated ${out}/${stem}.pb.cc)
    set(plugin)
    if(proto IN_LIST ARG_GRPC_PROTOS)
      list(APPEND generated ${out}/${stem}.grpc.pb.cc)
      set(plugin --grpc_out=${out} --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN})
    endif()
    add_custom_command(
      OUTPUT ${generated}
      COMMAND protobuf::protoc -I ${ARG_IMPORT_ROOT} --cpp_out=${out} ${plugin}
              ${ARG_IMPORT_ROOT}/${proto}
      DEPENDS ${ARG_IMPORT_ROOT}/${proto}
      COMMENT "protoc ${proto}"
      VERBATIM)
    list(APPEND sources ${generated})
  endforeach()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} SYSTEM PUBLIC ${out})
  target_link_libraries(${name} PUBLIC protobuf::libprotobuf gRPC::grpc++ ${ARG_LINK})
endfunction()
