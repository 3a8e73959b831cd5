set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# -O2 and no NDEBUG: an assert that fails in the field is worth more than the cycles it costs.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1")

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

# Some hundred programs and tests are linked, and bfd takes 1.5 s longer for each.
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-fno-omit-frame-pointer -fstack-protector-strong)
if(NOT PORTOLAN_SANITIZER STREQUAL "")
  # Half the time to compile, and stacks that can be read.
  set(CMAKE_CXX_FLAGS_RELEASE "-O1 -g1")
endif()
if(PORTOLAN_SANITIZER STREQUAL "asan")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
elseif(PORTOLAN_SANITIZER STREQUAL "tsan")
  add_compile_options(-fsanitize=thread)
  # Protobuf's headers lay MapFieldBase out differently where this is defined, and Debian's library
  # is built without it. libstdc++ takes its own macro.
  add_compile_options(-U__SANITIZE_THREAD__ -D_GLIBCXX_TSAN=1)
  add_link_options(-fsanitize=thread)
elseif(NOT PORTOLAN_SANITIZER STREQUAL "")
  message(FATAL_ERROR "PORTOLAN_SANITIZER: '${PORTOLAN_SANITIZER}' is neither asan nor tsan")
else()
  add_compile_definitions(_FORTIFY_SOURCE=2)
endif()

# Coverage of the libraries, not of the fuzz targets' own files alone, is what guides libFuzzer.
if(PORTOLAN_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Warnings for our own code; generated code is built without them (targets.cmake).
set(PORTOLAN_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror)
