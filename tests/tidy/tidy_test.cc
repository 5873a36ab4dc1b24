// The house rules as a test: which room may include which, sizes of files and lines, words that
// have no place in finished code.
//
// Idea: src/CMakeLists.txt states each room's dependencies (graupel_room(name DEPS ...)); every
// #include "room/..." in src/, cli/ and the tests beside the code is checked against that
// statement, so the table in ARCHITECTURE.md cannot rot silently.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
const fs::path kSource = GRAUPEL_SOURCE_DIR;
constexpr size_t kLineColumns = 100;
constexpr size_t kFileLines = 600;

// Files that may exceed kFileLines, each with its reason.
const std::map<std::string, std::string> kLongFiles = {};

const std::set<std::string> kRuntimeRooms = {"base", "data",   "bundle", "kernels", "npu",
                                             "run",  "decide", "hef",    "serve"};

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::vector<fs::path> sources_below(const std::string& folder) {
  std::vector<fs::path> paths;
  if (!fs::exists(kSource / folder)) return paths;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(kSource / folder)) {
    const std::string extension = entry.path().extension();
    if (extension == ".cc" || extension == ".h" || extension == ".def") {
      paths.push_back(entry.path());
    }
  }
  return paths;
}

struct Room {
  std::set<std::string> deps;       // as stated; public to those who depend on the room
  std::set<std::string> test_deps;  // additionally for its *_test.cc
};

std::map<std::string, Room> stated_rooms() {
  std::stringstream text;
  text << std::ifstream(kSource / "src/CMakeLists.txt").rdbuf();
  const std::string content = text.str();
  std::map<std::string, Room> rooms;
  const std::regex call(R"(graupel_room\(([^)]*)\))");
  for (std::sregex_iterator it(content.begin(), content.end(), call), end; it != end; ++it) {
    std::istringstream words((*it)[1].str());
    std::string name, word, list;
    words >> name;
    Room& room = rooms[name];
    while (words >> word) {
      if (word == "DEPS" || word == "LIBS" || word == "PRIVATE_LIBS" || word == "TEST_DEPS") {
        list = word;
      } else if (list == "DEPS") {
        room.deps.insert(word);
      } else if (list == "TEST_DEPS") {
        room.test_deps.insert(word);
      }
    }
  }
  return rooms;
}

// A room's tests and what only they include.
bool is_test(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.ends_with("_test.cc") || name.starts_with("test_");
}

TEST(Tidy, RoomsIncludeOnlyTheRoomsTheyState) {
  const std::map<std::string, Room> rooms = stated_rooms();
  ASSERT_GE(rooms.size(), 10u);
  const std::regex include(R"re(^\s*#\s*include\s+"([a-z_]+)/)re");
  for (const fs::path& path : sources_below("src")) {
    const std::string room = fs::relative(path, kSource / "src").begin()->string();
    ASSERT_TRUE(rooms.contains(room)) << path << " is in a folder src/CMakeLists.txt does not name";
    std::set<std::string> allowed = rooms.at(room).deps;
    allowed.insert(room);
    if (is_test(path)) {
      for (const std::string& extra : rooms.at(room).test_deps) {
        allowed.insert(extra);
        allowed.insert(rooms.at(extra).deps.begin(), rooms.at(extra).deps.end());
      }
    }
    const std::vector<std::string> lines = lines_of(path);
    for (size_t i = 0; i < lines.size(); ++i) {
      std::smatch match;
      if (!std::regex_search(lines[i], match, include)) continue;
      if (!rooms.contains(match[1].str())) continue;  // a library's folder
      EXPECT_TRUE(allowed.contains(match[1].str()))
          << path << ":" << i + 1 << ": room '" << room << "' includes '" << match[1].str()
          << "', which is not among its DEPS in src/CMakeLists.txt";
    }
  }
}

TEST(Tidy, TheRuntimeNeverDependsOnTheToolchain) {
  for (const auto& [name, room] : stated_rooms()) {
    if (!kRuntimeRooms.contains(name)) continue;
    for (const std::string& dep : room.deps) {
      EXPECT_TRUE(kRuntimeRooms.contains(dep))
          << "runtime room '" << name << "' depends on toolchain room '" << dep << "'";
    }
  }
}

TEST(Tidy, DependenciesPointOneWay) {
  const std::map<std::string, Room> rooms = stated_rooms();
  // src/CMakeLists.txt lists rooms in dependency order, so a cycle would name a later room.
  for (const auto& [name, room] : rooms) {
    for (const std::string& dep : room.deps) {
      ASSERT_TRUE(rooms.contains(dep)) << name << " depends on unknown room " << dep;
      EXPECT_FALSE(rooms.at(dep).deps.contains(name)) << name << " <-> " << dep;
    }
  }
}

TEST(Tidy, LinesAndFilesStayReadable) {
  for (const std::string folder : {"src", "cli", "tests", "fuzz", "bench"}) {
    for (const fs::path& path : sources_below(folder)) {
      const std::string name = fs::relative(path, kSource);
      const std::vector<std::string> lines = lines_of(path);
      if (!kLongFiles.contains(name)) {
        EXPECT_LE(lines.size(), kFileLines) << name;
      }
      for (size_t i = 0; i < lines.size(); ++i) {
        EXPECT_LE(lines[i].size(), kLineColumns) << name << ":" << i + 1;
      }
    }
  }
}

TEST(Tidy, CommandVerbsStayThin) {
  for (const fs::path& path : sources_below("cli")) {
    if (!path.filename().string().starts_with("verb_")) continue;
    EXPECT_LE(lines_of(path).size(), 80u) << path << ": a verb parses flags, calls, prints";
  }
}

TEST(Tidy, FinishedCodeHasNoLeftovers) {
  const std::regex leftover(std::string("\\b(TO") + "DO|FIX" + "ME|XX" + "X|HA" + "CK)\\b");
  const std::regex process(R"((std::)?\b(abort|exit|printf|puts)\s*\(|std::(cout|cerr)\b)");
  for (const std::string folder : {"src", "cli", "tests", "fuzz", "bench"}) {
    for (const fs::path& path : sources_below(folder)) {
      const std::vector<std::string> lines = lines_of(path);
      for (size_t i = 0; i < lines.size(); ++i) {
        const std::string place =
            fs::relative(path, kSource).string() + ":" + std::to_string(i + 1);
        EXPECT_FALSE(std::regex_search(lines[i], leftover)) << place;
        if (folder != "src" || is_test(path)) continue;
        const std::string code = lines[i].substr(0, lines[i].find("//"));
        EXPECT_FALSE(std::regex_search(code, process))
            << place << ": the library neither prints nor ends the process";
      }
    }
  }
}

TEST(Tidy, EverySourceSaysWhatItIs) {
  for (const fs::path& path : sources_below("src")) {
    const std::vector<std::string> lines = lines_of(path);
    ASSERT_FALSE(lines.empty()) << path;
    EXPECT_TRUE(lines[0].starts_with("//")) << path << " opens without saying what it is";
  }
}

}  // namespace
