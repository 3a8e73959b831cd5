# Files as bytes in a program, for what must be there without a file system.
#
# portolan_embed(TARGET VARIABLE FILE): the bytes of FILE, compiled into TARGET as
#   namespace portolan::embedded { extern const std::string_view VARIABLE; }
# which its user declares. Compiled anew when FILE changes.
#
# Also read by scripts (cmake -P), for portolan_bytes(FILE OUT): "0x1f,0x8b," and so on in OUT.
function(portolan_bytes file out)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  set(${out} "${bytes}" PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  portolan_bytes(${FILE} bytes)
  file(WRITE ${OUT} "#include <string_view>

namespace portolan::embedded {
namespace {
constexpr unsigned char kBytes[] = {${bytes}};
}  // namespace
extern const std::string_view ${VARIABLE};
const std::string_view ${VARIABLE}(reinterpret_cast<const char*>(kBytes), sizeof kBytes);
}  // namespace portolan::embedded
")
  return()
endif()

set(PORTOLAN_EMBED ${CMAKE_CURRENT_LIST_FILE})
function(portolan_embed target variable file)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/embedded_${variable}.cc)
  get_filename_component(file ${file} ABSOLUTE)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DFILE=${file} -DVARIABLE=${variable} -DOUT=${out} -P ${PORTOLAN_EMBED}
    DEPENDS ${file} ${PORTOLAN_EMBED} VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()
