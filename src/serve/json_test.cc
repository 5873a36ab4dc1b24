// Requests in JSON: what is taken, in which order, and that hostile documents are refused.
#include "serve/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace graupel::serve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Oip, ReadsEveryPartOfARequest) {
  const auto request = parse_oip_request(
      R"({"id":"42","parameters":{"binary_data_output":true,"sequence_id":7,"sequence_start":true,
      "timeout":5000},"inputs":[{"name":"imu","datatype":"FP32","shape":[1,2,2],
      "data":[[[1,2],[3.5,-4e1]]]},{"name":"b","datatype":"FP32","shape":[2],
      "parameters":{"binary_data_size":8}}],
      "outputs":[{"name":"y","parameters":{"binary_data":false}}]})",
      100);
  ASSERT_TRUE(request.ok()) << request.error().message();
  EXPECT_EQ(request->id, "42");
  EXPECT_TRUE(request->binary_data_output);
  EXPECT_EQ(request->sequence_id, "7");
  EXPECT_TRUE(request->sequence_start);
  EXPECT_FALSE(request->sequence_end);
  EXPECT_EQ(request->timeout_us, 5000u);
  ASSERT_EQ(request->inputs.size(), 2u);
  EXPECT_THAT(request->inputs[0].shape, ElementsAre(1, 2, 2));
  EXPECT_THAT(request->inputs[0].values, ElementsAre(1.0f, 2.0f, 3.5f, -40.0f));
  EXPECT_EQ(request->inputs[1].binary_data_size, 8u);
  ASSERT_EQ(request->outputs.size(), 1u);
  EXPECT_EQ(request->outputs[0].binary_data, false);
}

TEST(Oip, RefusesEachDefectByName) {
  const std::pair<const char*, const char*> rows[] = {
      {"", "JSON"},
      {"[]", "object"},
      {"{}", "inputs"},
      {R"({"inputs":[1]})", "no object"},
      {R"({"inputs":[{"datatype":"FP32","shape":[1],"data":[1]}]})", "name"},
      {R"({"inputs":[{"name":"x","shape":[1],"data":[1]}]})", "datatype"},
      {R"({"inputs":[{"name":"x","datatype":"FP32","shape":[-1],"data":[1]}]})", "shape"},
      {R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1]}]})", "data"},
      {R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":["a"]}]})", "no number"},
      {R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1e39]}]})", "float32"},
      {R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[NaN]}]})", "JSON"},
      {R"({"inputs":[{"name":"x","datatype":"FP32","shape":[9],"data":[1,2,3,4,5,6]}]})",
       "more than 5"},
      {R"({"parameters":{"binary_data_output":1},"inputs":[]})", "true or false"},
  };
  for (const auto& [text, expected] : rows) {
    const auto request = parse_oip_request(text, 5);
    ASSERT_FALSE(request.ok()) << text;
    EXPECT_THAT(request.error().message(), HasSubstr(expected)) << text;
  }
}

TEST(Oip, RefusesDeepNesting) {
  const std::string deep = R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":)" +
                           std::string(100000, '[') + std::string(100000, ']') + "}]}";
  const auto request = parse_oip_request(deep, 10);
  ASSERT_FALSE(request.ok());
  EXPECT_THAT(request.error().message(), HasSubstr("deeper"));
}

TEST(Sidecar, TakesOneSensorOrSeveral) {
  const auto one = parse_sidecar_request(R"({"x":[[1,2,3],[4,5,6]]})", 100);
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(one->samples, 2u);
  EXPECT_EQ(one->sensors, 1u);
  EXPECT_EQ(one->channels, 3u);
  const auto two = parse_sidecar_request(R"({"x":[[[1,2,3],[4,5,6]],[[7,8,9],[10,11,12]]]})", 100);
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(two->samples, 2u);
  EXPECT_EQ(two->sensors, 2u);
  EXPECT_EQ(two->channels, 3u);
  EXPECT_THAT(two->values, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
}

TEST(Sidecar, RefusesRaggedRows) {
  for (const char* bad :
       {R"({"x":[[1,2],[3]]})", R"({"x":[[1,2],3]})", R"({"x":[[[1,2],[3]]]})",
        R"({"x":[[[1,2],3]]})", R"({"x":[[1,[2]]]})", R"({"x":[[[1],[2]],[[3]]]})", R"({"x":[[]]})",
        R"({"x":5})", R"({})", R"({"x":[["1"]]})"}) {
    EXPECT_FALSE(parse_sidecar_request(bad, 100).ok()) << bad;
  }
}

TEST(Append, WritesWhatAnotherParserReadsBack) {
  std::string json = "[";
  append_text(json, "a\"\\\n\xff\x01é");
  json += ",";
  append_number(json, 0.1f);
  json += ",";
  append_number(json, std::numeric_limits<double>::infinity());
  json += ",";
  append_number(json, int64_t{-5});
  json += "]";
  const auto read = nlohmann::json::parse(json);
  EXPECT_EQ(read[0].get<std::string>(), "a\"\\ \xEF\xBF\xBD\xEF\xBF\xBDé");
  EXPECT_EQ(read[1].get<float>(), 0.1f);
  EXPECT_TRUE(read[2].is_null());
  EXPECT_EQ(read[3], -5);
}

}  // namespace
}  // namespace graupel::serve
