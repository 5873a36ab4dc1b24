// A HAR: what the vendor's compiler keeps of a network between its stages.
//
// Idea: a HAR is a tar, perhaps gzipped: NAME.hn and its variants (.native.hn, .fp.hn) are JSON
// with one entry per layer, .npz or .hdf5 hold the weights, .metadata.json says how far it is. Only
// the JSON is read, and only in bounds; weights are listed, not opened.
// Reference: public scripts that unpack, edit and repack HARs. No HAR of the vendor's was at hand.
// Test: har_test.cc, fuzz/har_fuzz.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace graupel::hailo {

struct HarFile {
  std::string name;
  uint64_t size_bytes = 0;
};

struct HarLayer {
  std::string name, type;                    // "net/conv1", "conv"
  std::vector<std::string> inputs, outputs;  // names of layers
  std::vector<std::string> original_names;   // of nodes in the network it came from
  std::vector<std::vector<int64_t>> input_shapes, output_shapes;  // NHWC; -1 is the batch
};

struct Har {
  std::string network;   // as the HN names it
  std::string state;     // "translated", "optimized", "compiled", ... or the file's own word
  std::string compiler;  // version; empty if the file does not say
  std::string device;    // "hailo8"; empty likewise
  std::string hn;        // the member that `layers` are of
  std::vector<HarFile> files;
  std::vector<HarLayer> layers;            // in the file's order
  std::vector<std::string> output_layers;  // in the order of the outputs; may be empty
};

// Is it a tar or a gzip? Cheap; says nothing about what is in it.
bool looks_like_har(std::string_view bytes);

// Errors: kInvalidInput for what is no archive or holds no .hn, kCorrupt for a broken archive or
// JSON, kUnsupported where a bound is passed (members, bytes, layers).
Result<Har> read_har(std::string_view bytes);

}  // namespace graupel::hailo
