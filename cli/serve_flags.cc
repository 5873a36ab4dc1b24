// The options of `graupel serve`. Test: tests/cli.
#include "cli/serve_flags.h"

namespace graupel::cli {

void add_serve_flags(CLI::App& command, ServeFlags& all) {
  CLI::App* const verb = &command;
  ServeFlags* const flags = &all;
  serve::ServeOptions& options = all.options;
  options.http.port = 9000;
  verb->add_option("bundles", flags->bundles, "compiled bundles, FILE or NAME=FILE");
  verb->add_option("--models", options.model_directory, "serve every bundle of this folder");
  verb->add_option("--address", options.http.address, "IP address to listen on")
      ->capture_default_str();
  verb->add_option("--port", options.http.port, "0: any free one")->capture_default_str();
  verb->add_option("--workers", options.workers, "threads that compute")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  verb->add_option("--queue", options.queue_limit, "windows that may wait")->capture_default_str();
  verb->add_option("--deadline-ms", flags->deadline_ms, "for a window to be begun")
      ->check(CLI::Range(1, 600000))
      ->capture_default_str();
  verb->add_option("--drain-ms", flags->drain_ms, "for a stop to finish")
      ->check(CLI::Range(0, 600000))
      ->capture_default_str();
  verb->add_option("--keys", flags->keys_file, "lines NAME ROLE SHA256; requests then need a key");
  verb->add_option("--rate", options.rate_per_second, "requests per second and key; 0: no limit")
      ->capture_default_str();
  verb->add_option("--rate-burst", options.rate_burst, "requests at once")->capture_default_str();
  verb->add_option("--connections", options.http.limits.connections,
                   "open at once; more are closed")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  verb->add_option("--cors", options.cors_origins, "origins whose pages may read answers");
  verb->add_option("--tls-certificate", options.http.tls.certificate_file, "PEM chain: HTTPS");
  verb->add_option("--tls-key", options.http.tls.key_file, "its PEM key");
  verb->add_option("--tls-client-ca", options.http.tls.client_ca_file,
                   "clients need its certificate");
  verb->add_option("--sessions", options.sessions.limit, "sessions at once")->capture_default_str();
  verb->add_option("--session-samples", options.sessions.ring_samples,
                   "samples per sensor that a session keeps")
      ->check(CLI::Range(100, 1000000))
      ->capture_default_str();
  verb->add_option("--session-idle-s", flags->session_idle_s, "without samples a session ends")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  verb->add_option("--hop-ms", options.sessions.hop_ms, "from one window of a session to the next")
      ->check(CLI::Range(1, 60000))
      ->capture_default_str();
  verb->add_option("--rate-hz", options.sessions.rate_hz, "of the samples the model was trained on")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  verb->add_option("--gap-ms", options.sessions.gap_ms, "longer holes are not interpolated")
      ->check(CLI::Range(0, 60000))
      ->capture_default_str();
  verb->add_flag("--edgeinfer-compat,!--no-edgeinfer-compat", options.edgeinfer_compat,
                 "64 latents and 12 scores in /infer (default)");
  verb->add_flag("--mirror-sensor", options.mirror_sensor, "/infer with one sensor feeds both");
  verb->add_option("--session-speed", options.sessions.speed,
                   "seconds of signal a session may send per second; 0: no limit")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  add_engine_flags(*verb, flags->engine);
}

}  // namespace graupel::cli
