# The room libtorch: the training loop, made where Debian's libtorch-dev is installed.
#
# The command does not link libtorch, which takes half a second to load: the loop is a module beside
# it, opened by `graupel train` alone (src/train/backend.h). Instrumented builds leave it out:
# libtorch is not instrumented, and OpenMP looks like a race.
find_path(LIBTORCH_API torch/torch.h PATH_SUFFIXES torch/csrc/api/include)
find_library(LIBTORCH_LIBRARY torch)
find_library(LIBTORCH_CPU_LIBRARY torch_cpu)
find_library(LIBTORCH_C10_LIBRARY c10)
if(NOT LIBTORCH_API OR NOT LIBTORCH_LIBRARY OR CMAKE_CXX_FLAGS MATCHES "fsanitize")
  message(STATUS "graupel train: left out (needs libtorch-dev, and no sanitizer)")
  return()
endif()
add_library(libtorch INTERFACE)
target_include_directories(libtorch SYSTEM INTERFACE ${LIBTORCH_API})
target_link_libraries(libtorch INTERFACE ${LIBTORCH_LIBRARY} ${LIBTORCH_CPU_LIBRARY}
                      ${LIBTORCH_C10_LIBRARY})

# The module from the room graupel_libtorch, and one compilation of torch/torch.h, which is nearly
# all of the time, for all that includes it.
function(graupel_libtorch_module)
  target_precompile_headers(graupel_libtorch PRIVATE <torch/torch.h>)
  target_precompile_headers(libtorch_test REUSE_FROM graupel_libtorch)
  target_compile_options(libtorch_test PRIVATE -fPIC)  # as the header was compiled

  add_library(graupel_libtorch_module MODULE ${CMAKE_SOURCE_DIR}/src/libtorch/backend_entry.cc)
  target_precompile_headers(graupel_libtorch_module REUSE_FROM graupel_libtorch)
  target_link_libraries(graupel_libtorch_module PRIVATE graupel_libtorch)
  set_target_properties(graupel_libtorch_module PROPERTIES PREFIX "" OUTPUT_NAME graupel_libtorch
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endfunction()
