# Stand-ins for the vendor's libhailort.so, one per imitated release, for npu_test and
# the tests of the command.
if(GRAUPEL_RUNTIME_ONLY)
  return()
endif()
foreach(release 4_17 4_20 4_23 5_2)
  string(REPLACE "_" ";" numbers ${release})
  list(GET numbers 0 major)
  list(GET numbers 1 minor)
  set(standin hailort_standin_${release})
  add_library(${standin} MODULE ${CMAKE_SOURCE_DIR}/src/npu/standin/hailort_standin.cc)
  set_target_properties(${standin} PROPERTIES CXX_VISIBILITY_PRESET hidden
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/standin)
  # It computes with a copy of the engine that nobody else sees.
  target_include_directories(${standin} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${standin} PRIVATE graupel_run graupel_hef)
  target_link_options(${standin} PRIVATE -Wl,--exclude-libs,ALL)
  target_compile_definitions(${standin} PRIVATE STANDIN_MAJOR=${major} STANDIN_MINOR=${minor})
  # Like the vendor's library it is not instrumented, whatever the program that loads it is.
  if(CMAKE_CXX_FLAGS MATCHES "fsanitize")
    target_compile_options(${standin} PRIVATE -fno-sanitize=all)
  endif()
  add_dependencies(npu_test ${standin})
endforeach()
target_compile_definitions(npu_test PRIVATE GRAUPEL_STANDIN_FOLDER="${CMAKE_BINARY_DIR}/standin")
# The writer of HEFs for tests computes their checksums.
target_link_libraries(npu_test PRIVATE PkgConfig::XXHASH OpenSSL::Crypto ZLIB::ZLIB)
