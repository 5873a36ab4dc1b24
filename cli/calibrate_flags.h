// What `graupel calibrate` fits, as flags.
#pragma once

#include <CLI/CLI.hpp>

#include "deploy/calibrate.h"

namespace graupel::cli {

struct CalibrateFlags {
  deploy::CalibrateOptions options;
  deploy::MethodNames names;
  deploy::HsmmNames hsmm;
};
void add_calibrate_flags(CLI::App& verb, CalibrateFlags& flags);

}  // namespace graupel::cli
