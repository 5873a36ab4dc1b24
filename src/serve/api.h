// The handlers behind service.cc's table of routes, by the API they belong to.
#pragma once

#include "serve/service.h"

namespace graupel::serve {

// api_health.cc: is it alive, is it ready, what does it count.
void get_healthz(Service& service, Call call);  // the EdgeInfer sidecar's form
void get_livez(Service& service, Call call);    // 200 while the process works
void get_readyz(Service& service, Call call);   // 200 while new work is welcome
void get_metrics(Service& service, Call call);
void get_openapi(Service& service, Call call);  // what all routes are

// api_page.cc: the dashboard.
void get_page(Service& service, Call call);
void get_page_file(Service& service, Call call);

// api_sidecar.cc: EdgeInfer's MODEL_BACKEND_URL.
void post_sidecar_infer(Service& service, Call call);

// api_oip.cc: Open Inference Protocol v2.
void get_oip_server(Service& service, Call call);
void get_oip_model(Service& service, Call call);
void get_oip_ready(Service& service, Call call);
void post_oip_infer(Service& service, Call call);

// api_statistics.cc: the protocol's statistics extension.
void get_oip_statistics(Service& service, Call call);  // of all models, one, or one version
// The same call, whose answer is counted in the model's statistics with what `times` then holds.
Call counted(Call call, const std::shared_ptr<Model>& model,
             const std::shared_ptr<RequestTimes>& times);

// api_repository.cc: the protocol's model repository extension.
void post_oip_index(Service& service, Call call);
void post_oip_load(Service& service, Call call);
void post_oip_unload(Service& service, Call call);

// api_sessions.cc, api_analysis.cc: EdgeInfer's sessions, forms A and B.
void post_session_start(Service& service, Call call);
void put_session_stream(Service& service, Call call);
void post_session_stop(Service& service, Call call);
void get_session_motifs(Service& service, Call call);
void get_session_synchrony(Service& service, Call call);
void get_session_behavioural(Service& service, Call call);
void get_api_models(Service& service, Call call);

// session_socket.cc: the WebSocket's path without an upgrade, 426.
void get_socket(Service& service, Call call);

// api_dashboard.cc: what a dashboard reads.
void get_sessions(Service& service, Call call);
void get_session(Service& service, Call call);
void get_status(Service& service, Call call);

// api_health.cc: whether new work is welcome, and how long the server has run.
bool is_ready(const Service& service);
double uptime_seconds(const Service& service);

// Counts one answered window. From any thread.
void observe(Metrics& metrics, const Model& model, const WindowAnswer& answer,
             double queue_seconds);

// Loads `source` off the loop and puts it into service.models; `done` is called on the loop with
// the error, if there is one, and what was loaded before stays. Reloads do the same.
void load_in_background(Service& service, ModelSource source,
                        std::function<void(Result<void>)> done);

}  // namespace graupel::serve
