# cmake -DOUTPUT=FILE -DINPUT=FILE -DHEADER=PATH -DFUNCTION=NAME -P embed_text.cmake: a source in which
# a function that the header declares returns the text of the input.
file(READ "${INPUT}" content)
file(WRITE "${OUTPUT}" "#include \"${HEADER}\"\n\nnamespace potluck {\n\n"
  "std::string_view ${FUNCTION}() {\n  return R\"potluck_text(${content})potluck_text\";\n}\n\n"
  "}  // namespace potluck\n")
