# The compile rules every target shares, and the helper that makes a folder a library.

add_library(potluck_options INTERFACE)
target_include_directories(potluck_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(potluck_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror
  -ffp-contract=off)  # docs/ARITHMETIC.md, 1: multiply, then add

# potluck_library(NAME DIR [LINK...]): every .cpp of DIR (not of its subfolders) as a static library.
function(potluck_library name directory)
  file(GLOB sources CONFIGURE_DEPENDS ${directory}/*.cpp)
  if(NOT sources)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE potluck_options ${ARGN})
    return()
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC potluck_options ${ARGN})
endfunction()
