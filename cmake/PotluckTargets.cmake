# The compile rules every target shares, and the helper that makes a folder a library.

add_library(potluck_options INTERFACE)
target_include_directories(potluck_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(potluck_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror
  -ffp-contract=off  # docs/ARITHMETIC.md, 1: multiply, then add
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(potluck_options INTERFACE -fsigned-char)  # as everywhere: ARM has them unsigned
endif()

# Precompiled headers: the standard library's and fmt's for every library, GoogleTest's for every
# test. They hold no file of this repository. A source that forgets an include compiles nevertheless:
# clang-tidy reads sources without them (the tidy preset), and shows it.
option(POTLUCK_PCH "Precompile the headers that most sources include" ON)
set(potluck_precompiled <algorithm> <array> <chrono> <cmath> <cstdint> <deque> <functional> <map>
                        <memory> <mutex> <optional> <set> <span> <string> <string_view>
                        <unordered_map> <utility> <variant> <vector> <fmt/format.h>)
if(POTLUCK_PCH)  # ccache needs these
  target_compile_options(potluck_options INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>
    "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>")
endif()

# potluck_precompile(TARGET OWNER [HEADER...]): OWNER compiles the headers, the others share them.
function(potluck_precompile target owner)
  if(NOT POTLUCK_PCH)
    return()
  elseif(target STREQUAL owner)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()

# Unity builds: a few sources are compiled as one, so that templates and headers that they share are
# compiled once. Names in anonymous namespaces must then differ within a folder. CMake's own unity
# files name sources by absolute paths, which a compiler cache takes for another file in every
# checkout; hence these.
option(POTLUCK_UNITY "Compile a few sources of a folder as one" ON)
# In bytes of source text. Twice as much costs a compiler little more memory (it needs 1 GiB at most)
# and saves a clean build time, but a change of one file takes longer to compile.
set(potluck_unity_bytes 60000)
if(POTLUCK_UNITY)  # a source that is included counts as a header for this warning
  target_compile_options(potluck_options INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()

# potluck_unite(NAME LIST): replaces the sources in the variable LIST by files that include them.
function(potluck_unite name list_name)
  if(NOT POTLUCK_UNITY)
    return()
  endif()
  set(united)
  set(text)
  set(bytes 0)
  set(left ${${list_name}})
  while(left)
    list(POP_FRONT left source)
    file(RELATIVE_PATH path ${CMAKE_SOURCE_DIR} ${source})
    file(SIZE ${source} size)
    string(APPEND text "#include \"${path}\"\n")
    math(EXPR bytes "${bytes} + ${size}")
    if(bytes GREATER_EQUAL potluck_unity_bytes OR NOT left)
      list(LENGTH united number)
      set(file ${CMAKE_CURRENT_BINARY_DIR}/${name}_${number}.cpp)
      file(CONFIGURE OUTPUT ${file} CONTENT "${text}" @ONLY)
      list(APPEND united ${file})
      set(text)
      set(bytes 0)
    endif()
  endwhile()
  set(${list_name} ${united} PARENT_SCOPE)
endfunction()

# potluck_library(NAME DIR [LINK...] [ONLY FILE...] [EXCEPT FILE...]): every .cpp of DIR (not of its
# subfolders) but main.cpp as a static library; or only, or not, those of these names (without .cpp).
function(potluck_library name directory)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "ONLY;EXCEPT")
  set(link ${arg_UNPARSED_ARGUMENTS})
  file(GLOB sources CONFIGURE_DEPENDS ${directory}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  if(arg_ONLY)
    list(JOIN arg_ONLY "|" wanted)
    list(FILTER sources INCLUDE REGEX "/(${wanted})\\.cpp$")
  elseif(arg_EXCEPT)
    list(JOIN arg_EXCEPT "|" unwanted)
    list(FILTER sources EXCLUDE REGEX "/(${unwanted})\\.cpp$")
  endif()
  if(NOT sources)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE potluck_options ${link})
    return()
  endif()
  potluck_unite(${name} sources)
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC potluck_options ${link})
  if(NOT name STREQUAL engine_kernels)  # has compiler options of its own
    potluck_precompile(${name} engine_base ${potluck_precompiled})
  endif()
endfunction()

# Of libraries whose speed does not matter beside what they call: a quarter less time to compile.
set(potluck_cold_options $<$<CONFIG:Release>:-O1>)
