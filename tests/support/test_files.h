// Where the files that tests read are: those of the checkout that the tests were built from, and
// those that lie beside it on some machines. One source file knows the checkout's folder, so that
// all the others compile to the same objects in every checkout.
#pragma once

#include <string>

namespace potluck::test {

// A file of the checkout.
std::string source_path(const std::string& relative);
// A file of tests/data.
std::string data_path(const std::string& relative);
// The model of the demo.
std::string taleteller_path();
// A file of the folder that POTLUCK_SHARED names (default: "shared" beside the checkout); empty if
// it is not there.
std::string shared_path(const std::string& relative);

}  // namespace potluck::test
