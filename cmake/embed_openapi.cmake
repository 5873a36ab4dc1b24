# Compiles src/serve/openapi.yaml into graupel_serve as text, so that the server needs no data files.
set(openapi_file ${CMAKE_SOURCE_DIR}/src/serve/openapi.yaml)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${openapi_file})
file(READ ${openapi_file} GRAUPEL_OPENAPI)
configure_file(${CMAKE_SOURCE_DIR}/src/serve/openapi.cc.in
               ${CMAKE_BINARY_DIR}/generated/openapi.cc @ONLY)
if(TARGET graupel_serve)
  target_sources(graupel_serve PRIVATE ${CMAKE_BINARY_DIR}/generated/openapi.cc)
endif()
