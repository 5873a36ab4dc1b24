// Runs the graupel command as a user would: its own process, its own output, its exit status.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/files.h"

namespace graupel::cli_test {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Finished {
  int code = -1;  // exit status; 128 + n for signal n
  std::string out, err;
};

inline fs::path make_folder() {
  const fs::path folder =
      fs::path(testing::TempDir()) / ("graupel_cli_" + std::to_string(getpid()));
  fs::create_directories(folder);
  return folder;
}

// `settings` are environment variables, "NAME=value", in front of this process's own.
inline Finished graupel(const std::vector<std::string>& arguments,
                        const std::vector<std::string>& settings = {}) {
  const fs::path folder = make_folder();
  const std::string out = (folder / "stdout").string();
  const std::string err = (folder / "stderr").string();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), flags, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), flags, 0600);
  std::vector<std::string> words = {GRAUPEL_COMMAND};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv, environment;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> variables = settings;
  for (std::string& variable : variables) environment.push_back(variable.data());
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.push_back(*variable);
  }
  environment.push_back(nullptr);
  pid_t child = 0;
  Finished finished;
  const int failed =
      posix_spawn(&child, GRAUPEL_COMMAND, &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    ADD_FAILURE() << "cannot start " << GRAUPEL_COMMAND;
    return finished;
  }
  int status = 0;
  if (waitpid(child, &status, 0) == child) {
    finished.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  finished.out = read_file(out).value();
  finished.err = read_file(err).value();
  return finished;
}

// stdout as the one JSON document it has to be.
inline Json document(const Finished& finished) {
  Json json = Json::parse(finished.out, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << "stdout is not one JSON document: " << finished.out;
  return json;
}

}  // namespace graupel::cli_test
