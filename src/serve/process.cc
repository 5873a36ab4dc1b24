// The process's own numbers. See process.h. Reference: proc(5). Test: process_test.cc.
#include "serve/process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/files.h"

namespace graupel::serve {
namespace {

// /proc says 0 for the size of its files, so they are read with a bound instead.
std::string proc_text(const char* path) {
  Result<std::string> text = read_file(path, 1 << 20);
  return text.ok() ? *std::move(text) : std::string();
}

// The fields of /proc/self/stat from the third on: the second, a name, may hold spaces.
std::array<int64_t, 22> stat_fields() {
  std::array<int64_t, 22> fields{};
  const std::string text = proc_text("/proc/self/stat");
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return fields;
  const char* at = text.data() + name_end + 1;
  const char* const end = text.data() + text.size();
  for (int64_t& field : fields) {
    while (at < end && *at == ' ') ++at;
    std::from_chars(at, end, field);  // the state is a letter and stays 0
    while (at < end && *at != ' ') ++at;
  }
  return fields;
}

int64_t open_files() {
  std::error_code error;
  int64_t count = 0;
  for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end;
       it.increment(error)) {
    ++count;
  }
  return count > 0 ? count - 1 : 0;  // the one that reads the folder
}

}  // namespace

ProcessUse process_use() {
  const std::array<int64_t, 22> fields = stat_fields();
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  ProcessUse use;
  use.cpu_seconds = static_cast<double>(fields[11] + fields[12]) / ticks;
  use.threads = fields[17];
  use.virtual_bytes = fields[20];
  use.resident_bytes = fields[21] * sysconf(_SC_PAGESIZE);
  use.open_files = open_files();
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    use.open_files_limit = static_cast<int64_t>(limit.rlim_cur);
  }
  return use;
}

}  // namespace graupel::serve
