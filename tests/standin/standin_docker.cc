// STAND-IN for docker and podman, for tests only: a container is a folder of
// GRAUPEL_STANDIN_CONTAINERS, its /tmp a folder in that. It takes only what graupel may rely on
// (no mounts, no display) and runs the stand-in `hailo` found on PATH.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

int fail(const std::string& what) {
  std::fprintf(stderr, "Error response from the STAND-IN daemon: %s\n", what.c_str());
  return 1;
}

fs::path root() {
  const char* folder = std::getenv("GRAUPEL_STANDIN_CONTAINERS");
  return folder == nullptr ? fs::path("/nonexistent") : fs::path(folder);
}

bool is_running(const std::string& name) { return fs::exists(root() / name / "started"); }

// "NAME:/tmp/x" as a path in the folder that stands for the container.
fs::path resolved(const std::string& place) {
  const size_t colon = place.find(':');
  if (colon == std::string::npos) return place;
  return root() / place.substr(0, colon) / place.substr(colon + 2);
}

int create(const std::vector<std::string>& words) {
  const std::vector<std::string> form = {"create",       "--rm",  "--name", "",
                                         "--entrypoint", "sleep", "",       ""};
  if (words.size() != form.size()) return fail("unexpected create");
  for (size_t i = 0; i < form.size(); ++i) {
    if (!form[i].empty() && words[i] != form[i]) return fail("unexpected " + words[i]);
  }
  if (std::atoll(words[7].c_str()) <= 0) return fail("sleep needs a time");
  fs::create_directories(root() / words[3] / "tmp");
  std::printf("0123456789abcdef\n");
  return 0;
}

int exec(const std::vector<std::string>& words) {
  size_t at = 1;
  std::string folder = "/";
  if (words.size() > 3 && words[1] == "--workdir") {
    folder = words[2];
    at = 3;
  }
  if (at + 1 >= words.size() || !is_running(words[at])) return fail("no such container");
  const std::string name = words[at++];
  if (words[at] == "mkdir") {
    if (words.size() != at + 3 || words[at + 1] != "-p") return fail("unexpected mkdir");
    fs::create_directories(resolved(name + ":" + words[at + 2]));
    return 0;
  }
  if (words[at] != "hailo") return fail("executable not found in container: " + words[at]);
  fs::current_path(resolved(name + ":" + folder));
  std::vector<char*> argv;
  std::vector<std::string> copies(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
  for (std::string& word : copies) argv.push_back(word.data());
  argv.push_back(nullptr);
  execvp("hailo", argv.data());
  return fail("the stand-in hailo is not on PATH");
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const std::string verb = words.empty() ? "" : words[0];
  std::error_code failed;
  if (verb == "image" && words.size() == 5 && words[1] == "inspect") {
    if (words[4] != "standin_suite:1") return fail("No such image: " + words[4]);
    std::printf("sha256:0123\n");
    return 0;
  }
  if (verb == "create") return create(words);
  if (verb == "start" && words.size() == 2 && fs::exists(root() / words[1])) {
    fs::create_directories(root() / words[1] / "started");
    return 0;
  }
  if (verb == "exec") return exec(words);
  if (verb == "cp" && words.size() == 3) {
    const fs::path from = resolved(words[1]), to = resolved(words[2]);
    fs::copy_file(from, fs::is_directory(to) ? to / from.filename() : to,
                  fs::copy_options::overwrite_existing, failed);
    return failed ? fail("Could not find the file " + words[1]) : 0;
  }
  if (verb == "rm" && words.size() == 3 && words[1] == "--force") {
    return fs::remove_all(root() / words[2], failed) > 0 ? 0 : fail("No such container");
  }
  return fail("the stand-in does not know this command");
}
