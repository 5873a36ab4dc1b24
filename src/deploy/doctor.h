// What this machine has for deploying to and running on a Hailo-8. Looks only, starts nothing.
// Test: doctor_test.cc.
#pragma once

#include <string>
#include <vector>

namespace graupel::deploy {

struct Diagnosis {
  std::string what;
  bool found = false;
  std::string detail;      // path, version, instruction sets
  std::string needed_for;  // what cannot be done without it, or what to do about it
  bool required = false;   // graupel itself cannot work without it
};

std::vector<Diagnosis> examine_machine();

}  // namespace graupel::deploy
