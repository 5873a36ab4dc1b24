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

# graupel_test(NAME SOURCES file... LIBS library...): a GoogleTest binary, each test in ctest.
function(graupel_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LIBS" ${ARGN})
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_LIBS} GTest::gmock GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE GRAUPEL_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  gtest_discover_tests(${name} TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST
                       PROPERTIES TIMEOUT 600)
endfunction()
