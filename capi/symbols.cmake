# Fails if libgraupel.so does not export exactly the functions of the header: a missing one breaks
# programs, another one becomes part of the interface by accident.
#   cmake -DNM=nm -DLIBRARY=libgraupel.so -DHEADER=graupel.h -P symbols.cmake
execute_process(COMMAND ${NM} -D --defined-only ${LIBRARY} OUTPUT_VARIABLE listed
                RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${NM} cannot read ${LIBRARY}")
endif()
string(REGEX MATCHALL "[^\n ]+\n" exported "${listed}")
list(TRANSFORM exported STRIP)
file(READ ${HEADER} header)
string(REGEX MATCHALL "GRAUPEL_API [^;(]*" declared "${header}")
list(TRANSFORM declared REPLACE ".*[ *]([a-z_]+)$" "\\1")
list(FILTER declared INCLUDE REGEX "^graupel_")
list(SORT exported)
list(SORT declared)
list(REMOVE_DUPLICATES declared)
if(NOT declared OR NOT "${exported}" STREQUAL "${declared}")
  message(FATAL_ERROR "exported: ${exported}\ndeclared: ${declared}")
endif()
