// The program `potluck`: everything.
#include "coordinator/cli/potluck_program.h"
#include "coordinator/cli/program_main.h"

int main(int argc, char** argv) {
  return potluck::program_main(argc, argv, potluck::potluck_program);
}
