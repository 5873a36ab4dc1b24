// WebSocket messages to sessions and back. See session_socket.h. Test: sessions_test.cc.
#include "serve/session_socket.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/text.h"
#include "serve/api_sessions.h"
#include "serve/session_write.h"

namespace graupel::serve {
namespace {

constexpr std::chrono::seconds kTimeToShowKey{10};
constexpr size_t kMaxSubscriptions = 1024;

void send_error(SocketClient& client, const Refusal& refusal, std::optional<uint64_t> seq) {
  JsonWriter json;
  json.begin_object().field("type", "error").field("code", refusal.code);
  json.field("status", refusal.status).field("detail", refusal.detail);
  if (seq) json.field("seq", *seq);
  if (refusal.retry_after_s > 0) json.field("retry_after_s", refusal.retry_after_s);
  client.socket.send(json.end_object().take());
}

// {"type": type, ...fields of an object that is JSON already}.
std::string typed(std::string_view type, const std::string& object) {
  return fmt::format(R"({{"type":"{}",{})", type, object.substr(1));
}

void grant_rights(const Service& service, std::string_view key, SocketClient& client) {
  const auto& keys = service.options.keys;
  const auto may = [&](Role role) {
    const Access access = judge_key(keys, key, role);
    if (!access.who.empty()) client.who = access.who;
    return access.verdict == Verdict::kAllowed;
  };
  client.may_read = may(Role::kRead);
  client.may_stream = may(Role::kStream);
  client.asker = {client.who, may(Role::kAdmin)};
}

// The client's session, or nullptr after having said that there is none.
SessionPointer session_of(Service& service, SocketClient& client, const SessionMessage& message) {
  SessionPointer session = find_session(service, client.asker, message.session_id);
  if (session == nullptr) send_error(client, unknown_session(404), message.sequence_number);
  return session;
}

void subscribe(SocketClient& client, const SessionPointer& session, bool signals) {
  client.sessions.insert(session->id);
  session->subscribers[client.socket.id] = {signals};
}

void handle_subscribe(Service& service, SocketClient& client, const SessionMessage& message) {
  JsonWriter json;
  json.begin_object().field("type", "subscribed");
  if (message.feed == "status") {
    client.status_feed = true;
    return client.socket.send(json.field("feed", "status").end_object().take());
  }
  const SessionPointer session = session_of(service, client, message);
  if (session == nullptr) return;
  if (client.sessions.size() >= kMaxSubscriptions) {
    return send_error(client,
                      {429, "too_many_subscriptions",
                       fmt::format("a connection follows at most {} sessions", kMaxSubscriptions)},
                      message.sequence_number);
  }
  subscribe(client, session, message.signals);
  client.socket.send(json.field("session_id", session->id).end_object().take());
}

void handle_unsubscribe(Service& service, SocketClient& client, const SessionMessage& message) {
  JsonWriter json;
  json.begin_object().field("type", "unsubscribed");
  if (message.feed == "status") {
    client.status_feed = false;
    json.field("feed", "status");
  } else {
    client.sessions.erase(message.session_id);
    const auto session = service.sessions.open.find(message.session_id);
    if (session != service.sessions.open.end()) {
      session->second->subscribers.erase(client.socket.id);
    }
    json.field("session_id", message.session_id);
  }
  client.socket.send(json.end_object().take());
}

void handle_start(Service& service, SocketClient& client, const SessionMessage& message) {
  const Outcome<SessionPointer> started = start_session(service, client.asker.owner, message);
  if (const auto* refused = std::get_if<Refusal>(&started)) {
    return send_error(client, *refused, message.sequence_number);
  }
  const SessionPointer& session = std::get<SessionPointer>(started);
  subscribe(client, session, message.signals);
  client.socket.send(
      typed("started", started_json(*session, SessionForm::kB, service.options.sessions.idle)));
}

void handle_samples(Service& service, SocketClient& client, const SessionMessage& message) {
  const SessionPointer session = session_of(service, client, message);
  if (session == nullptr) return;
  if (session->owner != client.asker.owner) {
    return send_error(client, unknown_session(404), message.sequence_number);
  }
  if (!message.has_samples) {
    return send_error(client, {400, "invalid_input", "message: needs \"samples\", an array"},
                      message.sequence_number);
  }
  const Outcome<Accepted> fed = feed_session(service, session, message.samples);
  if (const auto* refused = std::get_if<Refusal>(&fed)) {
    return send_error(client, *refused, message.sequence_number);
  }
  client.socket.send(accepted_json(*session, SessionForm::kB, std::get<Accepted>(fed), "accepted",
                                   message.sequence_number));
}

void handle_stop(Service& service, SocketClient& client, const SessionMessage& message) {
  const SessionPointer session = session_of(service, client, message);
  if (session == nullptr) return;
  // The one who stops it gets the summary instead of the news that it ended.
  session->subscribers.erase(client.socket.id);
  client.sessions.erase(session->id);
  end_session(service, session, "stopped");
  client.socket.send(typed("stopped", stopped_json(*session, SessionForm::kB)));
}

struct MessageKind {
  std::string_view type;
  bool streams;  // needs the role stream, otherwise read
  void (*handle)(Service& service, SocketClient& client, const SessionMessage& message);
};
constexpr MessageKind kKinds[] = {
    {"subscribe", false, &handle_subscribe},
    {"unsubscribe", false, &handle_unsubscribe},
    {"start", true, &handle_start},
    {"samples", true, &handle_samples},
    {"stop", true, &handle_stop},
};

std::optional<Refusal> refuse_message(Service& service, SocketClient& client,
                                      const MessageKind& kind) {
  if (!client.may_read) {
    service.metrics.refused("unauthorised");
    return Refusal{401, "unauthorised", "a valid key is needed: \"auth_token\""};
  }
  if (kind.streams && !client.may_stream) {
    service.metrics.refused("forbidden");
    return Refusal{403, "forbidden", "this key may not; role stream is needed"};
  }
  if (const auto wait = take_token(service.rate_limits, client.who, Clock::now())) {
    service.metrics.refused("rate_limit");
    return Refusal{429, "rate_limit", "too many messages", static_cast<int>(std::ceil(*wait))};
  }
  return std::nullopt;
}

void handle_message(Service& service, SocketClient& client, const SessionMessage& message) {
  if (!message.auth_token.empty() && !service.options.keys.empty()) {
    grant_rights(service, message.auth_token, client);
  }
  if (message.type == "ping") return client.socket.send(R"({"type":"pong"})");
  for (const MessageKind& kind : kKinds) {
    if (kind.type != message.type) continue;
    if (const auto refused = refuse_message(service, client, kind)) {
      return send_error(client, *refused, message.sequence_number);
    }
    return kind.handle(service, client, message);
  }
  send_error(client,
             {400, "unknown_type",
              "type: is '" + shortened(message.type, 32) +
                  "'; expected subscribe, unsubscribe, start, samples, stop or ping"},
             message.sequence_number);
}

std::string update_json(const Session& session, const WindowRecord& record) {
  JsonWriter json;
  json.begin_object().field("type", "behavioral_update").field("session_id", session.id);
  json.field("timestamp", iso_time(record.answered_at)).key("data").begin_object();
  json.field("state", class_name(*session.model, record.class_index));
  json.field("confidence", record.confidence).field("entropy", record.entropy);
  write_window(json.key("window"), record);
  return json.end_object().end_object().take();
}

// The samples that the window added; nothing if the clock jumped since.
std::optional<std::string> signals_json(const Session& session, const WindowRecord& record) {
  const Timeline& timeline = session.timeline;
  if (!timeline.origin_us || record.start_us < *timeline.origin_us) return std::nullopt;
  const auto end = static_cast<uint64_t>(std::llround(
      static_cast<double>(record.end_us - *timeline.origin_us) * timeline.options.rate_hz / 1e6));
  const uint64_t count = std::min<uint64_t>(timeline.options.hop_samples, end);
  JsonWriter json;
  json.begin_object().field("type", "signal_update").field("session_id", session.id);
  write_signals(json.key("signals"), session, end - count, count);
  return json.end_object().take();
}

void push_record(Service& service, const Session& session, const WindowRecord& record) {
  if (session.subscribers.empty()) return;
  const std::string update = update_json(session, record);
  std::optional<std::string> signals;
  for (const auto& [id, subscription] : session.subscribers) {
    const auto client = service.sockets.clients.find(id);
    if (client == service.sockets.clients.end()) continue;
    client->second.socket.send(update);
    if (!subscription.signals) continue;
    if (!signals) signals = signals_json(session, record);
    if (signals) client->second.socket.send(*signals);
  }
}

void push_end(Service& service, const Session& session, std::string_view reason) {
  for (const auto& [id, subscription] : session.subscribers) {
    const auto client = service.sockets.clients.find(id);
    if (client == service.sockets.clients.end()) continue;
    client->second.sessions.erase(session.id);
    JsonWriter json;
    json.begin_object().field("type", "session_ended").field("session_id", session.id);
    client->second.socket.send(json.field("reason", reason).end_object().take());
  }
}

// "https://host:port" without the scheme.
std::string_view host_of(std::string_view origin) {
  const size_t end = origin.find("://");
  return end == std::string_view::npos ? origin : origin.substr(end + 3);
}

}  // namespace

std::optional<Reply> judge_upgrade(Service& service, const Request& request) {
  const auto refuse = [&](int status, std::string_view code, std::string_view detail) {
    service.metrics.refused(code);
    return error_reply(ErrorForm::kProblem, status, code, detail);
  };
  if (request.path != kSocketPath) {
    return refuse(404, "not_found", "the WebSocket is at /ws/v1/analysis");
  }
  if (service.draining) return refuse(503, "draining", "the server is shutting down");
  const std::string_view origin = request.header("origin");
  const auto& allowed = service.options.cors_origins;
  if (!origin.empty() && host_of(origin) != request.header("host") &&
      std::find(allowed.begin(), allowed.end(), origin) == allowed.end()) {
    return refuse(403, "forbidden", "pages of that origin may not connect");
  }
  return std::nullopt;
}

void get_socket(Service&, Call call) {
  Reply reply = error_reply(call.form, 426, "upgrade_required", "this path speaks WebSocket only",
                            call.request_id);
  reply.headers.push_back({"Upgrade", "websocket"});
  call.respond(std::move(reply));
}

void open_socket(Service& service, const Request& request, Socket socket) {
  SocketClient client;
  client.who = request.peer;
  client.opened = Clock::now();
  if (service.options.keys.empty()) {
    client.asker = {"", true};
    client.may_read = client.may_stream = true;
  } else {
    grant_rights(service, key_of(request), client);
  }
  const uint64_t id = socket.id;
  client.socket = std::move(socket);
  service.sockets.clients[id] = std::move(client);
}

void receive_message(Service& service, uint64_t socket, const std::string& bytes, bool binary) {
  const auto client = service.sockets.clients.find(socket);
  if (client == service.sockets.clients.end()) return;
  const size_t limit = service.options.sessions.ring_samples * kMaxSensors;
  const Result<SessionMessage> message =
      binary ? parse_binary_samples(bytes, limit) : parse_session_message(bytes, limit);
  if (!message.ok()) {
    service.metrics.refused("malformed");
    return send_error(client->second, {400, "invalid_input", message.error().message()},
                      std::nullopt);
  }
  handle_message(service, client->second, *message);
}

void forget_socket(Service& service, uint64_t socket) {
  const auto client = service.sockets.clients.find(socket);
  if (client == service.sockets.clients.end()) return;
  for (const std::string& id : client->second.sessions) {
    const auto session = service.sessions.open.find(id);
    if (session != service.sessions.open.end()) session->second->subscribers.erase(socket);
  }
  service.sockets.clients.erase(client);
}

void tend_sockets(Service& service) {
  const TimePoint oldest = Clock::now() - kTimeToShowKey;
  std::optional<std::string> status;
  std::vector<Socket> strangers;  // closing changes the map
  for (auto& [id, client] : service.sockets.clients) {
    if (!client.may_read && client.opened < oldest) strangers.push_back(client.socket);
    if (!client.status_feed) continue;
    if (!status) status = status_json(service);
    client.socket.send(fmt::format(R"({{"type":"status_update","status":{},"sessions":{}}})",
                                   *status, sessions_json(service, client.asker)));
  }
  for (const Socket& stranger : strangers) stranger.close();
}

void connect_sockets(Service& service) {
  service.session_events.answered = [&service](const Session& session, const WindowRecord& record) {
    push_record(service, session, record);
  };
  service.session_events.ended = [&service](const Session& session, std::string_view reason) {
    push_end(service, session, reason);
  };
}

}  // namespace graupel::serve
