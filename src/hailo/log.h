// What the vendor's compiler says while it works, understood line by line.
//
// Idea: the log is the only place where the compiler tells that it lowered the optimisation level,
// used random windows or gave up precision. Each such line becomes a finding; each failure becomes
// a cause and a remedy. Texts are those of public logs (DFC 3.27 to 3.34).
// Test: log_test.cc, with lines as users published them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hailo/findings.h"

namespace graupel::hailo {

struct Utilization {
  std::string cluster;  // "cluster_0", ..., "Total"
  double control_percent = 0, compute_percent = 0, memory_percent = 0;
};

struct Log {
  std::string compiler_version;          // "3.32.0"
  std::string runtime_version;           // "4.22.0", "Not Installed"
  std::string stage;                     // what it is doing now, in its own words
  std::optional<int> percent;            // of that
  std::map<std::string, double> snr_db;  // by output layer
  std::optional<int> contexts;
  std::vector<Utilization> utilization;
  std::vector<std::string> times;  // "allocation time: 4m 25s"
  std::vector<std::string> recommended_end_nodes;
  std::vector<Finding> findings;  // errors among them are failures with cause and remedy
};

// Takes in one line, without its end.
void read_line(Log& log, std::string_view line);

}  // namespace graupel::hailo
