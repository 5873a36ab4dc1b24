// Windows on disk and their moments. See window_store.h. Test: window_store_test.cc.
#include "prepare/window_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/bytes.h"
#include "data/npy.h"

namespace graupel::prepare {
namespace {

Result<void> write_all(int fd, const std::string& path, const void* bytes, size_t size_bytes) {
  const char* from = static_cast<const char*>(bytes);
  while (size_bytes > 0) {
    const ssize_t written = ::write(fd, from, size_bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error(path, "writing");
    from += written;
    size_bytes -= static_cast<size_t>(written);
  }
  return ok();
}

// FNV-1a over 32-bit words, then mixed.
uint64_t hash_of(std::span<const float> window) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const float value : window) {
    hash = (hash ^ std::bit_cast<uint32_t>(value)) * 0x100000001B3u;
    hash ^= hash >> 29;
  }
  return hash;
}

}  // namespace

void Moments::add(std::span<const float> values) {
  Moments block;
  block.count = static_cast<double>(values.size());
  if (values.empty()) return;
  block.minimum = block.maximum = static_cast<double>(values[0]);
  for (const float value : values) {
    const auto x = static_cast<double>(value);
    block.mean += x;
    block.minimum = std::min(block.minimum, x);
    block.maximum = std::max(block.maximum, x);
  }
  block.mean /= block.count;
  for (const float value : values) {
    const double distance = static_cast<double>(value) - block.mean;
    block.squares += distance * distance;
  }
  merge(block);
}

void Moments::merge(const Moments& other) {
  if (other.count == 0.0) return;
  if (count == 0.0) {
    *this = other;
    return;
  }
  const double total = count + other.count;
  const double distance = other.mean - mean;
  mean += distance * other.count / total;
  squares += other.squares + distance * distance * count * other.count / total;
  count = total;
  minimum = std::min(minimum, other.minimum);
  maximum = std::max(maximum, other.maximum);
}

double Moments::std() const { return count > 0.0 ? std::sqrt(squares / count) : 0.0; }

Result<WindowStore> WindowStore::create(const std::string& folder, size_t channels, size_t sensors,
                                        size_t samples) {
  WindowStore store;
  store.path_ = folder + "/.windows.XXXXXX";
  store.file_ = std::make_shared<FileDescriptor>(::mkstemp(store.path_.data()));
  if (store.file_->get() < 0) return system_error(folder, "creating a file");
  ::unlink(store.path_.c_str());  // lives as long as it is open
  store.channels_ = channels, store.sensors_ = sensors, store.samples_ = samples;
  store.centred_.resize(samples);
  return store;
}

Result<void> WindowStore::add(std::span<const float> window, int64_t subject, int32_t label) {
  TRY(write_all(file_->get(), path_, window.data(), window.size_bytes()));
  records_.push_back({subject, label, hash_of(window)});
  SubjectStatistics& statistics = subjects_[subject];
  statistics.raw.resize(channels_ * sensors_);
  statistics.centred.resize(channels_ * sensors_);
  ++statistics.label_counts[label];
  for (size_t row = 0; row < channels_ * sensors_; ++row) {
    const std::span<const float> values = window.subspan(row * samples_, samples_);
    statistics.raw[row].add(values);
    double sum = 0.0;
    for (const float x : values) sum += static_cast<double>(x);
    const double mean = sum / static_cast<double>(samples_);
    for (size_t i = 0; i < samples_; ++i) {
      centred_[i] = static_cast<float>(static_cast<double>(values[i]) - mean);
    }
    statistics.centred[row].add(centred_);
  }
  return ok();
}

Result<void> WindowStore::read(size_t index, std::span<float> window) const {
  char* to = reinterpret_cast<char*>(window.data());
  size_t left = window.size_bytes();
  auto offset = static_cast<off_t>(index * window.size_bytes());
  while (left > 0) {
    const ssize_t got = ::pread(file_->get(), to, left, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return system_error(path_, "reading back");
    to += got;
    left -= static_cast<size_t>(got);
    offset += got;
  }
  return ok();
}

std::vector<data::ChannelStatistics> channel_statistics(const WindowStore& store,
                                                        std::span<const int64_t> subjects,
                                                        std::span<const int64_t> centred) {
  std::vector<data::ChannelStatistics> channels(store.channels());
  for (size_t c = 0; c < store.channels(); ++c) {
    const bool is_centred =
        std::find(centred.begin(), centred.end(), static_cast<int64_t>(c)) != centred.end();
    Moments sum;
    for (const int64_t subject : subjects) {
      const auto found = store.subjects().find(subject);
      if (found == store.subjects().end()) continue;
      const std::vector<Moments>& moments = is_centred ? found->second.centred : found->second.raw;
      for (size_t s = 0; s < store.sensors(); ++s) sum.merge(moments[c * store.sensors() + s]);
    }
    data::ChannelStatistics& channel = channels[c];
    channel.mean = sum.mean;
    channel.std = sum.std();
    channel.minimum = sum.minimum;
    channel.maximum = sum.maximum;
    channel.finite_count = static_cast<int64_t>(sum.count);
    channel.is_constant = sum.count > 1.0 && sum.minimum == sum.maximum;
  }
  return channels;
}

Result<void> write_windows(const std::string& path, const WindowStore& store,
                           std::span<const size_t> indices) {
  std::string temporary = path + ".XXXXXX";
  const FileDescriptor file(::mkstemp(temporary.data()));
  if (file.get() < 0) return system_error(path, "creating");
  const auto write = [&]() -> Result<void> {
    const Shape shape = {
        static_cast<int64_t>(indices.size()), static_cast<int64_t>(store.channels()),
        static_cast<int64_t>(store.sensors()), static_cast<int64_t>(store.samples())};
    const std::string header = data::npy_header(DType::kFloat32, shape);
    TRY(write_all(file.get(), path, header.data(), header.size()));
    std::vector<float> window(store.window_size());
    for (const size_t index : indices) {
      TRY(store.read(index, window));
      TRY(write_all(file.get(), path, window.data(), window.size() * sizeof(float)));
    }
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(file.get(), 0666 & ~mask) != 0) return system_error(path, "writing");
    if (std::rename(temporary.c_str(), path.c_str()) != 0) return system_error(path, "writing");
    return ok();
  };
  const Result<void> written = write();
  if (!written.ok()) ::unlink(temporary.c_str());
  return written;
}

}  // namespace graupel::prepare
