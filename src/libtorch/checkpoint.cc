// Checkpoints as torch archives. See checkpoint.h. Test: libtorch_test.cc.
#include "libtorch/checkpoint.h"

#include <fmt/format.h>

#include <sstream>

#include "base/files.h"

namespace graupel::libtorch {
namespace {

constexpr int64_t kVersion = 1;
constexpr uint64_t kLimitBytes = uint64_t{1} << 30;
constexpr int64_t kColumns = 11;  // of the table of epochs
const char* const kStates[] = {"state", "averaged", "best", "first", "second"};

std::vector<State*> states_of(Checkpoint& checkpoint) {
  return {&checkpoint.state, &checkpoint.averaged, &checkpoint.best, &checkpoint.first,
          &checkpoint.second};
}

at::Tensor table_of(const std::vector<train::EpochReport>& epochs) {
  const double absent = std::nan("");
  std::vector<double> cells;
  for (const train::EpochReport& epoch : epochs) {
    const train::CodeUsage usage = epoch.usage.value_or(train::CodeUsage{-1, 0.0, 0.0});
    cells.insert(
        cells.end(),
        {static_cast<double>(epoch.epoch), epoch.learning_rate, epoch.train_loss,
         epoch.train_accuracy_percent, epoch.validation_loss.value_or(absent),
         epoch.validation_accuracy_percent.value_or(absent), static_cast<double>(usage.codes),
         usage.perplexity, usage.least_digits, epoch.best ? 1.0 : 0.0, 0.0});
  }
  return at::tensor(cells, at::kDouble).view({-1, kColumns});
}

std::vector<train::EpochReport> epochs_of(const at::Tensor& table) {
  std::vector<train::EpochReport> epochs;
  const at::Tensor plain = table.contiguous();
  for (int64_t row = 0; row < plain.size(0); ++row) {
    const double* const cell = plain.data_ptr<double>() + row * kColumns;
    train::EpochReport epoch;
    epoch.epoch = static_cast<int64_t>(cell[0]);
    epoch.learning_rate = cell[1];
    epoch.train_loss = cell[2];
    epoch.train_accuracy_percent = cell[3];
    if (!std::isnan(cell[4])) epoch.validation_loss = cell[4];
    if (!std::isnan(cell[5])) epoch.validation_accuracy_percent = cell[5];
    if (cell[6] >= 0.0) {
      epoch.usage = train::CodeUsage{static_cast<int64_t>(cell[6]), cell[7], cell[8]};
    }
    epoch.best = cell[9] != 0.0;
    epochs.push_back(epoch);
  }
  return epochs;
}

void write_state(torch::serialize::OutputArchive& archive, const std::string& name,
                 const State& state) {
  c10::impl::GenericList names(c10::StringType::get());
  size_t index = 0;
  for (const auto& [key, tensor] : state) {
    names.push_back(c10::IValue(key));
    archive.write(fmt::format("{}_{}", name, index++), tensor.detach(), true);
  }
  archive.write(name + "_names", c10::IValue(names));
}

State read_state(torch::serialize::InputArchive& archive, const std::string& name) {
  c10::IValue names;
  archive.read(name + "_names", names);
  State state;
  size_t index = 0;
  for (const c10::IValue& key : names.toListRef()) {
    at::Tensor tensor;
    archive.read(fmt::format("{}_{}", name, index++), tensor, true);
    state[key.toStringRef()] = tensor;
  }
  return state;
}

int64_t read_integer(torch::serialize::InputArchive& archive, const std::string& name) {
  c10::IValue value;
  archive.read(name, value);
  return value.toInt();
}

Checkpoint read_archive(torch::serialize::InputArchive& archive) {
  Checkpoint checkpoint;
  c10::IValue value;
  archive.read("config", value);
  checkpoint.config = value.toStringRef();
  checkpoint.shape = {read_integer(archive, "channels"), read_integer(archive, "sensors"),
                      read_integer(archive, "samples")};
  checkpoint.classes = read_integer(archive, "classes");
  checkpoint.steps = read_integer(archive, "steps");
  checkpoint.best_epoch = read_integer(archive, "best_epoch");
  archive.read("best_loss", value);
  checkpoint.best_loss = value.toDouble();
  const std::vector<State*> states = states_of(checkpoint);
  for (size_t i = 0; i < states.size(); ++i) *states[i] = read_state(archive, kStates[i]);
  at::Tensor table;
  archive.read("epochs", table, true);
  TORCH_CHECK(table.dim() == 2 && table.size(1) == kColumns && table.dtype() == at::kDouble,
              "table of epochs");
  checkpoint.epochs = epochs_of(table);
  return checkpoint;
}

}  // namespace

Result<void> write_checkpoint(const std::string& path, const Checkpoint& checkpoint) {
  torch::serialize::OutputArchive archive;
  archive.write("version", c10::IValue(kVersion));
  archive.write("config", c10::IValue(checkpoint.config));
  archive.write("channels", c10::IValue(checkpoint.shape.channels));
  archive.write("sensors", c10::IValue(checkpoint.shape.sensors));
  archive.write("samples", c10::IValue(checkpoint.shape.samples));
  archive.write("classes", c10::IValue(checkpoint.classes));
  archive.write("steps", c10::IValue(checkpoint.steps));
  archive.write("best_epoch", c10::IValue(checkpoint.best_epoch));
  archive.write("best_loss", c10::IValue(checkpoint.best_loss));
  Checkpoint copy = checkpoint;  // of handles, not of numbers
  const std::vector<State*> states = states_of(copy);
  for (size_t i = 0; i < states.size(); ++i) write_state(archive, kStates[i], *states[i]);
  archive.write("epochs", table_of(checkpoint.epochs), true);
  std::ostringstream bytes;
  archive.save_to(bytes);
  return write_file_atomic(path, bytes.str());
}

Result<Checkpoint> read_checkpoint(const std::string& path) {
  TRY_ASSIGN(const std::string bytes, read_file(path, kLimitBytes));
  try {
    std::istringstream stream(bytes);
    torch::serialize::InputArchive archive;
    archive.load_from(stream);
    if (const int64_t version = read_integer(archive, "version"); version != kVersion) {
      return unsupported(path, fmt::format("is a checkpoint of version {}; this graupel knows {}",
                                           version, kVersion));
    }
    return read_archive(archive);
  } catch (const std::exception&) {  // libtorch's own words are its call stack
    return corrupt(path, "is not a checkpoint of `graupel train`, or is damaged");
  }
}

const State& kept_weights(const Checkpoint& checkpoint) {
  if (!checkpoint.best.empty()) return checkpoint.best;
  return checkpoint.averaged.empty() ? checkpoint.state : checkpoint.averaged;
}

}  // namespace graupel::libtorch
