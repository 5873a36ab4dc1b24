# Fails if an object file compiled with raised instruction-set flags defines a weak symbol: the linker
# could then give that copy to code that runs on any processor.
#   cmake -DNM=nm "-DOBJECTS=a.o;b.o" -P weak_symbols.cmake
set(checked 0)
foreach(object ${OBJECTS})
  if(NOT object MATCHES "/(avx2|avx512vnni|avx512vnni_depthwise|avx512vnni_quantize|avxvnni|neon|neondot|sse41|scalar)\\.cc\\.o$")
    continue()
  endif()
  execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols
                  RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${NM} cannot read ${object}")
  endif()
  string(REGEX MATCHALL "[^\n]* [WwVvu] [^\n]*" weak "${symbols}")
  if(weak)
    message(FATAL_ERROR "${object} defines weak symbols: ${weak}")
  endif()
  math(EXPR checked "${checked} + 1")
endforeach()
if(NOT checked GREATER 0)
  message(FATAL_ERROR "no kernel object among ${OBJECTS}")
endif()
