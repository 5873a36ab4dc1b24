// What the session routes and the WebSocket share.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "serve/service.h"
#include "serve/session_json.h"

namespace graupel::serve {

Reply refusal_reply(const Call& call, const Refusal& refusal);
Asker asker_of(const Service& service, const Call& call);
Refusal unknown_session(int status);

// `type` only for a WebSocket message.
std::string accepted_json(const Session& session, SessionForm form, const Accepted& accepted,
                          std::string_view type, std::optional<uint64_t> sequence_number);

// The bodies of GET /api/v1/sessions and /api/v1/status, which the status feed sends too.
std::string sessions_json(const Service& service, const Asker& asker);
std::string status_json(const Service& service);

}  // namespace graupel::serve
