# Programs that need no library of the system (POTLUCK_STATIC). Headers and compiler options are those of
# every other build, so that objects are the same; what is linked are static libraries: Debian's, and those
# that scripts/static-libraries makes where Debian's would drag in others or there is none.

# potluck_program(TARGET): a program as it is given to people. What it was linked from is in TARGET.map.
function(potluck_program target)
  if(POTLUCK_STATIC)
    target_link_libraries(${target} PRIVATE static_program)
    target_link_options(${target} PRIVATE -static-pie LINKER:--entry=potluck_start
                        LINKER:--build-id=none LINKER:-Map=$<TARGET_FILE:${target}>.map)
  endif()
endfunction()

if(NOT POTLUCK_STATIC)
  return()
endif()

set(CMAKE_SKIP_RPATH ON)  # of which such a program may have none
add_library(static_program OBJECT engine/base/static_program/refused_calls.c
            engine/base/static_program/no_plugins.c)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(static_folder ${CMAKE_SOURCE_DIR}/build/static-libraries/arm64/lib)
else()
  set(static_folder ${CMAKE_SOURCE_DIR}/build/static-libraries/amd64/lib)
endif()

# static_archives(RESULT NAME...): paths of lib<NAME>.a, our own first.
function(static_archives result)
  set(found)
  foreach(name ${ARGN})
    if(EXISTS ${static_folder}/lib${name}.a)
      list(APPEND found ${static_folder}/lib${name}.a)
      continue()
    endif()
    find_library(static_${name} lib${name}.a REQUIRED)
    list(APPEND found ${static_${name}})
  endforeach()
  set(${result} ${found} PARENT_SCOPE)
endfunction()

# static_links(TARGET NAME...): of a package that pkg-config describes.
function(static_links target)
  static_archives(archives ${ARGN})
  set_target_properties(${target} PROPERTIES INTERFACE_LINK_LIBRARIES "${archives}")
endfunction()

# static_location(TARGET NAME): of a package with targets of its own.
function(static_location target name)
  static_archives(archive ${name})
  get_target_property(configurations ${target} IMPORTED_CONFIGURATIONS)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${archive})
  foreach(configuration ${configurations})
    set_target_properties(${target} PROPERTIES IMPORTED_LOCATION_${configuration} ${archive})
  endforeach()
endfunction()

static_links(PkgConfig::ZMQ zmq sodium)
static_links(PkgConfig::XXHASH xxhash)
static_links(PkgConfig::URING uring)
static_links(PkgConfig::EDIT edit tinfo bsd md)
static_archives(curl curl)
add_library(static_curl STATIC IMPORTED)  # a target, so that it comes before what it needs
set_target_properties(static_curl PROPERTIES IMPORTED_LOCATION ${curl}
                      INTERFACE_LINK_LIBRARIES OpenSSL::SSL)
set_target_properties(PkgConfig::CURL PROPERTIES INTERFACE_LINK_LIBRARIES static_curl)
static_links(PkgConfig::QRENCODE qrencode)
static_links(PkgConfig::PCRE2 pcre2-8)
static_location(fmt::fmt fmt)
static_location(spdlog::spdlog spdlog)
static_location(CapnProto::capnp capnp)
static_location(CapnProto::kj kj)
