# What `cmake --install` installs: two components, potluck and potluck-worker, each a program with its
# manual pages, shell completion, systemd units, and licenses. scripts/release packs the same files.
include(GNUInstallDirs)

# potluck_install(PROGRAM UNIT...): pages and completions are the program's own words; where it is for another
# processor, an emulator says them.
function(potluck_install program)
  install(TARGETS ${program} RUNTIME COMPONENT ${program})
  set(run)
  if(CMAKE_CROSSCOMPILING)
    list(JOIN CMAKE_CROSSCOMPILING_EMULATOR " " run)
  endif()
  set(texts ${CMAKE_BINARY_DIR}/install/${program})
  # In an environment of nothing, since help texts tell of this machine's folders.
  install(CODE "
    file(REMOVE_RECURSE ${texts})
    file(MAKE_DIRECTORY ${texts})
    function(say file)
      execute_process(COMMAND ${CMAKE_COMMAND} -E env POTLUCK_HOME=/nonexistent ${run}
                              $<TARGET_FILE:${program}> --no-config \${ARGN}
                      OUTPUT_FILE ${texts}/\${file} ERROR_QUIET COMMAND_ERROR_IS_FATAL ANY)
    endfunction()
    foreach(unit ${ARGN})
      file(READ ${CMAKE_SOURCE_DIR}/packaging/systemd/\${unit} text)
      string(REPLACE /usr/bin/ \${CMAKE_INSTALL_PREFIX}/bin/ text \"\${text}\")
      file(WRITE ${texts}/units/\${unit} \"\${text}\")
    endforeach()
    say(log man --directory ${texts}/man1)
    say(${program} completion bash)
    say(_${program} completion zsh)
    say(${program}.fish completion fish)"
    COMPONENT ${program})
  install(DIRECTORY ${texts}/man1/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT ${program})
  install(FILES ${texts}/${program} COMPONENT ${program}
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${texts}/_${program} COMPONENT ${program}
          DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${texts}/${program}.fish COMPONENT ${program}
          DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
  install(FILES ${texts}/units/${program}.service DESTINATION lib/systemd/system
          COMPONENT ${program})
  install(FILES ${CMAKE_SOURCE_DIR}/packaging/sysusers/${program}.conf DESTINATION lib/sysusers.d COMPONENT ${program})
  install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${program}
          COMPONENT ${program})
endfunction()

potluck_install(potluck potluck.service)
potluck_install(potluck-worker potluck-worker.service potluck-worker.user.service)
install(FILES ${CMAKE_BINARY_DIR}/install/potluck-worker/units/potluck-worker.user.service RENAME potluck-worker.service
        DESTINATION lib/systemd/user COMPONENT potluck-worker)
