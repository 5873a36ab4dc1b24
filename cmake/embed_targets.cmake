# Compiles targets/*.toml into graupel_check as text, so that the command needs no data files.
file(GLOB target_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/targets/*.toml)
set(GRAUPEL_BUILTIN_TARGETS "")
foreach(target_file ${target_files})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${target_file})
  get_filename_component(target_name ${target_file} NAME_WE)
  file(READ ${target_file} target_text)
  string(APPEND GRAUPEL_BUILTIN_TARGETS
         "    {\"${target_name}\", R\"GRAUPEL(${target_text})GRAUPEL\"},\n")
endforeach()
configure_file(${CMAKE_SOURCE_DIR}/src/check/builtin_targets.cc.in
               ${CMAKE_BINARY_DIR}/generated/builtin_targets.cc @ONLY)
if(TARGET graupel_check)
  target_sources(graupel_check PRIVATE ${CMAKE_BINARY_DIR}/generated/builtin_targets.cc)
endif()
