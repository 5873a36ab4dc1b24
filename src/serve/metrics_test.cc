// The text Prometheus reads, by the rules of its exposition format.
#include "serve/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace graupel::serve {
namespace {

using testing::HasSubstr;

TEST(Metrics, CountsUnderOurNamesAndThoseOfOldDashboards) {
  Metrics metrics;
  for (int i = 0; i < 3; ++i) metrics.begun();
  metrics.parsed("json", 0.0001);
  metrics.health_check(true);
  metrics.refused("deadline");
  metrics.request("/infer", "POST", 200, 0.0002);
  metrics.request("/infer", "POST", 503, 3.0);
  metrics.window("fsq", "cpu/avx2", 1e-5, 0.0002, 1e-6);
  metrics.fallback("fsq", "timeout");
  metrics.model_loaded("fsq", "1", std::string(64, 'a'), true);
  Gauges gauges;
  gauges.queue_waiting = 3;
  gauges.connections = 2;
  gauges.sessions = 1;
  gauges.models_loaded = 1;
  gauges.uptime_seconds = 1.5;
  const std::string text = metrics.text(gauges);
  for (const char* line :
       {"graupel_http_requests_total{method=\"POST\",route=\"/infer\",status=\"200\"} 1\n",
        "edgeinfer_http_requests_total{method=\"POST\",route=\"/infer\",status=\"503\"} 1\n",
        "graupel_http_request_duration_seconds_bucket{route=\"/infer\",le=\"0.00025\"} 1\n",
        "graupel_http_request_duration_seconds_bucket{route=\"/infer\",le=\"+Inf\"} 2\n",
        "graupel_windows_total{engine=\"cpu/avx2\",model=\"fsq\"} 1\n",
        "graupel_fallbacks_total{model=\"fsq\",reason=\"timeout\"} 1\n",
        "hailo_inference_requests_total{model=\"fsq\",status=\"success\"} 1\n",
        "graupel_queue_waiting_windows 3\n", "graupel_uptime_seconds 1.5\n",
        "graupel_parse_duration_seconds_bucket{form=\"json\",le=\"0.0001\"} 1\n",
        "graupel_requests_in_flight 1\n", "graupel_refused_total{reason=\"deadline\"} 1\n",
        "graupel_refused_total{reason=\"queue_full\"} 0\n",
        "hailo_health_checks_total{status=\"healthy\"} 1\n",
        "hailo_errors_total{error_type=\"deadline\"} 1\n", "process_cpu_seconds_total 0\n",
        "# TYPE graupel_infer_duration_seconds histogram\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(Metrics, EscapesLabels) {
  Metrics metrics;
  metrics.fallback("a\"b\\c\nd", "x");
  EXPECT_THAT(metrics.text({}), HasSubstr("model=\"a\\\"b\\\\c d\""));
}

}  // namespace
}  // namespace graupel::serve
