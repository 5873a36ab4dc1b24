// A report as a real deployment fills it; shared by this room's tests.
#pragma once

#include "report/report.h"

namespace graupel::report {

Report sample_report();

}  // namespace graupel::report
