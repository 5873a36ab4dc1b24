# graupel_room(NAME [DEPS room...] [LIBS library...] [PRIVATE_LIBS library...])
#
# Makes the library graupel_NAME from src/NAME/*.cc and, beside it, the test binary NAME_test from
# src/NAME/*_test.cc. DEPS are the rooms it may include; a room without sources is skipped.
function(graupel_room name)
  cmake_parse_arguments(ROOM "" "" "DEPS;LIBS;PRIVATE_LIBS;TEST_DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  set(test_sources ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER test_sources INCLUDE REGEX "_test\\.cc$")
  if(NOT sources)
    return()
  endif()
  add_library(graupel_${name} STATIC ${sources})
  target_include_directories(graupel_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  # Sanitized builds are unoptimised to build quickly, but for the rooms that compute.
  if(CMAKE_CXX_FLAGS MATCHES "fsanitize" AND name MATCHES "^(ir|kernels|run|quantize|data|decide)$")
    target_compile_options(graupel_${name} PRIVATE -O1)
  endif()
  list(TRANSFORM ROOM_DEPS PREPEND graupel_)
  target_link_libraries(graupel_${name} PUBLIC ${ROOM_DEPS} ${ROOM_LIBS} PRIVATE ${ROOM_PRIVATE_LIBS})
  if(test_sources AND NOT GRAUPEL_RUNTIME_ONLY)
    list(TRANSFORM ROOM_TEST_DEPS PREPEND graupel_)
    graupel_test(${name}_test SOURCES ${test_sources} LIBS graupel_${name} ${ROOM_TEST_DEPS}
                 ${ROOM_PRIVATE_LIBS})
  endif()
endfunction()

# graupel_test_binary(NAME SOURCES file... LIBS library...): a GoogleTest binary, not yet in ctest.
function(graupel_test_binary name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LIBS" ${ARGN})
  find_package(GTest REQUIRED)
  if(NOT TARGET graupel_test_main)
    add_library(graupel_test_main STATIC ${CMAKE_SOURCE_DIR}/tests/support/test_main.cc)
    target_link_libraries(graupel_test_main PUBLIC GTest::gmock GTest::gtest)
  endif()
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_LIBS} graupel_test_main)
  target_compile_definitions(${name} PRIVATE GRAUPEL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
endfunction()

# graupel_test(NAME SOURCES file... LIBS library...): its tests are entries of ctest, one each.
function(graupel_test name)
  graupel_test_binary(${name} ${ARGN})
  include(GoogleTest)
  gtest_discover_tests(${name} TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST
                       PROPERTIES TIMEOUT 600)
endfunction()

# graupel_command_test(NAME SOURCES file... LIBS library...): its tests run the command. One entry
# of ctest: such a suite makes its bundle once and every case reads that.
function(graupel_command_test name)
  graupel_test_binary(${name} ${ARGN})
  find_package(nlohmann_json REQUIRED)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE graupel_base nlohmann_json::nlohmann_json)
  target_compile_definitions(${name} PRIVATE GRAUPEL_COMMAND="$<TARGET_FILE:graupel_command>")
  add_dependencies(${name} graupel_command)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 600)
endfunction()
