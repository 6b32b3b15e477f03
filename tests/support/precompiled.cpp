// Owns the precompiled headers of the tests (tests/CMakeLists.txt): a target needs a source.
