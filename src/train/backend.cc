// Opening the module that holds the training loop. See backend.h. Test: backend_test.cc.
#include "train/backend.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

namespace graupel::train {

std::string command_folder() {
  std::error_code failed;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", failed);
  return failed ? std::string(".") : self.parent_path().string();
}

Result<Backend> load_backend(const std::string& folder) {
  constexpr const char* kInstall =
      "install the Debian package libtorch-dev (and libopenblas0-pthread, which makes it several "
      "times faster)";
  const std::string path = folder + "/" + kModuleName;
  std::error_code failed;
  if (!std::filesystem::exists(path, failed)) {
    return device_error("training", fmt::format("this graupel was built without libtorch: {} and "
                                                "build again",
                                                kInstall));
  }
  void* const module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    const char* const reason = dlerror();
    return device_error("training", fmt::format("libtorch does not load ({}): {}",
                                                reason == nullptr ? "unknown" : reason, kInstall));
  }
  // The module stays open: its code is used until the command ends.
  void* const entry = dlsym(module, kModuleEntry);
  if (entry == nullptr) return device_error(path, "is not of this build; build again");
  return *reinterpret_cast<const Backend* (*)()>(entry)();
}

}  // namespace graupel::train
